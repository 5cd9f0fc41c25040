"""Waits that bound how fast a history grows."""

from datetime import timedelta

from workflows import options


def test_looks_at_storage_that_stays_away_become_rare() -> None:
    waits = [options.storage_wait(waited) for waited in range(12)]

    assert waits[0] == timedelta(seconds=3)
    assert waits == sorted(waits)
    assert waits[-1] == timedelta(minutes=1)
    # A look is a dozen events or so, and the server ends a workflow at 50,000.
    a_day = timedelta(days=1) / waits[-1]
    assert a_day * 12 < 50_000
