"""Words kept as they were written: names, places, short texts and documents."""

import re
from collections.abc import Mapping

from pydantic import JsonValue

from tertulia.domain.recruiting.media_types import PDF, TEXT, WORD
from tertulia.domain.slots import phrases
from tertulia.domain.slots.kinds import DocumentSlot, TextSlot
from tertulia.domain.slots.outcome import NotUnderstood, Outcome, Reason, Understood

EXCERPT_CHARS = 280
FILE_KINDS = {PDF: "a PDF file", WORD: "a Word file", TEXT: "a text file"}

_NAME_CHARS = 100
_NAME_LEAD = re.compile(
    r"(?:(?:hi|hello|hey|good (?:morning|afternoon|evening)|sure|ok|okay|yes|well|of course|thanks|thank you)"
    r"(?: there)?[,.! ]+)*"
    r"(?:(?:my|the) (?:(?:full|first|complete|real) )?name(?: is|'s|:)?|i am called|i'm called|people call me"
    r"|(?:you can |please |just )*call me|this is|it'?s|it is|i'?m|i am|name:|me llamo|soy)?[ :,]*",
    re.IGNORECASE,
)
# A full stop ends a name, unless it belongs to a title or an initial.
_NAME_TAIL = re.compile(
    r"\s*(?:(?<!dr)(?<!mr)(?<!mrs)(?<!ms)(?<!prof)(?<!\b\w)\.|[,;!(\n]| - |:\)|\band (?:i|my|you)\b"
    r"|\b(?:here|speaking|nice to meet|but|by the way)\b|\b\S+@|\+?\d).*",
    re.IGNORECASE | re.DOTALL,
)
_NAME = re.compile(r"[^\W\d_][\w'\u2019.\-]*(?: [^\W\d_][\w'\u2019.\-]*){0,5}")
# Whoever writes one of these is saying something else than a name.
_IN_NO_NAME = frozenset(
    phrases.words(
        "i you we they me my your not don't dont can't cant won't why what who how when where is are was am the a an"
        " and or to of for rather prefer say tell want need looking apply applying interested job work position role"
        " please thanks thank hello hi hey yes no yeah nope sure ok okay help name email phone anonymous nobody"
        " nothing none test skip secret private here there good fine"
    )
)
_LOCATION_CHARS = 120
_LOCATION_LEAD = re.compile(
    r"(?:(?:i(?:'m| am)?|we(?:'re| are)?) )?(?:currently |now )?"
    r"(?:(?:live|living|based|located|staying|reside|residing)? ?(?:in|at|near|from)|come from)\s+",
    re.IGNORECASE,
)
_LETTER = re.compile(r"[^\W\d_]")


def understand_text(slot: TextSlot, text: str) -> Outcome:
    """Take the text as it is, unless it declines, says nothing, or asks."""
    reason = _saying_nothing(text) or _out_of_bounds(text, slot.min_length, slot.max_length)
    if reason is None and phrases.is_question(text) and not slot.may_ask:
        reason = Reason.UNCLEAR
    if reason is None and slot.pattern and not re.fullmatch(slot.pattern, text):
        reason = Reason.WRONG_FORMAT
    return Understood(text) if reason is None else NotUnderstood(reason)


def understand_name(text: str) -> Outcome:
    """Find a person's name."""
    if phrases.is_decline(text):
        return NotUnderstood(Reason.DECLINED)
    if len(text) > phrases.SHORT_ANSWER_CHARS or phrases.begins_as_question(text):
        return NotUnderstood(Reason.UNCLEAR)
    lead = _NAME_LEAD.match(text)
    name = _NAME_TAIL.sub("", text[lead.end() if lead else 0 :]).strip(" .,!")
    if len(name) > _NAME_CHARS or not _NAME.fullmatch(name) or not _IN_NO_NAME.isdisjoint(phrases.plain(name).split()):
        return NotUnderstood(Reason.UNCLEAR)
    return Understood(name.title() if name == name.lower() else name)


def understand_location(text: str) -> Outcome:
    """Take a place as it was written, without "I live in"."""
    if reason := _saying_nothing(text) or _out_of_bounds(text, 2, _LOCATION_CHARS):
        return NotUnderstood(reason)
    place = _LOCATION_LEAD.sub("", text, count=1).strip(" .!")
    if phrases.begins_as_question(text) or not _LETTER.search(place):
        return NotUnderstood(Reason.UNCLEAR)
    return Understood(place)


def understand_document(slot: DocumentSlot, text: str) -> Outcome:
    """Take a long text; keep its length and its beginning."""
    if reason := _saying_nothing(text):
        return NotUnderstood(reason)
    if len(text) < slot.min_length:
        return NotUnderstood(Reason.TOO_SHORT)
    return Understood(_abstract(text))


def document_of_file(media_type: str, size_bytes: int) -> dict[str, JsonValue]:
    """Return what a slot keeps of a file."""
    excerpt = f"{FILE_KINDS.get(media_type, 'a file')} of {max(1, round(size_bytes / 1024)):,} KB"
    return {"media_type": media_type, "size_bytes": size_bytes, "excerpt": excerpt}


def accept_document(value: Mapping[str, object]) -> Outcome:
    """Take a file by reference, as `document_of_file` writes it; only what it needs to say is read."""
    match value:
        case {"media_type": str(media_type), "size_bytes": int(size_bytes)} if media_type in FILE_KINDS:
            return Understood(document_of_file(media_type, size_bytes))
        case _:
            return NotUnderstood(Reason.UNCLEAR)


def _abstract(text: str) -> JsonValue:
    beginning = " ".join(text[: 2 * EXCERPT_CHARS].split())[:EXCERPT_CHARS]
    return {"characters": len(text), "words": len(text.split()), "excerpt": beginning}


def _saying_nothing(text: str) -> Reason | None:
    if phrases.is_decline(text):
        return Reason.DECLINED
    return Reason.UNCLEAR if phrases.is_filler(text) or phrases.is_unknown(text) else None


def _out_of_bounds(text: str, least: int, most: int) -> Reason | None:
    if len(text) < least:
        return Reason.TOO_SHORT
    return Reason.TOO_LONG if len(text) > most else None
