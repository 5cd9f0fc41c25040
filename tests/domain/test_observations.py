"""What is noted of a conversation while it goes on."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tertulia.domain import machine
from tertulia.domain.conversation import TurnStatus
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.events import Event, PersonSaid, SessionExpired, SessionStarted, TransitionRequested
from tertulia.domain.figures import HeardAs, Passage, Progress, Standing, TurnFigures
from tertulia.domain.observations import TurnObserver
from tests import recruiting_script as script
from tests.domain.conversations import BUNDLED, NOW, define

RECRUITING = BUNDLED.get("recruiting")  # type: ignore[arg-type]
ASSISTANT = BUNDLED.get("assistant")  # type: ignore[arg-type]
INTERVIEW = define(
    states={"asking": {"ask": ["name", "age"], "next": "done"}, "done": {"say": "Goodbye.", "ends": True}},
    slots={
        "name": {"type": "name", "ask": "Who are you?"},
        "age": {"type": "number", "ask": "How old are you?", "required": False},
    },
    digressions={"why": {"about": ["why"], "say": "Because."}},
    interruptions={"cancel": {"say": "Goodbye."}},
)


class Watched:
    """A conversation of which every turn is watched; each takes a minute, and its message came ten seconds before."""

    def __init__(self, definition: Definition, progress: Progress | None = None) -> None:
        self.definition = definition
        self.state = machine.initial(definition)
        self.progress = progress or Progress()
        self.figures = TurnFigures()
        self.at = NOW
        self.turn(SessionStarted())

    def turn(
        self,
        *events: Event,
        status: TurnStatus = TurnStatus.ANSWERED,
        ends: str | None = None,
        handed_over: bool = False,
        to: str | None = None,
    ) -> TurnFigures:
        """Take a turn; `to` is where the machine is put without any event, as an undo does."""
        observer = TurnObserver(self.progress, self.state)
        said = any(isinstance(event, PersonSaid) for event in events)
        for event in events:
            observed = machine.observe(self.definition, self.state, event, self.at)
            observer.see(observed, self.at)
            self.state = observed.state
            ends = ends or next((effect.reason for effect in observed.effects if effect.kind == "end_session"), None)
        if to is not None:
            self.state = self.state.model_copy(update={"state": to})
        self.at += timedelta(minutes=1)
        self.figures, self.progress = observer.end(
            self.definition,
            self.state,
            status=status,
            ends=ends,
            handed_over=handed_over,
            arrived_at=self.at - timedelta(seconds=70) if said else None,
            answered=True,
            at=self.at,
        )
        return self.figures

    def hears(self, text: str, **how: Any) -> TurnFigures:
        return self.turn(PersonSaid(text=text), **how)

    def heard(self, text: str, **how: Any) -> tuple[str | None, HeardAs | None]:
        figures = self.hears(text, **how)
        return figures.heard_slot, figures.heard_as


def ways(figures: TurnFigures) -> Iterator[tuple[str | None, str | None]]:
    return ((passage.source, passage.target) for passage in figures.passages)


def at(minute: float) -> datetime:
    return NOW + timedelta(minutes=minute)


def test_the_opening_enters_the_first_states_and_leaves_those_that_wait_for_nobody() -> None:
    assert Watched(RECRUITING).figures.passages == (
        Passage(at=NOW, target="initialized", first=True),
        Passage(at=NOW, source="initialized", target="onboarding", first=True, stayed_ms=0),
    )


def test_a_stay_lasts_from_the_passage_into_a_state_to_the_one_out_of_it() -> None:
    watched = Watched(INTERVIEW)
    watched.hears("Ana López")
    figures = watched.hears("42")
    assert figures.passages == (
        Passage(at=at(2), source="asking", target="done", first=True, stayed_ms=120_000),
        Passage(at=at(3), source="done", stayed_ms=60_000),
    )


def test_a_state_is_entered_for_the_first_time_once() -> None:
    watched = Watched(RECRUITING)
    passages = [
        passage for answer in script.ANSWERS for passage in watched.hears(answer).passages if passage.target is not None
    ]
    entered = [passage.target for passage in passages]
    assert entered.count("processing") > 1
    for state in set(entered):
        assert [passage.first for passage in passages if passage.target == state] == [True] + [False] * (
            entered.count(state) - 1
        )
    assert watched.progress.visited[-1] == "completed"


def test_in_error_the_session_stays_where_it_was() -> None:
    watched = Watched(INTERVIEW)
    figures = watched.turn(TransitionRequested(state="error"))
    assert (watched.state.state, watched.progress.state, figures.passages) == ("error", "asking", ())
    assert watched.progress.standing is Standing.ASKING


def test_where_what_was_done_is_undone_the_way_back_is_a_passage_too() -> None:
    watched = Watched(RECRUITING)
    assert list(ways(watched.turn(to="waiting_for_input"))) == [("onboarding", "waiting_for_input")]
    figures = watched.turn(to="onboarding")
    assert [(passage.target, passage.first, passage.stayed_ms) for passage in figures.passages] == [
        ("onboarding", False, 60_000)
    ]


def test_a_session_that_nobody_has_watched_from_its_beginning_is_taken_up_where_it_is() -> None:
    watched = Watched(INTERVIEW)
    watched.progress = Progress()
    assert watched.hears("I beg your pardon").passages == (Passage(at=at(2), target="asking", first=True),)


def test_the_end_of_a_turn_can_be_worked_out_again() -> None:
    observer = TurnObserver(Progress(), machine.initial(INTERVIEW))
    observed = machine.observe(INTERVIEW, machine.initial(INTERVIEW), SessionStarted(), NOW)
    observer.see(observed, NOW)
    ends = [
        observer.end(
            INTERVIEW,
            observed.state,
            status=TurnStatus.CANCELLED,
            ends="gone",
            handed_over=False,
            arrived_at=None,
            answered=False,
            at=NOW,
        )
        for _ in range(2)
    ]
    assert ends[0] == ends[1]


def test_what_became_of_a_question_is_told_by_the_answer() -> None:
    watched = Watched(INTERVIEW)
    assert watched.heard("17:30!!") == ("name", HeardAs.NOT_UNDERSTOOD)
    assert watched.heard("skip") == ("name", HeardAs.DECLINED)
    assert watched.heard("why?") == ("name", HeardAs.ASKED_AGAIN)
    assert watched.heard("Ana López") == ("name", HeardAs.ANSWERED)
    assert watched.heard("skip") == ("age", HeardAs.SKIPPED)


def test_an_optional_question_is_not_understood_to_the_last() -> None:
    watched = Watched(INTERVIEW)
    watched.hears("Ana López")
    assert [watched.heard("hm") for _ in range(3)] == [("age", HeardAs.NOT_UNDERSTOOD)] * 3
    assert watched.state.state == "done"


def test_a_question_is_left_where_the_person_wants_something_else() -> None:
    assert Watched(INTERVIEW).heard("cancel") == ("name", HeardAs.LEFT)


@pytest.mark.parametrize("status", [TurnStatus.FAILED, TurnStatus.CANCELLED, TurnStatus.HANDED_OVER])
def test_what_was_said_in_a_turn_that_came_to_nothing_tells_nothing_of_the_question(status: TurnStatus) -> None:
    assert Watched(INTERVIEW).heard("Ana López", status=status) == (None, None)


def test_where_nothing_is_asked_nothing_is_heard() -> None:
    assert Watched(ASSISTANT).heard("Hello") == (None, None)


def test_a_reply_takes_from_the_arrival_of_the_message_to_the_end_of_the_turn() -> None:
    watched = Watched(INTERVIEW)
    assert watched.figures.response_ms is None
    assert watched.hears("Ana López").response_ms == 70_000


class TestStanding:
    def test_an_open_question_asks(self) -> None:
        assert Watched(INTERVIEW).progress.standing is Standing.ASKING

    def test_where_anything_may_be_said_nothing_is_asked(self) -> None:
        assert Watched(ASSISTANT).progress.standing is Standing.TALKING

    def test_where_nothing_is_left_to_say_the_conversation_is_complete(self) -> None:
        watched = Watched(RECRUITING)
        for answer in script.ANSWERS:
            watched.hears(answer)
        assert watched.progress.standing is Standing.COMPLETE

    def test_what_expires_then_stays_complete(self) -> None:
        watched = Watched(RECRUITING)
        for answer in script.ANSWERS:
            watched.hears(answer)
        watched.turn(SessionExpired())
        assert watched.progress.standing is Standing.COMPLETE

    def test_what_expires_with_an_open_question_was_asking(self) -> None:
        watched = Watched(INTERVIEW)
        watched.turn(SessionExpired())
        assert watched.progress.standing is Standing.ASKING

    def test_what_comes_to_its_end_in_one_turn_is_complete(self) -> None:
        watched = Watched(INTERVIEW)
        watched.hears("Ana López")
        watched.hears("42")
        assert watched.progress.standing is Standing.COMPLETE


def test_a_session_that_a_human_has_had_stays_handed_over() -> None:
    watched = Watched(INTERVIEW)
    watched.turn(handed_over=True)
    watched.hears("Ana López")
    assert watched.progress.handed_over
