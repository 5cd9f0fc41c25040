"""The kinds of file that a résumé may be."""

PDF = "application/pdf"
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
TEXT = "text/plain"
OF_RESUMES = (PDF, WORD, TEXT)
