"""Cuts long texts into messages where a reader would pause."""

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

# The best place first: between paragraphs, lines, sentences, words.
_PAUSES = tuple(map(re.compile, (r"\n\s*\n", r"\n", r"(?<=[.!?…:;])\s", r"\s")))
# A pause earlier than that would make the part needlessly short.
_LEAST_FILLED = 0.5
_JOINER = "\u200d"
_SELECTORS = "\ufe0e\ufe0f"
_BEYOND_BMP = 0xFFFF


class Span(NamedTuple):
    """A part of a text: from `start` to before `end`, in characters."""

    start: int
    end: int


def length(text: str) -> int:
    """Count UTF-16 code units, as messengers do."""
    return len(text) + sum(ord(character) > _BEYOND_BMP for character in text)


def parts(text: str, limit: int, room: int = 0) -> tuple[Span, ...]:
    """Cut a text so that each part has at most `limit` UTF-16 code units, at least 2; only blanks at the cuts go.

    Args:
        room: What the last part leaves of that, UTF-16 code units; at most `limit - 2`.

    Returns:
        The parts in order, none of them blank.
    """
    return tuple(_parts(text, limit, room))


def _parts(text: str, limit: int, room: int) -> Iterator[Span]:
    start = _beyond_blanks(text, 0)
    while start < len(text):
        is_last = _furthest(text, start, limit) == len(text)
        end = _cut(text, start, limit - room if is_last else limit)
        yield Span(start, start + len(text[start:end].rstrip()))
        start = _beyond_blanks(text, end)


def _beyond_blanks(text: str, start: int) -> int:
    return len(text) - len(text[start:].lstrip())


def _cut(text: str, start: int, limit: int) -> int:
    most = _furthest(text, start, limit)
    if most == len(text):
        return most
    least = start + int((most - start) * _LEAST_FILLED)
    for pause in _PAUSES:
        # One character more: a part may end right where the limit is, if a blank follows.
        ends = [found.start() for found in pause.finditer(text, least, most + 1)]
        if ends and ends[-1] > start:
            return ends[-1]
    return _before_joined(text, start, most)


def _furthest(text: str, start: int, limit: int) -> int:
    units = 0
    for end in range(start, min(len(text), start + limit)):
        units += 2 if ord(text[end]) > _BEYOND_BMP else 1
        if units > limit:
            return end
    return min(len(text), start + limit)


def _before_joined(text: str, start: int, end: int) -> int:
    """Go back to where nothing belongs together that looks like one character, unless that leaves nothing."""
    at = end
    while at > start and (_clings(text[at]) or text[at - 1] == _JOINER):
        at -= 1
    return at if at > start else end


def _clings(character: str) -> bool:
    return character == _JOINER or character in _SELECTORS or unicodedata.combining(character) != 0
