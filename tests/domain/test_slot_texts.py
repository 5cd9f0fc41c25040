import pytest

from tertulia.domain.slots import Reason
from tests.domain.slot_tables import read, slot

NAME = slot("name")
ROLE = slot("text", min_length=2, max_length=40)
PLACE = slot("location")
RESUME = slot("document", min_length=40)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Ana", "Ana"),
        ("ana lópez", "Ana López"),
        ("Hi, I'm Ana", "Ana"),
        ("My name is Ana López.", "Ana López"),
        ("It's Jean-Luc O'Neill", "Jean-Luc O'Neill"),
        ("Call me Bob!", "Bob"),
        ("this is Ana speaking", "Ana"),
        ("I'm Ana and I'm looking for a job", "Ana"),
        ("Ana, nice to meet you", "Ana"),
        ("Hello there! I am María José de la Cruz", "María José de la Cruz"),
        ("Ana López\nana@example.org", "Ana López"),
        ("Dr. Ana López", "Dr. Ana López"),
        ("王小明", "王小明"),
        ("Нина Петрова", "Нина Петрова"),
    ],
)
def test_a_name_is_found_in_how_people_introduce_themselves(text: str, name: str) -> None:
    assert read(NAME, text) == name


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I'd rather not say", Reason.DECLINED),
        ("I would prefer not to tell you", Reason.DECLINED),
        ("none of your business", Reason.DECLINED),
        ("hello", Reason.UNCLEAR),
        ("ok", Reason.UNCLEAR),
        ("What is this?", Reason.UNCLEAR),
        ("what's this about", Reason.UNCLEAR),
        ("why do you want to know", Reason.UNCLEAR),
        ("42", Reason.UNCLEAR),
        ("ana@example.org", Reason.UNCLEAR),
        ("I want to apply for a job", Reason.UNCLEAR),
        ("no", Reason.UNCLEAR),
        ("looking for work", Reason.UNCLEAR),
        ("😀😀", Reason.UNCLEAR),
        ("x" * 3000, Reason.UNCLEAR),
    ],
)
def test_what_is_not_a_name_is_asked_again(text: str, reason: Reason) -> None:
    assert read(NAME, text) is reason


def test_a_text_is_kept_as_it_was_written() -> None:
    assert read(ROLE, "  Backend   engineer (Python) ") == "Backend engineer (Python)"
    assert read(ROLE, "What motivates me is building") == "What motivates me is building"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x", Reason.TOO_SHORT),
        ("x" * 41, Reason.TOO_LONG),
        ("hello", Reason.UNCLEAR),
        ("I don't know", Reason.UNCLEAR),
        ("What is the salary range?", Reason.UNCLEAR),
        ("I'd rather not say", Reason.DECLINED),
        ("\x00\x07\u200b", Reason.UNCLEAR),
        ("   ", Reason.UNCLEAR),
    ],
)
def test_a_text_that_says_nothing_is_asked_again(text: str, reason: Reason) -> None:
    assert read(ROLE, text) is reason


def test_a_text_has_to_match_its_pattern() -> None:
    reference = slot("text", pattern=r"[A-Z]{2}-\d{4}")
    assert read(reference, "AB-1234") == "AB-1234"
    assert read(reference, "AB-12345") is Reason.WRONG_FORMAT


@pytest.mark.parametrize(
    ("text", "place"),
    [("I live in Madrid", "Madrid"), ("based in Lisbon, Portugal.", "Lisbon, Portugal"), ("São Paulo", "São Paulo")],
)
def test_a_place_is_kept_without_what_leads_to_it(text: str, place: str) -> None:
    assert read(PLACE, text) == place


@pytest.mark.parametrize("text", ["12345", "where is your office", "hello", "x" * 200])
def test_what_is_not_a_place_is_asked_again(text: str) -> None:
    assert isinstance(read(PLACE, text), Reason)


def test_of_a_document_the_length_and_the_beginning_are_kept() -> None:
    text = "Ana López, engineer\n" + "word " * 1000
    kept = read(RESUME, text)
    assert kept["characters"] == len(text.strip())
    assert kept["words"] == 1003
    assert kept["excerpt"].startswith("Ana López, engineer word")
    assert len(kept["excerpt"]) <= 280


def test_a_document_is_not_a_short_message() -> None:
    assert read(RESUME, "here it is") is Reason.TOO_SHORT
