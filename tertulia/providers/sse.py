"""Server-sent events, decoded as their bytes come in. Knows nothing of sockets, nor of what the events mean.

Two liberties are taken beyond the HTML standard, because providers need them. A line of bare JSON is an event too:
so some report errors inside a stream, and so answers a server that does not stream. And a clean end of the stream ends
its last event. Newline-delimited JSON, which one provider speaks instead, is decoded here as well.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from tertulia.domain.errors import FailureClass, ProviderFailure
from tertulia.providers import untrusted

MAX_EVENT_BYTES = 8 * 2**20
MAX_STREAM_BYTES = 64 * 2**20

# A provider that slips now and then is still worth listening to; one that does it again and again talks something else.
MAX_BROKEN_EVENTS = 3

# Also matches a string that is never closed, since to look for its end from each later quote takes quadratic time.
_JSON_STRING = re.compile(r'"[^"\\]*(?:\\.?[^"\\]*)*(?:"|\Z)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Event:
    """One event: the name the server gave it (empty where none), and its data lines joined."""

    name: str
    data: str


class EventDecoder:
    """Bytes in, events out. Reads may split anywhere, even inside a character."""

    def __init__(self) -> None:
        self._received = 0
        self._line = bytearray()
        self._after_cr = False
        self._name = ""
        self._data: list[str] = []
        self._bare: list[str] = []
        self._bare_depth = 0
        self._kept = 0

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Take the next bytes; yield the events they complete. To be exhausted before the next call.

        Raises:
            ProviderFailure: MALFORMED, where an event or the stream grows beyond its bound.
        """
        self._received += len(chunk)
        if self._received > MAX_STREAM_BYTES:
            raise _too_large("stream", MAX_STREAM_BYTES)
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        self._after_cr = self._after_cr or chunk.endswith(b"\r")
        yield from filter(None, map(self._take, chunk.splitlines(keepends=True)))

    def end(self) -> Iterator[Event]:
        """Take the end of the stream; yield its last event, where no blank line had ended it."""
        yield from filter(None, (self._take(b"\n"), self._dispatch()))

    def _take(self, piece: bytes) -> Event | None:
        self._line += piece
        if self._kept + len(self._line) > MAX_EVENT_BYTES:
            raise _too_large("event", MAX_EVENT_BYTES)
        if not piece.endswith((b"\n", b"\r")):
            return None
        line = self._line.rstrip(b"\r\n").decode(errors="replace").removeprefix("\ufeff")
        self._line.clear()
        return self._take_line(line)

    def _take_line(self, line: str) -> Event | None:
        if not line and not self._bare:
            return self._dispatch()
        field, _, value = line.partition(":")
        match field:
            case "data":
                self._bare.clear()
                self._keep(self._data, value.removeprefix(" "))
            case "event":
                self._name = value.removeprefix(" ")
            case _ if self._bare or line.lstrip().startswith(("{", "[")):
                return self._take_bare(line)
        return None

    def _take_bare(self, line: str) -> Event | None:
        if not self._bare:
            self._bare_depth = 0
        self._keep(self._bare, line)
        # No JSON string holds a line break, so each line can be weighed by itself.
        structure = _JSON_STRING.sub("", line)
        self._bare_depth += sum(map(structure.count, "{[")) - sum(map(structure.count, "}]"))
        if self._bare_depth > 0:
            return None
        event = Event(name="", data="\n".join(self._bare))
        self._bare.clear()
        self._kept = 0
        return event

    def _keep(self, lines: list[str], line: str) -> None:
        lines.append(line)
        self._kept += len(line)

    def _dispatch(self) -> Event | None:
        event = Event(self._name, "\n".join(self._data)) if self._data else None
        self._name = ""
        self._data.clear()
        self._kept = 0
        return event


class LineDecoder:
    """Bytes in, an event for each line out. Reads may split anywhere, and may bring several lines."""

    def __init__(self) -> None:
        self._received = 0
        self._line = bytearray()

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Take the next bytes; yield the events they complete. To be exhausted before the next call.

        Raises:
            ProviderFailure: MALFORMED, where a line or the stream grows beyond its bound.
        """
        self._received += len(chunk)
        if self._received > MAX_STREAM_BYTES:
            raise _too_large("stream", MAX_STREAM_BYTES)
        for piece in chunk.splitlines(keepends=True):
            self._line += piece
            if len(self._line) > MAX_EVENT_BYTES:
                raise _too_large("line", MAX_EVENT_BYTES)
            if piece.endswith(b"\n"):
                yield self._take_line()

    def end(self) -> Iterator[Event]:
        """Take the end of the stream; yield its last line, where no line break had ended it."""
        if self._line:
            yield self._take_line()

    def _take_line(self) -> Event:
        line = self._line.decode(errors="replace")
        self._line.clear()
        return Event(name="", data=line)


class Decoder(Protocol):
    """Bytes in, events out."""

    def feed(self, chunk: bytes) -> Iterator[Event]: ...

    def end(self) -> Iterator[Event]: ...


@dataclass(frozen=True, slots=True)
class JSONEvent:
    """One event whose data is a JSON object; `data` is None for the sentinel `[DONE]`."""

    name: str
    data: dict[str, Any] | None


class JSONEventDecoder:
    """Bytes in, JSON objects out. Numbers with a fraction become Decimal, so that money stays exact."""

    def __init__(self, events: Decoder | None = None) -> None:
        self._events = events or EventDecoder()
        self._broken = 0

    def feed(self, chunk: bytes) -> Iterator[JSONEvent]:
        """Take the next bytes; yield the events they complete. To be exhausted before the next call.

        Raises:
            ProviderFailure: MALFORMED, where too much is not JSON, or too long.
        """
        return filter(None, map(self._parse, self._events.feed(chunk)))

    def end(self) -> Iterator[JSONEvent]:
        """Take the end of the stream; yield its last event, where no blank line had ended it."""
        return filter(None, map(self._parse, self._events.end()))

    def _parse(self, event: Event) -> JSONEvent | None:
        text = event.data.strip()
        if text == "[DONE]":
            return JSONEvent(event.name, None)
        value = untrusted.parse(text)
        # Some errors come wrapped in an array of one.
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, dict):
            return JSONEvent(event.name, value)
        if text:
            self._count_broken()
        return None

    def _count_broken(self) -> None:
        self._broken += 1
        if self._broken > MAX_BROKEN_EVENTS:
            raise ProviderFailure(FailureClass.MALFORMED, f"more than {MAX_BROKEN_EVENTS} events are not JSON objects")


def _too_large(what: str, limit: int) -> ProviderFailure:
    return ProviderFailure(FailureClass.MALFORMED, f"the {what} is larger than {limit // 2**20} MiB")
