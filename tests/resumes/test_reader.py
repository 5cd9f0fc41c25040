"""Files of every kind, and of every kind of harm, through the process that reads them."""

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tertulia.domain.errors import InvalidInput
from tertulia.domain.recruiting import media_types
from tertulia.domain.recruiting.resumes import MAX_FILE_BYTES
from tertulia.resumes import files
from tertulia.resumes.reader import IsolatedReader
from tests.resumes.documents import LINES, archive, pdf, pdf_that_unpacks_to, with_part, word

_XML = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_LAUGHS = (
    _XML
    + b'<!DOCTYPE lolz [<!ENTITY a "'
    + b"ha" * 1000
    + b'">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 50) for n in range(8))
    + b']><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
    b"<w:body><w:p><w:r><w:t>&i;</w:t></w:r></w:p></w:body></w:document>"
)
_OUTSIDE = (
    _XML + b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
    b"<w:body><w:p><w:r><w:t>here: &f;</w:t></w:r></w:p></w:body></w:document>"
)
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 512


@pytest.fixture(scope="module")
def reader() -> IsolatedReader:
    return IsolatedReader()


READABLE = {
    "pdf": (pdf(), media_types.PDF),
    "pdf behind some junk": (b"\n\n\n" + pdf(), media_types.PDF),
    "pdf that needs no password": (pdf(password="", owner="owner"), media_types.PDF),
    "word": (word(), media_types.WORD),
    "text": ("\n".join(LINES).encode(), media_types.TEXT),
    "text with a byte order mark": ("\n".join(LINES).encode("utf-8-sig"), media_types.TEXT),
    "text of Windows' editor": ("\n".join(LINES).encode("utf-16"), media_types.TEXT),
}

UNREADABLE = {
    "empty": (b"", "is empty"),
    "too large": (b"a" * (MAX_FILE_BYTES + 1), "larger than 5 MiB"),
    "blank": (b" \n\t\n", "no text"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "neither PDF nor Word"),
    "rich text": (rb"{\rtf1\ansi Ada}", "neither PDF nor Word"),
    "another zip file": (archive(readme_txt=b"hello"), "neither PDF nor Word"),
    "old word": (_COMPOUND, "old kind"),
    "locked word": (_COMPOUND + "EncryptedPackage".encode("utf-16-le"), "locked"),
    "locked pdf": (pdf(password="secret"), "locked"),
    "pdf of a scan": (pdf(lines=()), "no text"),
    "long pdf": (pdf(pages=51), "more than 50 pages"),
    "cut pdf": (b"%PDF-1.7\n1 0 obj\n<<", "damaged"),
    "cut word": (word()[:2000], "damaged"),
    # The library leaves out what unpacks to too much.
    "pdf bomb": (pdf_that_unpacks_to(300_000_000), "no text"),
    "word bomb": (with_part(word(), "word/document.xml", b" " * 100_000_000), "unpacks to far more"),
    "word of many parts": (
        archive(word__document_xml=b"", **{f"p{number}": b"" for number in range(2001)}),
        "unpacks to far more",
    ),
    "a billion laughs": (with_part(word(), "word/document.xml", _LAUGHS), "damaged|no text"),
}


@pytest.mark.parametrize(("content", "media_type"), READABLE.values(), ids=READABLE)
async def test_a_file_is_known_by_its_content_and_read(reader: IsolatedReader, content: bytes, media_type: str) -> None:
    found = await reader.read(content)

    assert found.media_type == media_type
    assert tuple(line.strip() for line in found.text.splitlines() if line.strip()) == LINES


@pytest.mark.parametrize(("content", "problem"), UNREADABLE.values(), ids=UNREADABLE)
async def test_what_can_not_be_read_is_refused_with_the_reason(
    reader: IsolatedReader, content: bytes, problem: str
) -> None:
    with pytest.raises(InvalidInput, match=problem) as refused:
        await reader.read(content)

    assert refused.value.field == "body"


async def test_word_files_are_read_with_their_headers_and_tables(reader: IsolatedReader) -> None:
    found = await reader.read(word(("Skills",), header="Ada Lovelace", cells=("Python", "Go")))

    assert found.text.splitlines() == ["Ada Lovelace", "Skills", "Python", "Go"]


async def test_a_file_reads_nothing_but_itself(reader: IsolatedReader) -> None:
    found = await reader.read(with_part(word(), "word/document.xml", _OUTSIDE))

    assert found.text.strip() == "here:"


async def test_a_long_text_is_cut(reader: IsolatedReader) -> None:
    found = await reader.read(b"word " * 100_000)

    assert len(found.text) == files.MOST_CHARACTERS


async def test_a_file_that_takes_too_long_is_given_up() -> None:
    # No interpreter starts in a thousandth of a second.
    with pytest.raises(InvalidInput, match="too long"):
        await IsolatedReader(time_limit=timedelta(milliseconds=1)).read(pdf())


async def test_many_files_at_once_are_all_read(reader: IsolatedReader) -> None:
    found = await asyncio.gather(*(reader.read(f"Ada {number}".encode()) for number in range(8)))

    assert [each.text for each in found] == [f"Ada {number}" for number in range(8)]


@settings(max_examples=15)
@given(st.sampled_from([pdf(), word()]), st.integers(0, 10_000), st.binary(min_size=1, max_size=40))
async def test_a_file_with_a_damage_anywhere_is_read_or_refused(whole: bytes, at: int, damage: bytes) -> None:
    at %= len(whole)
    try:
        found = await IsolatedReader().read(whole[:at] + damage + whole[at + len(damage) :])
    except InvalidInput:
        return
    assert found.text.strip()
