"""The web pages: the candidate's chat and the operator's console."""
