"""Valid definitions of every shape, for tests of what holds for any of them."""

from typing import Any

from hypothesis import strategies as st

from tertulia.domain.definitions.definition import CheckedDefinition, Definition
from tertulia.domain.skills import SKILLS

# What each slot is, and a condition and a value that mention it.
_SLOTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "age": ({"type": "number", "ask": "Age?", "min": 0, "max": 150, "use_provider": True}, "age >= 18", "age * 2.0"),
    "topic": ({"type": "choice", "ask": "Topic?", "choices": ["bill", "fault"]}, 'topic == "bill"', '"fault"'),
    "tags": ({"type": "multi_choice", "ask": "Tags?", "choices": ["red", "blue"]}, '"red" in tags', '["blue"]'),
    "agreed": ({"type": "boolean", "ask": "Agreed?"}, "agreed", '"age" in answered'),
    "day": ({"type": "date", "ask": "Day?"}, "day > now", "now"),
    "pay": ({"type": "money", "ask": "Pay?", "currency": "EUR", "required": False}, "pay > 10", "100.0"),
    "mail": ({"type": "email", "ask": "Mail?"}, 'mail.endsWith(".org")', '"a@example.org"'),
    "name": ({"type": "name", "ask": "Name?"}, 'name != "Bob"', '"Ana"'),
    "note": ({"type": "text", "ask": "Note?", "required": False}, "size(note) > 3", '"written"'),
    "resume": ({"type": "document", "ask": "Résumé?", "required": False}, 'resume != ""', '"a long text about it all"'),
    "job": ({"type": "text", "ask": "Which job?"}, 'job != "none"', '"the first"'),
    "place": ({"type": "location", "ask": "Place?"}, 'place == "Madrid"', '"Madrid"'),
}
_WORDS = st.sampled_from(["", "Hello.", "So it is, {name|friend}.", "{age}"])
_CONFIRM = st.sampled_from(["", "Are you sure?"])


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    """Make a definition that passes every check."""
    slots = draw(st.lists(st.sampled_from(sorted(_SLOTS)), min_size=1, max_size=5, unique=True))
    states = [f"s{number}" for number in range(draw(st.integers(1, 5)))] + ["end"]
    a_state, some_slots = st.sampled_from(states), st.lists(st.sampled_from(slots), max_size=3, unique=True)
    described = {name: draw(_state(name, states[place + 1], states, slots)) for place, name in enumerate(states[:-1])}
    left = [slot for slot in slots if all(slot not in state["ask"] for state in described.values())]
    described["s0"]["ask"] += left
    return CheckedDefinition.model_validate(
        {
            "name": "random",
            "version": "1",
            "title": "Random",
            "digression": draw(st.sampled_from(["", "Answer."])),
            "initial": "s0",
            "states": described | {"end": {"say": "The end.", "score": True, "ends": draw(st.booleans())}},
            "slots": {
                name: _SLOTS[name][0]
                | draw(
                    st.fixed_dictionaries(
                        {},
                        optional={
                            "depends_on": some_slots,
                            "give_up_to": a_state,
                            "thanks": _WORDS,
                            "reminder": _WORDS,
                            "score": st.just({"weight": 1}),
                        },
                    )
                )
                for name in slots
            },
            "interruptions": draw(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "cancel": st.fixed_dictionaries({"confirm": _CONFIRM}, optional={"to": a_state}),
                        "start_over": st.fixed_dictionaries({"confirm": _CONFIRM}, optional={"to": a_state}),
                    },
                )
            ),
            "skills": draw(_uses(described, slots)),
            "digressions": draw(st.sampled_from([{}, {"hours": {"about": ["opening hours"], "say": "All day."}}])),
            "wordings": draw(st.sampled_from([{}, {"web": {"states": {"end": {"say": "Done."}}}}])),
            "context": {"name": "friend", "age": "young"} if not {"name", "age"} & set(slots) else _missing(slots),
        }
    )


def _usable(slots: list[str]) -> list[str]:
    return [name for name, skill in SKILLS.items() if set(skill.needs) <= set(slots)]


@st.composite
def _uses(draw: st.DrawFn, states: dict[str, Any], slots: list[str]) -> list[dict[str, Any]]:
    """Put some skills on offer, each with a state where it needs one."""
    uses = []
    for name in draw(st.lists(st.sampled_from(_usable(slots)), max_size=5, unique=True)):
        fitting = [state for state in states if name != "handover" or states[state]["hand_over"]]
        wants_state = SKILLS[name].is_led or draw(st.booleans())
        if fitting or not wants_state:
            to = {"to": draw(st.sampled_from(fitting))} if wants_state else {}
            uses.append({"use": name, "also": ["hello skill"], "use_provider": draw(st.booleans())} | to)
    return uses


def _missing(slots: list[str]) -> dict[str, str]:
    return {name: "unknown" for name in ("name", "age") if name not in slots}


@st.composite
def _state(draw: st.DrawFn, name: str, following: str, states: list[str], slots: list[str]) -> dict[str, Any]:
    """Describe a state. Its last step leads on, so that the end is reached and no circle is closed for ever."""
    asked = draw(st.lists(st.sampled_from(slots), max_size=3, unique=True))
    conditions = st.sampled_from(["questions_left", *(_SLOTS[slot][1] for slot in slots)])
    guarded = st.fixed_dictionaries({"to": st.sampled_from(states), "when": conditions})
    worked_out = draw(st.lists(st.sampled_from(slots), max_size=1))
    return {
        "ask": asked,
        "ask_together": "All of it?" if len(asked) > 1 and draw(st.booleans()) else "",
        "say": draw(_WORDS),
        "one_at_a_time": draw(st.booleans()),
        "reply": draw(st.sampled_from(["", "Answer."])),
        "hand_over": draw(st.sampled_from(["", "", "", "it is time"])),
        "run": draw(st.sampled_from(["", "", *(each for each in _usable(slots) if SKILLS[each].does)])),
        "skills": draw(st.sampled_from([[], ["small_talk"]])),
        "sets": {slot: _value(slot, slots) for slot in worked_out},
        "next": [*draw(st.lists(guarded, max_size=2)), following],
    }


def _value(slot: str, slots: list[str]) -> str:
    condition, value = _SLOTS[slot][1:]
    return value if slot != "agreed" or "age" in slots else condition
