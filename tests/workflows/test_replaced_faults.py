"""The nine faults of the system that this one replaces: none of them is here."""

from datetime import timedelta

import pytest

from tertulia.domain.definitions.lifecycle import ERROR
from tertulia.domain.events import RejectTransition, ReminderDue, SessionExpired, TransitionRequested
from tertulia.domain.idle import event_due
from tertulia.domain.recruiting.applications import Prescreen, prescreen
from tests import recruiting_script as script
from tests.domain.applying import NOON, job, question
from tests.domain.test_recruiting import RECRUITING, recruiting, up_to
from tests.engine import Engine

ENGINEER = job(
    question("permit", "boolean", must_have=True, weight=0.1),
    question("years", weight=0.7, fit={"worst": 0, "best": 10}),
    question("notice", weight=0.2, fit={"best": 0, "worst": 90}),
)


def screened(**answers: object) -> Prescreen:
    return prescreen(ENGINEER, answers, NOON)  # type: ignore[arg-type]


@pytest.mark.parametrize("slot", [exchange.slot for exchange in script.EXCHANGES[::4]])
def test_the_table_of_transitions_is_enforced(slot: str) -> None:
    before = up_to(slot).state
    allowed = {*RECRUITING.may_follow(before.state), ERROR}
    for target in {*RECRUITING.states, "nowhere"} - allowed:
        conversation = up_to(slot).happens(TransitionRequested(state=target))

        (refusal,) = conversation.effects
        assert isinstance(refusal, RejectTransition)
        assert set(refusal.allowed) == allowed
        assert conversation.state == before


def test_completed_is_reached_by_whoever_answers() -> None:
    assert recruiting(script.ANSWERS).state.state == "completed"


@pytest.mark.parametrize("answers", [{}, {"permit": None}, {"permit": False}, {"permit": "perhaps"}, {"permit": 1}])
def test_a_missing_or_invalid_must_have_does_not_pass(answers: dict[str, object]) -> None:
    assert screened(years=10, notice=0, **answers).must_have_failed == ("permit",)


@pytest.mark.parametrize("years", [10, 1500, 10**9, -1500])
def test_no_answer_scores_more_than_its_share(years: int) -> None:
    result = screened(permit=True, years=years, notice=0)

    assert 0 <= result.points["years"].earned <= result.points["years"].most == 70
    assert 0 <= result.jd_match_score <= 100


def test_weights_count_in_the_total() -> None:
    assert screened(permit=False, years=10, notice=90).jd_match_score == 70
    assert screened(permit=False, years=0, notice=0).jd_match_score == 20


def test_a_longer_notice_period_never_scores_better() -> None:
    scores = [screened(permit=True, years=5, notice=days).jd_match_score for days in (0, 14, 30, 90, 365)]

    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[1] > scores[2] > scores[3]


async def test_duplicates_of_a_platform_s_message_get_one_reply(engine: Engine) -> None:
    chat = await engine.chat("recruiting")

    first = await chat.say("Ada Lovelace", "wamid.1")
    await chat.say("ada@example.org", "wamid.2")
    again = await chat.say("Ada Lovelace", "wamid.1")

    assert again == first
    assert [message.text for message in await chat.transcript()].count("Ada Lovelace") == 1
    assert (await engine.sessions.view(chat.id)).turn == 2


def test_a_day_of_silence_ends_no_session_and_loses_nothing() -> None:
    timers = RECRUITING.timers
    conversation = up_to("notice_period")
    before = conversation.state

    assert isinstance(event_due(timers, NOON, reminded=False, now=NOON + timedelta(hours=24)), ReminderDue)
    assert event_due(timers, NOON, reminded=True, now=NOON + timedelta(days=13)) is None
    assert isinstance(event_due(timers, NOON, reminded=True, now=NOON + timedelta(days=14)), SessionExpired)
    assert conversation.waits_until_reminded().state == before
    assert conversation.hears("4 weeks").state.slots == {**before.slots, "notice_period": 28}


def test_a_provider_that_fails_loses_nothing() -> None:
    before = up_to("notice_period").state
    failing = up_to("notice_period").hears("it depends on whom you ask").finds_no_provider()

    assert (failing.state.slots, failing.state.state) == (before.slots, before.state)
    assert failing.hears("4 weeks").state.slots == {**before.slots, "notice_period": 28}


def test_a_session_in_error_keeps_what_was_collected_and_goes_on_with_the_next_message() -> None:
    before = up_to("notice_period").state
    suspended = up_to("notice_period").happens(TransitionRequested(state=ERROR))

    assert (suspended.state.state, suspended.state.slots) == (ERROR, before.slots)
    assert suspended.hears("4 weeks").state.slots == {**before.slots, "notice_period": 28}
