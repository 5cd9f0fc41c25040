from typing import Any

import pytest

from tertulia.domain.slots import Reason, Understood, accept
from tests.domain.slot_tables import NOW, read, slot

YES_NO = slot("boolean")
MODE = slot(
    "choice",
    choices=[
        {"value": "remote", "also": ["from home", "wfh"]},
        {"value": "hybrid", "also": ["both", "mixed"]},
        {"value": "on-site", "also": ["office", "in the office", "site"]},
    ],
)
LANGUAGES = slot("multi_choice", choices=["Spanish", "English", "German"], min_choices=0)


@pytest.mark.parametrize(
    "text",
    [
        "yes", "Yes!", "y", "yep", "yeah", "YES I AM", "Yes, I do", "sure", "of course", "absolutely", "I do", "I am.",
        "I have", "correct", "that's right", "no problem", "why not", "ok", "sí", "👍", "Well, yes", "yes, no problem",
        "definitely", "Yes, since 2019", "sure thing", "it is",
    ],
)  # fmt: skip
def test_a_yes_is_understood_in_many_wordings(text: str) -> None:
    assert read(YES_NO, text) is True


@pytest.mark.parametrize(
    "text",
    [
        "no", "No.", "nope", "nah", "n", "not yet", "not really", "no, sorry", "No I don't", "I don't", "I do not",
        "I'm not", "I am not", "unfortunately not", "never", "of course not", "I can't", "sorry, no", "👎", "no thanks",
    ],
)  # fmt: skip
def test_a_no_is_understood_in_many_wordings(text: str) -> None:
    assert read(YES_NO, text) is False


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("yes and no", Reason.AMBIGUOUS),
        ("yes, but I need a visa", Reason.AMBIGUOUS),
        ("yes, I don't have a permit", Reason.AMBIGUOUS),
        ("no... well, yes", Reason.AMBIGUOUS),
        ("maybe", Reason.UNCLEAR),
        ("I don't know", Reason.UNCLEAR),
        ("I have a permit for Norway", Reason.UNCLEAR),
        ("I am from India", Reason.UNCLEAR),
        ("I don't need a visa", Reason.UNCLEAR),
        ("No visa needed", Reason.UNCLEAR),
        ("right now I can't", Reason.UNCLEAR),
        ("notice", Reason.UNCLEAR),
        ("yesterday", Reason.UNCLEAR),
        ("nothing of that", Reason.UNCLEAR),
        ("I'd rather not say", Reason.DECLINED),
    ],
)
def test_what_is_neither_yes_nor_no_is_asked_again(text: str, reason: Reason) -> None:
    assert read(YES_NO, text) is reason


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("remote", "remote"),
        ("Remote, please", "remote"),
        ("I'd love to work from home", "remote"),
        ("on site", "on-site"),
        ("onsite", "on-site"),
        ("ON-SITE", "on-site"),
        ("in the office", "on-site"),
        ("2", "hybrid"),
        ("the second one", "hybrid"),
        ("option 3", "on-site"),
        ("the last one", "on-site"),
        ("hybird", "hybrid"),
        ("hybrid, not remote", "hybrid"),
        ("both", "hybrid"),
        ("I don't want remote, office is better", "on-site"),
    ],
)
def test_a_choice_is_named_in_many_ways(text: str, choice: str) -> None:
    assert read(MODE, text) == choice


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("remote or hybrid", Reason.AMBIGUOUS),
        ("anything but remote", Reason.NOT_OFFERED),
        ("not remote", Reason.NOT_OFFERED),
        ("on the moon", Reason.NOT_OFFERED),
        ("4", Reason.NOT_OFFERED),
        ("0", Reason.NOT_OFFERED),
        ("remotely controlled drones from homeland", Reason.NOT_OFFERED),
        ("I'd rather not say", Reason.DECLINED),
    ],
)
def test_what_is_not_one_of_the_choices_is_asked_again(text: str, reason: Reason) -> None:
    assert read(MODE, text) is reason


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("Spanish and English", ["Spanish", "English"]),
        ("german, spanish", ["Spanish", "German"]),
        ("1 and 3", ["Spanish", "German"]),
        ("all of them", ["Spanish", "English", "German"]),
        ("English, but not German", ["English"]),
        ("none", []),
        ("Chinese", Reason.NOT_OFFERED),
    ],
)
def test_several_choices_are_kept_in_the_order_of_the_offer(text: str, chosen: Any) -> None:
    assert read(LANGUAGES, text) == chosen


def test_too_few_choices_are_asked_again() -> None:
    two = slot("multi_choice", choices=["Spanish", "English", "German"], min_choices=2)
    assert read(two, "only English") is Reason.TOO_SMALL
    assert read(two, "none") is Reason.NOT_OFFERED


def test_a_provider_s_choices_are_held_to_the_offer() -> None:
    assert accept(LANGUAGES, ["German", "Spanish"], NOW) == Understood(["Spanish", "German"])
    assert accept(LANGUAGES, [], NOW) == Understood([])
    assert not isinstance(accept(LANGUAGES, ["Chinese"], NOW), Understood)
    assert not isinstance(accept(MODE, "on the moon", NOW), Understood)


@pytest.mark.parametrize("answer", [True, False])
def test_a_provider_s_yes_or_no_is_taken_as_it_is(answer: bool) -> None:
    assert accept(YES_NO, answer, NOW) == Understood(answer)
