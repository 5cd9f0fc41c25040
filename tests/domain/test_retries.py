from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.domain.errors import FailureClass
from tertulia.domain.providers import retries
from tertulia.domain.providers.retries import MAX_FAILED, Ledger
from tertulia.domain.turns import Candidate
from tests.domain.conversations import NOW
from tests.domain.providers_seen import A, answers, sample


def candidate(max_attempts: int) -> Candidate:
    return Candidate(provider=A, timeout_s=30, max_attempts=max_attempts)


def test_one_attempt_is_kept_for_every_candidate_behind() -> None:
    assert retries.allowed_here(Ledger(), candidate(4), behind=0) == 4
    assert retries.allowed_here(Ledger(), candidate(4), behind=2) == 2
    assert retries.allowed_here(Ledger(failed=2), candidate(4), behind=1) == 1
    assert retries.allowed_here(Ledger(failed=3), candidate(4), behind=0) == 1


def test_no_provider_gets_more_than_its_own_attempts() -> None:
    assert retries.allowed_here(Ledger(), candidate(1), behind=0) == 1


@given(attempts=st.lists(st.integers(1, 11), min_size=1, max_size=12))
def test_a_turn_fails_at_most_four_times_and_asks_as_many_providers_as_it_can(attempts: list[int]) -> None:
    ledger, asked = Ledger(), 0
    for place, most in enumerate(attempts, start=1):
        allowed = retries.allowed_here(ledger, candidate(most), behind=len(attempts) - place)
        asked += allowed > 0
        ledger += Ledger(attempts=allowed, failed=allowed)
    assert ledger.attempts <= MAX_FAILED
    assert asked == min(len(attempts), MAX_FAILED)


def test_a_turn_that_has_wasted_a_dollar_asks_nobody_any_more() -> None:
    ledger = Ledger(attempts=1, failed=1, wasted_usd=Decimal("0.99"))
    assert not ledger.spent
    assert retries.allowed_here(ledger, candidate(4), behind=0) == 3
    ledger += Ledger(wasted_usd=Decimal("0.01"))
    assert ledger.spent
    assert retries.allowed_here(ledger, candidate(4), behind=0) == 0


def test_answers_cost_a_turn_none_of_its_attempts() -> None:
    assert retries.allowed_here(Ledger(attempts=9), candidate(4), behind=0) == 4


def test_three_retries_may_fail_and_one_more_for_every_five_answers() -> None:
    failed = tuple(sample(FailureClass.SERVER, ended=5 + number, is_retry=True) for number in range(3))
    assert retries.retries_left((), NOW) == 3
    assert retries.retries_left(failed, NOW) == 0
    assert retries.retries_left((*answers(10), *failed), NOW) == 2


def test_first_attempts_and_answered_retries_use_up_no_retries() -> None:
    first = tuple(sample(FailureClass.SERVER, ended=5 + number) for number in range(20))
    answered = answers(4, is_retry=True)
    assert retries.retries_left((*first, *answered), NOW) == 3


def test_what_is_older_than_two_minutes_is_forgotten() -> None:
    failed = tuple(sample(FailureClass.SERVER, ended=121 + number, is_retry=True) for number in range(3))
    assert retries.retries_left(failed, NOW) == 3


def test_in_an_outage_of_all_providers_retries_add_little_load() -> None:
    seen = [sample(FailureClass.SERVER, ended=110 - number) for number in range(100)]
    retried = 0
    for number in range(100):
        if retries.retries_left(seen, NOW):
            seen.append(sample(FailureClass.SERVER, ended=110 - number, is_retry=True))
            retried += 1
    assert (100 + retried) / 100 <= 1.2


@pytest.mark.parametrize(("attempt", "longest"), [(1, 0.5), (2, 1), (3, 2), (5, 8), (9, 8)])
def test_the_longest_pause_doubles_up_to_eight_seconds(attempt: int, longest: float) -> None:
    assert retries.pause(attempt, None, 1) == timedelta(seconds=longest)
    assert retries.pause(attempt, None, 0) == timedelta(0)


@given(hint=st.floats(0.01, 100), chance=st.floats(0, 1))
def test_a_hint_is_waited_for_and_at_most_a_tenth_longer(hint: float, chance: float) -> None:
    asked = timedelta(seconds=hint)
    assert asked <= retries.pause(3, asked, chance) <= asked * 1.1 + timedelta(microseconds=2)
