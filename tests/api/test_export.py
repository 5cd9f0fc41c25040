import csv
import io
import string

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.api.export import cell
from tertulia.domain.conversation import Message, Role
from tertulia.domain.ids import SessionId
from tests.api.conftest import World

FULL_WIDTH = "\uff1d\uff0b\uff0d\uff20"


@pytest.fixture
def export(session: SessionId) -> str:
    """The path of a session's export."""
    return f"/v1/sessions/{session}/export"


async def test_json_has_the_session_and_every_message(
    api: httpx.AsyncClient, world: World, session: SessionId, export: str
) -> None:
    told = world.transcripts.say(session, Role.USER, 'quotes " and\nlines', turn=1)

    answer = await api.get(export)

    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"] == 'attachment; filename="session-s-1.json"'
    assert answer.json()["session"]["user_id"] == "ada"
    assert Message.model_validate(answer.json()["messages"][-1]) == told


async def test_csv_reads_back_as_it_was_said(
    api: httpx.AsyncClient, world: World, session: SessionId, export: str
) -> None:
    world.transcripts.say(session, Role.USER, 'quotes ", commas,\nlines; Zürich', turn=1)

    answer = await api.get(export, params={"format": "csv"})

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [(row["seq"], row["role"], row["text"]) for row in rows] == [
        ("1", "assistant", "Hello! What is your name?"),
        ("2", "user", 'quotes ", commas,\nlines; Zürich'),
    ]


async def test_txt_is_for_people(api: httpx.AsyncClient, world: World, session: SessionId, export: str) -> None:
    world.transcripts.say(session, Role.USER, "one\ntwo", turn=1)

    answer = await api.get(export, params={"format": "txt"})

    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == (
        "Session s-1 · greeter · onboarding\n"
        "\n"
        "[2026-03-14 12:00:01 UTC] assistant: Hello! What is your name?\n"
        "[2026-03-14 12:00:02 UTC] user: one\n"
        "    two\n"
    )


@pytest.mark.parametrize("file_format", ["json", "csv", "txt"])
@pytest.mark.parametrize("count", [0, 499, 1001])
async def test_a_long_transcript_is_exported_whole(
    api: httpx.AsyncClient, world: World, session: SessionId, export: str, file_format: str, count: int
) -> None:
    for number in range(count):
        world.transcripts.say(session, Role.USER, f"<{number}>", turn=1)

    answer = await api.get(export, params={"format": file_format})

    assert [number for number in range(count + 1) if f"<{number}>" in answer.text] == list(range(count))
    if file_format == "json":
        assert [message["seq"] for message in answer.json()["messages"]] == list(range(1, count + 2))


async def test_an_unknown_format_is_refused(api: httpx.AsyncClient, export: str) -> None:
    answer = await api.get(export, params={"format": "xlsx"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "query.format"


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", " \t=1+1", "\n=1+1", "\r\n@x", "\u00a0=1+1", "\uff1d1+1", "\uff20x"]
)
def test_a_formula_becomes_text(text: str) -> None:
    assert cell(text) == f"'{text}"


@given(st.text(alphabet=st.sampled_from(string.printable + FULL_WIDTH + "\u00a0")))
def test_no_cell_begins_a_formula_and_nothing_else_is_changed(text: str) -> None:
    written = cell(text)

    assert written.strip()[:1] not in set("=+-@" + FULL_WIDTH)
    assert written in {text, f"'{text}"}
