from datetime import UTC, datetime

import pytest

from tertulia.domain.slots import Reason, Understood, understand
from tests.domain.slot_tables import NOW, read, slot

START = slot("date", not_before="today")


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-06-01", "2026-06-01"),
        ("I could start on 2026-06-01.", "2026-06-01"),
        ("1 June", "2026-06-01"),
        ("1st of June", "2026-06-01"),
        ("June 1st, 2026", "2026-06-01"),
        ("the 15th of april", "2026-04-15"),
        ("Sept 3", "2026-09-03"),
        ("June", "2026-06-01"),
        ("in June", "2026-06-01"),
        ("from January", "2027-01-01"),
        ("1 February", "2027-02-01"),
        ("May 2027", "2027-05-01"),
        ("mid-April", "2026-04-15"),
        ("end of March", "2026-03-31"),
        ("beginning of next month", "2026-04-01"),
        ("13/06/2026", "2026-06-13"),
        ("1.1.2027", "2027-01-01"),
        ("today", "2026-03-10"),
        ("immediately", "2026-03-10"),
        ("As soon as possible!", "2026-03-10"),
        ("tomorrow", "2026-03-11"),
        ("the day after tomorrow", "2026-03-12"),
        ("on Monday", "2026-03-16"),
        ("next friday", "2026-03-13"),
        ("Tuesday", "2026-03-17"),
        ("in two weeks", "2026-03-24"),
        ("in about 6 weeks", "2026-04-21"),
        ("2 weeks from now", "2026-03-24"),
        ("in 2 decades", "2046-03-10"),
        ("two months", "2026-05-10"),
        ("in a month", "2026-04-10"),
        ("next week", "2026-03-17"),
        ("not before 1 May", "2026-05-01"),
    ],
)
def test_a_day_is_found_in_what_people_write(text: str, day: str) -> None:
    assert read(START, text) == day


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("yesterday", "2026-03-09"),
        ("since the day before yesterday", "2026-03-08"),
        ("two weeks ago", "2026-02-24"),
        ("3 months ago", "2025-12-10"),
        ("since Friday", "2026-03-06"),
        ("last tuesday", "2026-03-03"),
        ("since this morning", "2026-03-10"),
        ("last night", "2026-03-09"),
    ],
)
def test_a_day_that_has_passed_is_found(text: str, day: str) -> None:
    assert read(slot("date", not_after="today"), text) == day


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("03/04/2026", Reason.AMBIGUOUS),
        ("1 June or 1 July", Reason.AMBIGUOUS),
        ("on Monday or on Thursday", Reason.AMBIGUOUS),
        ("2020-01-01", Reason.TOO_EARLY),
        ("1 March 2026", Reason.TOO_EARLY),
        ("2026-13-45", Reason.UNCLEAR),
        ("30 February", Reason.UNCLEAR),
        ("5", Reason.UNCLEAR),
        ("2026", Reason.UNCLEAR),
        ("10am", Reason.UNCLEAR),
        ("soon", Reason.UNCLEAR),
        ("I may start whenever you want", Reason.UNCLEAR),
        ("I can't start in June", Reason.UNCLEAR),
        ("when my visa arrives", Reason.UNCLEAR),
        ("the second week of April", Reason.UNCLEAR),
        ("in 300 years", Reason.TOO_LATE),
        ("I'd rather not say", Reason.DECLINED),
    ],
)
def test_what_is_not_one_day_that_fits_is_asked_again(text: str, reason: Reason) -> None:
    assert read(START, text) is reason


def test_the_order_of_day_and_month_is_the_slot_s_own() -> None:
    assert read(slot("date", order="DMY"), "03/04/2026") == "2026-04-03"
    assert read(slot("date", order="MDY"), "03/04/2026") == "2026-03-04"


def test_a_day_without_a_year_may_lie_behind_where_the_slot_allows_it() -> None:
    assert read(slot("date"), "1 February") == "2026-02-01"
    assert read(slot("date", not_after="today"), "1 June 2026") is Reason.TOO_LATE


def test_a_day_counts_from_the_given_now_in_utc() -> None:
    late_in_new_york = datetime.fromisoformat("2026-03-10T22:00:00-05:00")
    assert understand(START, "tomorrow", late_in_new_york) == Understood("2026-03-12")
    assert understand(START, "tomorrow", datetime(2028, 2, 28, tzinfo=UTC)) == Understood("2028-02-29")


@pytest.mark.parametrize(
    ("language", "text", "day"),
    [
        ("es", "1 de junio de 2026", "2026-06-01"),
        ("es", "mañana", "2026-03-11"),
        ("fr", "dans deux semaines", "2026-03-24"),
        ("de", "1. Juli", "2026-07-01"),
    ],
)
def test_days_are_read_in_other_languages(language: str, text: str, day: str) -> None:
    assert understand(START, text, NOW, language) == Understood(day)
