"""A whole transcript in one file, written page by page so that its length costs no memory."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from tertulia.api.access import allow
from tertulia.api.inputs import SessionInPath
from tertulia.api.ports import ApiPorts, Ports
from tertulia.api.problems import documented
from tertulia.api.sessions import stored_session
from tertulia.api.views import ExportFormat
from tertulia.domain.access import Scope
from tertulia.domain.conversation import Message
from tertulia.domain.turns import SessionRecord

router = APIRouter(prefix="/v1/sessions/{session_id}", tags=["messages"], dependencies=[allow(Scope.OPERATE)])

_PAGE = 500
_COLUMNS = ("seq", "turn", "role", "created_at", "message_id", "text")
# What makes a spreadsheet take a cell for a formula, and the full-width forms, which some fold into the plain ones.
# Source: OWASP, CSV Injection.
_FORMULA_STARTS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")


class _Layout(NamedTuple):
    media_type: str
    head: Callable[[SessionRecord], str]
    rows: Callable[[Sequence[Message]], Iterable[str]]
    separator: str
    foot: str


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The file",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "text/csv": {"schema": {"type": "string"}},
                "text/plain": {"schema": {"type": "string"}},
            },
        },
        **documented("not_found"),
    },
)
async def export_session(
    session_id: SessionInPath,
    ports: Ports,
    format: Annotated[ExportFormat, Query()] = ExportFormat.JSON,  # noqa: A002 the parameter's public name
) -> StreamingResponse:
    """Export a transcript. In CSV a cell that a spreadsheet would take for a formula begins with an apostrophe."""
    record = await stored_session(ports, session_id)
    first = await ports.transcripts.messages(session_id, limit=_PAGE)
    return StreamingResponse(
        _written(_LAYOUTS[format], record, _pages(ports, record, first)),
        media_type=_LAYOUTS[format].media_type,
        headers={"Content-Disposition": f'attachment; filename="session-{session_id}.{format}"'},
    )


async def _pages(ports: ApiPorts, record: SessionRecord, first: Sequence[Message]) -> AsyncIterator[Sequence[Message]]:
    page = first
    while page:
        yield page
        if len(page) < _PAGE:
            return
        page = await ports.transcripts.messages(record.session_id, after=page[-1].seq, limit=_PAGE)


async def _written(
    layout: _Layout, record: SessionRecord, pages: AsyncIterator[Sequence[Message]]
) -> AsyncIterator[str]:
    yield layout.head(record)
    separator = ""
    async for page in pages:
        yield separator + layout.separator.join(layout.rows(page))
        separator = layout.separator
    yield layout.foot


def _json_head(record: SessionRecord) -> str:
    return f'{{"session": {record.model_dump_json()},\n"messages": [\n'


def _json_rows(messages: Sequence[Message]) -> Iterable[str]:
    return (message.model_dump_json() for message in messages)


def _csv_head(_: SessionRecord) -> str:
    return csv_lines([_COLUMNS])


def _csv_rows(messages: Sequence[Message]) -> Iterable[str]:
    yield csv_lines([message.model_dump(mode="json")[column] for column in _COLUMNS] for message in messages)


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    """Write lines of CSV, in which no spreadsheet takes a cell for a formula."""
    file = io.StringIO()
    # Everything quoted, so that a spreadsheet of a country that separates by semicolons splits nothing.
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([cell(value) for value in row] for row in rows)
    return file.getvalue()


def cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.lstrip()[:1] in _FORMULA_STARTS else text


def _txt_head(record: SessionRecord) -> str:
    return f"Session {record.session_id} · {record.definition} · {record.state}\n\n"


def _txt_rows(messages: Sequence[Message]) -> Iterable[str]:
    for message in messages:
        text = message.text.replace("\n", "\n    ")
        yield f"[{message.created_at:%Y-%m-%d %H:%M:%S} UTC] {message.role}: {text}"


_LAYOUTS = {
    ExportFormat.JSON: _Layout("application/json", _json_head, _json_rows, ",\n", "\n]}\n"),
    ExportFormat.CSV: _Layout("text/csv; charset=utf-8", _csv_head, _csv_rows, "", ""),
    ExportFormat.TXT: _Layout("text/plain; charset=utf-8", _txt_head, _txt_rows, "\n", "\n"),
}
