import pytest

from tertulia.domain.slots import Reason
from tests.domain.slot_tables import read, slot

EMAIL = slot("email")
PHONE = slot("phone")
BRITISH = slot("phone", region="GB")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ana@example.org", "ana@example.org"),
        ("Ana.Lopez+jobs@Example.ORG", "Ana.Lopez+jobs@example.org"),
        ("It's ana@example.org.", "ana@example.org"),
        ("you can write to <ana@example.org>, thanks!", "ana@example.org"),
        ("ana@example.org or again ana@example.org", "ana@example.org"),
        ("mailto:ana@example.org", "ana@example.org"),
        ("ana at example dot org", "ana@example.org"),
        ("ana(at)example(dot)org", "ana@example.org"),
        ("ana [at] example.org", "ana@example.org"),
        ("josé@correo.es", "josé@correo.es"),
    ],
)
def test_an_address_is_found_inside_a_sentence(text: str, address: str) -> None:
    assert read(EMAIL, text) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ana@example", Reason.WRONG_FORMAT),
        ("ana@@example.org", Reason.WRONG_FORMAT),
        ("@example.org", Reason.WRONG_FORMAT),
        ("ana@exa mple.org", Reason.WRONG_FORMAT),
        ("ana@example.org and ana@example.com", Reason.AMBIGUOUS),
        ("I live at home", Reason.UNCLEAR),
        ("I'd rather not give my email", Reason.DECLINED),
        ("example.org", Reason.UNCLEAR),
    ],
)
def test_what_is_not_one_address_is_asked_again(text: str, reason: Reason) -> None:
    assert read(EMAIL, text) is reason


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+34 612 345 678", "+34612345678"),
        ("+34-612-345-678", "+34612345678"),
        ("my number is +44 7911 123456, call me after six", "+447911123456"),
        ("(+34) 612.345.678", "+34612345678"),
        ("+1 555 123 4567", "+15551234567"),
        ("0034 612 345 678", "+34612345678"),
        ("call me at 0044 20 7946 0958", "+442079460958"),
    ],
)
def test_a_phone_number_is_kept_in_international_form(text: str, number: str) -> None:
    assert read(PHONE, text) == number


def test_a_number_without_a_country_code_belongs_to_the_slot_s_region() -> None:
    assert read(BRITISH, "07911 123456") == "+447911123456"
    assert read(PHONE, "07911 123456") is Reason.WRONG_FORMAT


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("12345", Reason.UNCLEAR),
        ("call me maybe", Reason.UNCLEAR),
        ("+34 612 345 678 or +34 612 345 679", Reason.AMBIGUOUS),
        ("I earn 55000 since 2019", Reason.WRONG_FORMAT),
        ("+34 612", Reason.UNCLEAR),
        ("I would rather not share it", Reason.DECLINED),
        ("+999 123 456 789", Reason.WRONG_FORMAT),
    ],
)
def test_what_is_not_one_number_is_asked_again(text: str, reason: Reason) -> None:
    assert read(PHONE, text) is reason
