"""Yes or no, and choices among what is on offer."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import lru_cache

from tertulia.domain.slots.kinds import Choice, ChoiceSlot, MultiChoiceSlot
from tertulia.domain.slots.outcome import NotUnderstood, Outcome, Reason, Understood
from tertulia.domain.slots.phrases import SHORT_ANSWER_CHARS, plain

_LEAD = r"(?:(?:oh|well|hmm|um|ah|sorry|unfortunately|sadly|i'm afraid|actually|thanks)[, ]+)*"
# "I have" is a yes; "I have a visa for Norway" has to be understood.
_STOP = r"(?=$|[,.!;])"
_YES = re.compile(
    _LEAD
    + r"(?:(?:y|ye[ps]+|yeah|yea|yup|ya|aye|sure(?: thing)?|of course(?! not)|absolutely(?! not)|definitely(?! not)"
    r"|certainly(?! not)|indeed|affirmative|no problem|no worries|no doubt|why not|👍|✅|si|sí|oui|ja|sim)(?![\w'])"
    r"|(?:true|correct|right|ok(?:ay)?|fine|exactly|totally|naturally|obviously|agreed|gladly|100 ?%|it is|that's right"
    rf"|i (?:do|am|have|can|will|would|could|did|was)(?: indeed| of course)?){_STOP})"
)
_NO = re.compile(
    _LEAD
    + r"(?:(?:nope|nah|never|negative|of course not|certainly not|definitely not|absolutely not|by no means|no way"
    r"|not (?:yet|really|at all|at the moment|right now|currently|any ?more)|👎|❌|nein|non|não)(?![\w'])"
    rf"|(?:n|no){_STOP}|no(?= (?:i|i'm|we|it|not|sorry|thanks|thank|never|unfortunately)\b)"
    r"|(?:false|unfortunately(?: not)?|i'?m afraid not|i'm not|it is not|it isn't"
    r"|i (?:(?:do|am|have|can|will|would|could|did) ?not"
    rf"|(?:do|have|ca|wo|would|could|did)n'?t)){_STOP})"
)
_NEGATION = re.compile(r"\b(?:not|no|never|cannot|nope)\b|n't\b")
_AFFIRMATION = re.compile(r"\b(?:yes|yeah|yep|sure)\b")
_HARMLESS = re.compile(r"\b(?:no|not an?) (?:problem|worries|doubt|issue)s?\b")
_HEDGE = re.compile(
    r"\b(?:but|except|unless|however|only if|if|depends|maybe|perhaps|not sure|don'?t know|no idea|yes and no)\b"
)
_NOT = re.compile(
    r"(?:\b(?:not|no|never|except|without|don'?t (?:want|like)|but|than|instead of|other than)|n't)(?: \w+){0,2} $"
)
_ALL = re.compile(
    r"(?:all(?: of (?:them|these|the above|it))?|any(?: of them| is fine)?|every(?:thing|one| one)|both|i don'?t mind)"
)
_NONE = re.compile(r"(?:none(?: of (?:them|these|the above))?|no|nothing|nope|neither)")
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5}
_PLACE = re.compile(
    r"(?:the |option |number |no |choice |answer |#)*"
    r"(\d{1,2}|first|second|third|fourth|fifth|last)(?:st|nd|rd|th)?(?: one| option| choice)?"
)
_BETWEEN = re.compile(r",|&|\band\b")
_TYPO_SIMILARITY = 0.8
_TYPO_CHARS = range(4, 41)


def understand_boolean(text: str) -> Outcome:
    """Read a yes or a no. A "yes, but" is neither."""
    said = _HARMLESS.sub("no problem", plain(text))
    yes, no = _YES.match(said), _NO.match(said)
    rest = said[(yes or no).end() :] if yes or no else ""  # type: ignore[union-attr]
    if not yes and not no:
        return NotUnderstood(Reason.UNCLEAR)
    contradiction = _NEGATION if yes else _AFFIRMATION
    if _HEDGE.search(rest) or contradiction.search(rest.replace("no problem", "")):
        return NotUnderstood(Reason.AMBIGUOUS)
    return Understood(yes is not None)


def understand_choice(slot: ChoiceSlot, text: str) -> Outcome:
    """Read the one choice that a text names, by name, by another word for it, or by its place in the list."""
    said = plain(text)
    named = _named(slot.choices, said) or _placed(slot.choices, said) or _misspelt(slot.choices, said)
    if len(named) == 1:
        return Understood(named[0])
    return NotUnderstood(Reason.AMBIGUOUS if named else Reason.NOT_OFFERED)


def understand_choices(slot: MultiChoiceSlot, text: str) -> Outcome:
    """Read all the choices that a text names, in the order in which they are offered."""
    said = plain(text)
    if slot.min_choices == 0 and _NONE.fullmatch(said):
        return Understood([])
    if _ALL.fullmatch(said):
        named = [choice.value for choice in slot.choices]
    else:
        named = _named(slot.choices, said) or _placed(slot.choices, said) or _misspelt(slot.choices, said)
    if len(named) >= max(1, slot.min_choices):
        return Understood(list(named))
    return NotUnderstood(Reason.TOO_SMALL if named else Reason.NOT_OFFERED)


def _named(choices: Sequence[Choice], text: str) -> list[str]:
    exact = [choice.value for choice in choices if text in _names(choice)]
    if exact or len(text) > SHORT_ANSWER_CHARS:
        return exact
    spans = [(span, at) for at, choice in enumerate(choices) for name in _names(choice) for span in _spans(name, text)]
    # A name inside a longer one ("site" in "on site") is not a second choice.
    named = {at for span, at in spans if not any(_covers(other, span) for other, _ in spans)}
    return [choices[at].value for at in sorted(named)]


def _covers(outer: tuple[int, int], inner: tuple[int, int]) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1] and outer != inner


def _spans(name: str, text: str) -> list[tuple[int, int]]:
    return [match.span() for match in _pattern(name).finditer(text) if not _NOT.search(text, 0, match.start())]


@lru_cache(maxsize=2048)
def _pattern(name: str) -> re.Pattern[str]:
    words = r"[\s-]?".join(re.escape(word) for word in re.split(r"[\s-]+", name))
    return re.compile(rf"(?<!\w){words}(?!\w)")


def _names(choice: Choice) -> tuple[str, ...]:
    return tuple(name.lower() for name in (choice.value, *choice.also))


def _placed(choices: Sequence[Choice], text: str) -> list[str]:
    """Name the choices whose places in the list make up the whole text: "2", "the first and the last"."""
    places = [_PLACE.fullmatch(part.strip()) for part in _BETWEEN.split(text)]
    if not all(places):
        return []
    numbers = {
        len(choices) if place[1] == "last" else _ORDINALS.get(place[1]) or int(place[1]) for place in places if place
    }
    return [choice.value for number, choice in enumerate(choices, 1) if number in numbers]


def _misspelt(choices: Sequence[Choice], text: str) -> list[str]:
    """Name the choices that a short text is a misspelling of."""
    if len(text) not in _TYPO_CHARS:
        return []
    return [choice.value for choice in choices if any(_is_similar(text, name) for name in _names(choice))]


def _is_similar(text: str, name: str) -> bool:
    return SequenceMatcher(None, text, name).ratio() >= _TYPO_SIMILARITY
