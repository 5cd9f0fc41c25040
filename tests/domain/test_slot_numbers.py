from typing import Any

import pytest

from tertulia.domain.slots import Reason, Understood, accept
from tests.domain.slot_tables import NOW, read, slot

NOTICE = slot("number", unit="days", min=0, max=365, integer=True)
YEARS = slot("number", unit="years", min=0, max=60)
COUNT = slot("number")


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("30", 30),
        ("30 days", 30),
        ("2 weeks", 14),
        ("two weeks", 14),
        ("2-week notice", 14),
        ("a week", 7),
        ("one month", 30),
        ("1 month", 30),
        ("3 months", 90),
        ("3m", 90),
        ("a month and a half", 45),
        ("half a year", 180),
        ("a year", 365),
        ("1 month and 2 weeks", 44),
        ("a couple of weeks", 14),
        ("a fortnight", 14),
        ("My notice period is 4 weeks.", 28),
        ("about 6 weeks, I think", 42),
        ("none", 0),
        ("No notice period", 0),
        ("I don't have any", 0),
        ("immediately", 0),
        ("I can start right away", 0),
        ("zero", 0),
    ],
)
def test_a_length_of_time_is_kept_in_the_unit_of_its_slot(text: str, days: int) -> None:
    assert read(NOTICE, text) == days


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("5", 5),
        ("5+ years", 5),
        ("5 yrs", 5),
        ("three", 3),
        ("twenty-five years", 25),
        ("twenty five", 25),
        ("over 10 years", 10),
        ("2.5", 2.5),
        ("2,5 years", 2.5),
        ("one and a half years", 1.5),
        ("two and a half years", 2.5),
        ("18 months", 1.5),
        ("2 years and 6 months", 2.5),
        ("2 years 6 months", 2.5),
        ("6 years (since 2020)", 6),
        ("I have 7 years of experience", 7),
        ("a dozen years", 12),
        ("roughly a decade", 10),
        ("no experience yet", 0),
        ("0", 0),
        ("\u0665", 5),
    ],
)
def test_years_are_found_in_what_people_write(text: str, years: float) -> None:
    assert read(YEARS, text) == years


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("many", Reason.UNCLEAR),
        ("a lot", Reason.UNCLEAR),
        ("it depends on the project", Reason.UNCLEAR),
        ("5-7 years", Reason.AMBIGUOUS),
        ("5 to 7", Reason.AMBIGUOUS),
        ("between 5 and 7 years", Reason.AMBIGUOUS),
        ("less than a year", Reason.AMBIGUOUS),
        ("up to 5 years", Reason.AMBIGUOUS),
        ("10 years, 5 of them in Python", Reason.AMBIGUOUS),
        ("5 years here and 3 years there", Reason.AMBIGUOUS),
        ("99", Reason.TOO_LARGE),
        ("since 2015", Reason.TOO_LARGE),
        ("-3", Reason.TOO_SMALL),
        ("9" * 400, Reason.TOO_LARGE),
        ("I'd rather not say", Reason.DECLINED),
        ("I am the one who built it all", Reason.UNCLEAR),
    ],
)
def test_what_is_not_one_number_of_years_is_asked_again(text: str, reason: Reason) -> None:
    assert read(YEARS, text) is reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,500", 1500),
        ("1.500", 1500),
        ("1 500", 1500),
        ("1'500'000", 1_500_000),
        ("1,234.56", 1234.56),
        ("1.234,56", 1234.56),
        ("0.125", 0.12),
        ("10k", 10_000),
        ("2.5 million", 2_500_000),
        ("three hundred and five", 305),
        ("two thousand", 2000),
        ("-12", -12),
        ("it is 7, certainly 7", 7),
    ],
)
def test_numbers_are_read_with_their_separators_and_scales(text: str, value: float) -> None:
    assert read(COUNT, text) == value


@pytest.mark.parametrize("text", ["v8x3", "covid19", "a", "an apple", "-", "1.2.3.4", ""])
def test_digits_inside_of_words_are_no_numbers(text: str) -> None:
    assert read(COUNT, text) is Reason.UNCLEAR


def test_a_whole_number_is_demanded_where_the_slot_says_so() -> None:
    assert read(slot("number", integer=True), "2.5") is Reason.NOT_WHOLE
    assert read(slot("number", integer=True), "2.0") == 2


SALARY = slot("money", currency="EUR", per="year", min=10_000, max=500_000)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("55000", 55_000),
        ("55,000", 55_000),
        ("55.000 €", 55_000),
        ("€55k", 55_000),
        ("55k euros per year", 55_000),
        ("around 60k, negotiable", 60_000),
        ("EUR 52 500", 52_500),
        ("4,500 a month", 54_000),
        ("4.500 EUR monthly", 54_000),
        ("72k p.a.", 72_000),
        ("sixty thousand", 60_000),
    ],
)
def test_money_is_kept_in_the_currency_and_for_the_period_of_its_slot(text: str, amount: int) -> None:
    assert read(SALARY, text) == amount


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("$80k", Reason.WRONG_CURRENCY),
        ("80000 dollars", Reason.WRONG_CURRENCY),
        ("£60,000", Reason.WRONG_CURRENCY),
        ("50-60k", Reason.AMBIGUOUS),
        ("between 50k and 60k", Reason.AMBIGUOUS),
        ("55", Reason.TOO_SMALL),
        ("2 million", Reason.TOO_LARGE),
        ("40 euros an hour", Reason.WRONG_FORMAT),
        ("the market rate", Reason.UNCLEAR),
        ("prefer not to say", Reason.DECLINED),
    ],
)
def test_an_amount_that_does_not_fit_is_asked_again(text: str, reason: Reason) -> None:
    assert read(SALARY, text) is reason


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), 10**400, True, None, {}, [], [1], {"value": 3}]
)
def test_a_provider_can_not_smuggle_in_what_is_no_number(value: Any) -> None:
    assert not isinstance(accept(COUNT, value, NOW), Understood)


def test_a_provider_s_number_is_held_to_the_slot_s_bounds() -> None:
    assert accept(YEARS, 4, NOW) == Understood(4)
    assert accept(YEARS, 400, NOW) != Understood(400)
    assert accept(YEARS, "four", NOW) == Understood(4)
