"""Real files, made as people's programs make them."""

import zipfile
from collections.abc import Sequence
from io import BytesIO

import docx
import pypdf
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

LINES = ("Ada Lovelace", "ada@example.org", "Skills", "Python, Go")


def pdf(
    lines: Sequence[str] = LINES, *, pages: int = 1, password: str | None = None, owner: str | None = None
) -> bytes:
    """A PDF with the lines on each page; encrypted where there is a password, be it the empty one."""
    writer = pypdf.PdfWriter()
    for _ in range(pages):
        page = writer.add_blank_page(595, 842)
        font = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Font"),
                NameObject("/Subtype"): NameObject("/Type1"),
                NameObject("/BaseFont"): NameObject("/Helvetica"),
            }
        )
        fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        stream = DecodedStreamObject()
        shown = "".join(f"({line}) Tj 0 -16 Td\n" for line in lines)
        stream.set_data(f"BT /F1 12 Tf 50 800 Td\n{shown}ET".encode("latin-1"))
        page[NameObject("/Contents")] = writer._add_object(stream.flate_encode())
    if password is not None:
        writer.encrypt(password, owner, algorithm="AES-256")
    return _bytes(writer.write)


def pdf_that_unpacks_to(size: int) -> bytes:
    """A PDF whose one page is drawn by a stream of so many bytes."""
    writer = pypdf.PdfWriter()
    stream = DecodedStreamObject()
    stream.set_data(b" " * size)
    writer.add_blank_page(595, 842)[NameObject("/Contents")] = writer._add_object(stream.flate_encode())
    return _bytes(writer.write)


def word(lines: Sequence[str] = LINES, *, header: str = "", cells: Sequence[str] = ()) -> bytes:
    """A Word file with the lines as its paragraphs, then a table of one row."""
    document = docx.Document()
    for line in lines:
        document.add_paragraph(line)
    if header:
        document.sections[0].header.paragraphs[0].text = header
    if cells:
        table = document.add_table(rows=1, cols=len(cells))
        for at, cell in enumerate(cells):
            table.cell(0, at).text = cell
    return _bytes(document.save)


def archive(**parts: bytes) -> bytes:
    """A zip file; a double underscore in a name stands for a slash, and a single one for a dot."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in parts.items():
            package.writestr(name.replace("__", "/").replace("_", "."), content)
    return file.getvalue()


def with_part(package: bytes, name: str, content: bytes) -> bytes:
    """Replace a part of a zip file."""
    file = BytesIO()
    with zipfile.ZipFile(BytesIO(package)) as before, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as after:
        for part in before.namelist():
            after.writestr(part, content if part == name else before.read(part))
    return file.getvalue()


def _bytes(write: object) -> bytes:
    file = BytesIO()
    write(file)  # type: ignore[operator]
    return file.getvalue()
