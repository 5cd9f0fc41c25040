"""What a file is, by its content alone, and what it says. Whatever its name or its sender claims does not count."""

import zipfile
from collections.abc import Iterator
from io import BytesIO

import docx
import pypdf
from docx.blkcntnr import BlockItemContainer
from docx.document import Document
from docx.table import Table, _Row

from tertulia.domain.recruiting.media_types import PDF, TEXT, WORD
from tertulia.resumes.unreadable import Problem, Unreadable

# Far more than any résumé has, and still quick to go through.
MOST_CHARACTERS = 200_000
_MOST_PAGES = 50
_MOST_UNPACKED_BYTES = 64 * 1024 * 1024
_MOST_PARTS = 2000

# Some writers put something ahead of the header; readers look for it in the first 1024 bytes (ISO 32000-1, H.3.4.1).
_PDF_HEADER_WITHIN = 1024
_ZIP = b"PK\x03\x04"
# A compound file: old Word files, and new ones that are encrypted [MS-OFFCRYPTO 2.3.4.4].
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_ENCRYPTED_PART = 0x1
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_IN_NO_TEXT = frozenset(map(chr, (*range(9), 11, *range(14, 32), 127)))


def text_of(content: bytes) -> tuple[str, str]:
    """Read a file.

    Returns:
        Its media type and its text, of at most 200,000 characters.

    Raises:
        Unreadable: It is of no kind that is read here, locked, too large, or has no text.
        Exception: Whatever the libraries raise at damaged files.
    """
    media_type, read = _read(content)
    # Fonts with a table of their own may map to halves of surrogate pairs.
    text = read[:MOST_CHARACTERS].encode("utf-8", "replace").decode()
    if not text.strip():
        raise Unreadable(Problem.NO_TEXT)
    return media_type, text


def _read(content: bytes) -> tuple[str, str]:
    if b"%PDF-" in content[:_PDF_HEADER_WITHIN]:
        return PDF, _of_pdf(content)
    if content.startswith(_ZIP):
        return WORD, _of_word(content)
    if content.startswith(_COMPOUND):
        raise Unreadable(Problem.LOCKED if _ENCRYPTED_PACKAGE in content else Problem.OLD_WORD)
    return TEXT, _of_text(content)


def _of_pdf(content: bytes) -> str:
    reader = pypdf.PdfReader(BytesIO(content))
    # Many files are encrypted under the empty password, which every reader tries.
    if reader.is_encrypted and not reader.decrypt(""):
        raise Unreadable(Problem.LOCKED)
    if len(reader.pages) > _MOST_PAGES:
        raise Unreadable(Problem.TOO_LONG)
    return "\n".join(page.extract_text() for page in reader.pages)


def _of_word(content: bytes) -> str:
    with zipfile.ZipFile(BytesIO(content)) as package:
        parts = package.infolist()
    if "word/document.xml" not in {part.filename for part in parts}:
        raise Unreadable(Problem.UNKNOWN)
    if any(part.flag_bits & _ENCRYPTED_PART for part in parts):
        raise Unreadable(Problem.LOCKED)
    # A part yields no more than the size that it declares.
    if len(parts) > _MOST_PARTS or sum(part.file_size for part in parts) > _MOST_UNPACKED_BYTES:
        raise Unreadable(Problem.UNPACKS_TOO_LARGE)
    return "\n".join(_lines(docx.Document(BytesIO(content))))


def _lines(document: Document) -> Iterator[str]:
    """Go through a document as it is read: what stands in its headers first, where many put their address."""
    for section in document.sections:
        if not section.header.is_linked_to_previous:
            yield from _lines_of(section.header)
    yield from _lines_of(document)
    for section in document.sections:
        if not section.footer.is_linked_to_previous:
            yield from _lines_of(section.footer)


def _lines_of(part: Document | BlockItemContainer) -> Iterator[str]:
    for item in part.iter_inner_content():
        if isinstance(item, Table):
            for row in item.rows:
                yield from _cells(row)
        else:
            yield item.text


def _cells(row: _Row) -> Iterator[str]:
    # A merged cell comes once for each column that it spans.
    for cell in {id(cell._tc): cell for cell in row.cells}.values():  # noqa: SLF001 the element behind a cell
        yield from _lines_of(cell)


def _of_text(content: bytes) -> str:
    try:
        text = content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    if not _IN_NO_TEXT.isdisjoint(text) or text.startswith("{\\rtf"):
        raise Unreadable(Problem.UNKNOWN)
    return text
