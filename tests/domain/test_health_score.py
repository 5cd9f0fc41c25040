import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.domain.errors import FailureClass
from tertulia.domain.providers import health
from tertulia.domain.providers.health import Health, ProviderStatus
from tertulia.domain.providers.state import Breaker, Known, Sample
from tests.domain.conversations import NOW
from tests.domain.providers_seen import ago, ahead, answers, failures, known, provider, sample


def rated(*samples: Sample, after: float = 0) -> Health:
    return health.health_of(provider(), Known(samples=samples), ahead(after))


def test_a_new_provider_scores_86_and_is_healthy_without_confidence() -> None:
    new = rated()
    assert (new.status, new.confidence) == (ProviderStatus.HEALTHY, 0)
    assert new.score == pytest.approx(85.7, abs=0.1)


@pytest.mark.parametrize(("answered", "score"), [(19, 86), (9, 73), (4, 51), (1, 12)])
def test_the_score_is_the_cube_of_the_share_of_answers(answered: int, score: int) -> None:
    # One of each group fails, all at the same moment, so often that what is believed beforehand does not count.
    group = (*(sample() for _ in range(answered)), sample(FailureClass.SERVER))
    assert rated(*group * 200).score == pytest.approx(score, abs=1)


def test_refusals_do_not_lower_the_score() -> None:
    assert rated(*failures(50, FailureClass.RATE_LIMIT)).score == rated().score


def test_without_traffic_the_score_returns_to_what_is_believed_of_a_new_provider() -> None:
    ill = failures(3)
    assert rated(*ill).score < 30
    assert rated(*ill, after=1200).score == pytest.approx(rated().score, abs=0.1)


def test_evidence_halves_every_minute() -> None:
    once = rated(sample(ended=0)).confidence
    assert rated(sample(ended=0), after=60).confidence == pytest.approx(once / 2)


def test_a_slow_model_keeps_its_evidence_for_longer() -> None:
    slow = sample(ended=0, took=60)
    assert rated(slow, after=120).confidence == pytest.approx(0.5)


def test_answers_that_nearly_time_out_lower_the_score() -> None:
    assert rated(*answers(20, took=15)).score > 90
    assert rated(*answers(20, took=25)).score < 70


def test_a_few_slow_answers_are_no_percentile() -> None:
    assert rated(*answers(4, took=25)).score > 80


def test_a_nearly_used_up_quota_lowers_the_score_until_it_is_full_again() -> None:
    low = sample(ended=0, remaining=0.02, remaining_until=ahead(30))
    assert rated(low).score == pytest.approx(rated(sample(ended=0)).score / 2)
    assert rated(low, after=30).score == pytest.approx(rated(sample(ended=0), after=30).score)


def test_the_last_word_about_the_quota_counts() -> None:
    words = (sample(ended=3, remaining=0.0), sample(ended=2, remaining=0.9), sample(ended=1))
    assert health.remaining_quota(words, NOW) == 0.9
    assert health.remaining_quota(words, ahead(60)) == 1
    assert health.remaining_quota((), NOW) == 1


def test_between_the_thresholds_the_status_stays_what_it_was() -> None:
    falling = rated(*answers(10), sample(FailureClass.SERVER, ended=0))
    assert 70 < falling.score < 80
    assert falling.status is ProviderStatus.HEALTHY
    ill = (*answers(10), *(sample(FailureClass.SERVER, ended=0) for _ in range(2)))
    assert rated(*ill).status is ProviderStatus.DEGRADED
    rising = rated(*ill, after=90)
    assert 70 < rising.score < 80
    assert rising.status is ProviderStatus.DEGRADED
    assert rated(*ill, after=240).status is ProviderStatus.HEALTHY


def test_who_scores_under_thirty_is_unhealthy() -> None:
    assert rated(*failures(3)).status is ProviderStatus.UNHEALTHY


@pytest.mark.parametrize(
    ("breaker", "status"),
    [
        (Breaker(opened_at=ago(1), open_until=ahead(9)), ProviderStatus.UNHEALTHY),
        (Breaker(opened_at=ago(20), open_until=ago(10)), ProviderStatus.DEGRADED),
        (Breaker(recovered_at=ago(29)), ProviderStatus.DEGRADED),
        (Breaker(recovered_at=ago(30)), ProviderStatus.HEALTHY),
    ],
)
def test_who_comes_back_from_an_outage_is_degraded_until_the_slow_start_is_over(
    breaker: Breaker, status: ProviderStatus
) -> None:
    assert health.health_of(provider(), known(breaker=breaker), NOW).status is status


def test_maintenance_goes_before_everything() -> None:
    broken = known(*failures(9), maintenance="a new key")
    assert health.health_of(provider(), broken, NOW).status is ProviderStatus.MAINTENANCE


def test_percentiles_are_of_answers_alone() -> None:
    mixed = (*(sample(took=second, ttft=second / 10) for second in range(1, 21)), sample(FailureClass.TIMEOUT, took=30))
    rating = rated(*mixed)
    assert (rating.latency_p50_ms, rating.latency_p95_ms) == (10_000, 19_000)
    assert (rating.ttft_p50_ms, rating.ttft_p95_ms) == (1_000, 1_900)
    assert rated().latency_p50_ms is None


@given(
    samples=st.lists(
        st.builds(
            sample,
            st.none() | st.sampled_from(FailureClass),
            ended=st.floats(0, 300),
            took=st.floats(0, 60),
            remaining=st.none() | st.floats(0, 1),
        ),
        max_size=30,
    )
)
def test_the_score_lies_between_0_and_100(samples: list[Sample]) -> None:
    in_order = sorted(samples, key=lambda each: each.ended_at)
    assert 0 <= rated(*in_order).score <= 100
    assert 0 < rated(*in_order).success < 1
