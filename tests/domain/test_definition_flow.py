"""What a definition is refused for although everything that it mentions exists."""

from typing import Any

import pytest
from pydantic import ValidationError

from tertulia.domain.skills import SKILLS
from tests.domain.conversations import define

NAME = {"type": "name", "ask": "Who?"}
AGE = {"type": "number", "ask": "How old?"}
TOPIC = {"type": "choice", "ask": "What?", "choices": ["invoice", "refund"]}
BYE = {"say": "Bye."}


def flaws(**given: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as raised:
        define(**given)
    return [(".".join(str(part) for part in error["loc"]), error["msg"]) for error in raised.value.errors()]


def asking(*steps: Any, **slots: Any) -> dict[str, Any]:
    """Make a definition whose one state asks for everything and then takes one of the steps to `done` or `other`."""
    slots = slots or {"name": NAME}
    states = {"asking": {"ask": list(slots), "next": list(steps)}, "done": BYE, "other": BYE}
    return {"states": states, "slots": slots}


@pytest.mark.parametrize(
    ("given", "place", "told"),
    [
        (
            asking("done"),
            "states.other",
            "nothing leads to 'other'; name it under another state's `next`, or remove it",
        ),
        (
            {"states": {"asking": {"ask": ["name"], "next": "done"}, "done": {}}},
            "states.done",
            "this is a dead end; add `next`, or something to `say`, a `reply`, or `ends: true`",
        ),
        (
            asking({"to": "done", "when": "age < 18"}, {"to": "other", "when": "age >= 18"}, age=AGE),
            "states.asking.next",
            "where none of these conditions holds the conversation is stuck; end with a step that has none, or add a",
        ),
        (
            asking("done", {"to": "other", "when": "age >= 18"}, age=AGE),
            "states.asking.next.1",
            "this is never reached, for 'done' ahead of it is always taken; give that one a `when`",
        ),
        (
            {"states": {"asking": {"ask": ["name"], "next": "again"}, "again": {"next": "asking"}}},
            "states.asking.next",
            "nothing ever leaves this circle: asking → again → asking; give a step in it a `when`",
        ),
        (
            {"slots": {"name": NAME, "age": AGE}},
            "slots.age",
            "'age' is never asked for; name it under a state's `ask`, or remove it",
        ),
        (
            asking({"to": "done", "when": "age < 18"}, "other", age=AGE, name=NAME) | {"results": ["age"]},
            "slots.name",
            "'name' is asked for and never used; list it under `results`, or don't ask for it",
        ),
        (
            {"slots": {"name": NAME | {"score": {"weight": 1}}}},
            "slots.name.score",
            "no state works out a score; give one `score: true`, or remove this",
        ),
        (
            asking({"to": "done", "when": "agee < 18"}, "other", age=AGE),
            "states.asking.next.0.when",
            "nothing is called agee (at character 1); there are age, answered, channel, language, now, questions_left",
        ),
        (
            asking({"to": "done", "when": 'age < "18"'}, "other", age=AGE),
            "states.asking.next.0.when",
            "`<` does not go with number and text (at character 5)",
        ),
        (
            asking({"to": "done", "when": 'topic == "invoce"'}, "other", topic=TOPIC),
            "states.asking.next.0.when",
            "topic is never 'invoce'; it may be invoice, refund",
        ),
        (
            asking({"to": "done", "when": '"nmae" in answered'}, "other"),
            "states.asking.next.0.when",
            "answered is never 'nmae'; it may be name",
        ),
        (
            {"states": {"asking": {"ask": ["name"], "next": "done"}, "done": BYE | {"sets": {"name": "1 > 0"}}}},
            "states.done.sets.name",
            "this yields yes or no, where text is needed",
        ),
        (
            {"states": {"asking": {"ask": ["name"], "next": "done"}, "done": BYE | {"sets": {"age": "1.0"}}}},
            "states.done.sets.age",
            "there is no slot 'age'; define it under `slots`",
        ),
        (
            {"states": {"asking": {"ask": ["name"], "ask_together": "Who?", "next": "done"}, "done": BYE}},
            "states.asking.ask_together",
            "this is for several slots; list them under `ask`",
        ),
        (
            {"interruptions": {"cancel": {"to": "nowhere"}}},
            "interruptions.cancel.to",
            "there is no state 'nowhere'; there are asking, done",
        ),
        ({"skills": ["cooking"]}, "skills.0.use", f"there is no skill 'cooking'; there are {', '.join(SKILLS)}"),
        ({"skills": ["handover"]}, "skills.0", "'handover' needs a state; say which one under `to`"),
        (
            {"skills": [{"use": "handover", "to": "done"}]},
            "skills.0.to",
            "'done' has no `hand_over`; name a state that has",
        ),
        (
            {"skills": [{"use": "small_talk", "to": "nowhere"}]},
            "skills.0.to",
            "there is no state 'nowhere'; there are asking, done",
        ),
        (
            {"skills": ["small_talk", "small_talk"]},
            "skills.1",
            "'small_talk' is on offer here already; remove one of the two",
        ),
        (
            {"states": {"asking": {"ask": ["name"], "skills": ["resume_intake"], "next": "done"}, "done": BYE}},
            "states.asking.skills.0",
            "'resume_intake' needs the slot 'resume'; define it under `slots`, and ask for it",
        ),
        (
            {"states": {"asking": {"ask": ["name"], "run": "resume_intake", "next": "done"}, "done": BYE}},
            "states.asking.run",
            "'resume_intake' needs the slot 'resume'; define it under `slots`, and ask for it",
        ),
        (
            {"states": {"asking": {"ask": ["name"], "run": "cooking", "next": "done"}, "done": BYE}},
            "states.asking.run",
            f"there is no skill 'cooking'; there are {', '.join(SKILLS)}",
        ),
        (
            {"states": {"asking": {"ask": ["name"], "next": "done"}, "done": BYE | {"run": "small_talk"}}},
            "states.done.run",
            "say where to go on when the work is done: end `next` with a step that has no condition",
        ),
        (
            {"states": {"asking": {"ask": ["name"], "run": "onboarding", "next": "done"}, "done": BYE}},
            "states.asking.run",
            "'onboarding' only leads to a state, and has no work of its own to do",
        ),
        (
            {"skill_words": {"small_talk": {"joke": "Ha."}}},
            "skill_words.small_talk",
            "the skill 'small_talk' is not used; those used are none",
        ),
        (
            {"skills": ["small_talk"], "skill_words": {"small_talk": {"weather": "Fine."}}},
            "skill_words.small_talk.weather",
            "'small_talk' has no words 'weather'; it has wellbeing, identity, pleasure, joke",
        ),
        (
            {"skills": ["small_talk"], "skill_words": {"small_talk": {"joke": "Ha, {nobody}."}}},
            "skill_words.small_talk.joke",
            "nothing is called {nobody}; there are name",
        ),
        (
            {"slots": {"name": NAME | {"give_up_to": "nowhere"}}},
            "slots.name.give_up_to",
            "there is no state 'nowhere'; there are asking, done",
        ),
        (
            {"slots": {"name": NAME | {"depends_on": ["age"]}}},
            "slots.name.depends_on.0",
            "there is no slot 'age'; define it under `slots`",
        ),
        ({"results": ["age"]}, "results.0", "there is no slot 'age'; define it under `slots`"),
        (
            {"context": {"now": "x"}},
            "context.now",
            "'now' means something of its own in texts and conditions; rename it",
        ),
        (
            {"timers": {"reminder_after": "2d", "expire_after": "24h"}},
            "timers.reminder_after",
            "the session expires first; remind earlier, or expire later",
        ),
        (
            {"digressions": {"hours": {"about": ["hours"], "say": "{x}"}}},
            "digressions.hours.say",
            "nothing is called {x}",
        ),
        ({"language": "es"}, "prompts", "these are still in English: apology, no_answer, reminder, expired, closing"),
        (
            {"wordings": {"whatsapp": {"states": {"gone": {"say": "x"}}}}},
            "wordings.whatsapp.states.gone",
            "there is no 'gone' under `states`; there are asking, done",
        ),
        (
            {"wordings": {"whatsapp": {"prompts": {"help": "{x}"}}}},
            "wordings.whatsapp.prompts.help",
            "nothing is called {x}",
        ),
        (
            {"wordings": {"Español": {}}},
            "wordings.Español",
            "this is neither a language (es), nor a channel (whatsapp), nor both (es/whatsapp)",
        ),
        (
            {"wordings": {"es": {}}},
            "wordings.es",
            "without words for states.done.say, slots.name.ask, prompts.apology, prompts.no_answer",
        ),
    ],
)
def test_what_can_not_work_is_refused_with_its_place_and_what_to_do(
    given: dict[str, Any], place: str, told: str
) -> None:
    ((found, message),) = flaws(**given)
    assert found == place
    assert message.startswith(told)


def test_an_expression_is_what_makes_a_slot_used() -> None:
    define(**asking({"to": "done", "when": '"name" in answered'}, "other"), results=[])


def test_a_state_that_only_an_interruption_or_a_hand_leads_to_is_reached() -> None:
    states = {"asking": {"ask": ["name"], "next": "done"}, "done": BYE, "gone": BYE}
    define(states=states, interruptions={"cancel": {"to": "gone"}})
    define(states=states, transitions={"asking": ["done", "gone"]})
    define(states=states, slots={"name": NAME | {"give_up_to": "gone"}})


def test_a_circle_that_a_condition_can_leave_is_none() -> None:
    states = {
        "asking": {"ask": ["name"], "one_at_a_time": True, "next": "deciding"},
        "deciding": {"next": [{"to": "asking", "when": "questions_left"}, "done"]},
        "done": BYE,
    }
    define(states=states)
