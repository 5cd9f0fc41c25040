"""Tells a person what is kept of them, and changes it."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from tertulia.domain.errands import ChangeProfile, ReadProfile
from tertulia.domain.skills.skill import Do, Heard, Move, Situation, Skill, Tell, requests
from tertulia.domain.slots import Outcome, Understood, contacts, numbers, texts
from tertulia.domain.slots.kinds import NumberSlot

_YEARS = NumberSlot(type="number", ask="How many years?", unit="years", min=0, max=60)


class _Field(NamedTuple):
    """A field of a profile: what people call it, and how its value is read."""

    called: str
    understand: Callable[[str], Outcome]


_FIELDS: Mapping[str, _Field] = {
    "name": _Field(r"name", texts.understand_name),
    "email": _Field(r"e-?mail(?: address)?", contacts.understand_email),
    "phone": _Field(r"(?:tele|mobile )?phone(?: number)?", lambda said: contacts.understand_phone(said, None)),
    "location": _Field(r"(?:location|address|town|city|place)", texts.understand_location),
    "experience_years": _Field(r"(?:years of )?experience", lambda said: numbers.understand_number(_YEARS, said)),
}
_READS = requests(
    r"(?:what|which (?:of my )?data) (?:do you know|do you (?:keep|store)|have you (?:kept|stored|got)|is stored) "
    r"(?:about|of|on) me",
    r"(?:show|see|view|read|change|update|edit|correct)(?: me)? my (?:profile|(?:personal )?(?:details|data)"
    r"|contact (?:details|data))",
)
_CHANGES = {
    name: requests(rf"(?:change|update|correct|set) my (?:{field.called})(?: (?:to|into) (?P<{name}>.+))?")
    for name, field in _FIELDS.items()
}


def _recognises(text: str) -> Heard | None:
    if _READS(text) is not None:
        return {}
    found = (recognise(text) for recognise in _CHANGES.values())
    return next((heard for heard in found if heard is not None), None)


def _does(situation: Situation) -> Move:
    heard = _recognises(situation.text)
    if heard is None or _READS(situation.text) is not None:
        return Do(ReadProfile())
    read = {name: _FIELDS[name].understand(said or "") for name, said in heard.items()}
    changes = {name: outcome.value for name, outcome in read.items() if isinstance(outcome, Understood)}
    return Do(ChangeProfile(changes=changes)) if changes else Tell("how")


SKILL = Skill(
    summary="tells what is kept of the person, and changes their contact details",
    recognises=_recognises,
    does=_does,
    words={
        "found": "This is what I have kept of you:\n{lines}\nTo change something, just write: change my phone to …",
        "nothing": "I have kept nothing of you yet.",
        "line": "{field}: {value}",
        "done": "Thank you, I have changed that:\n{lines}",
        "how": "Please write the new one along, such as: change my phone to +34 612 345 678.",
        "refused": "I can't keep that: {reason}.",
        "field_name": "name",
        "field_email": "e-mail",
        "field_phone": "phone",
        "field_location": "place",
        "field_experience_years": "years of experience",
        "field_skills": "skills",
    },
)
