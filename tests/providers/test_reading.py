"""What a person wrote, read as a value of a JSON schema."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.providers.reading import read

NULL = {"type": "null"}
NUMBER = {"type": "number"}
WHOLE = {"type": "integer", "minimum": 0, "maximum": 60}
TRUTH = {"type": "boolean"}
TEXT = {"type": "string"}
PLACES = {"type": "string", "enum": ["office", "home_office", "either"]}
SKILLS = {"type": "array", "items": {"type": "string", "enum": ["Go", "Python", "Ruby"]}}


@pytest.mark.parametrize(
    ("schema", "said", "value"),
    [
        (NUMBER, "about 7.5, I think", 7.5),
        (NUMBER, "It was 52,000 euros", 52000),
        (NUMBER, "-3", -3),
        (WHOLE, "five years", 5),
        (WHOLE, "since 2019, so seven", 7),
        (WHOLE, "2.5 or rather 3", 3),
        (TRUTH, "Yes, of course", True),
        (TRUTH, "I do not", False),
        (TRUTH, "Yes, why not", True),
        (TRUTH, "No, sure", False),
        (TRUTH, "I haven't", False),
        (PLACES, "From my home office, please", "home_office"),
        (PLACES, "OFFICE!", "office"),
        ({"enum": [1, 2, 3]}, "number 2", 2),
        ({"const": "agree"}, "I agree", "agree"),
        (SKILLS, "Python, and some Ruby", ["Python", "Ruby"]),
        (TEXT, "Berlin", "Berlin"),
        (TEXT, "Hi! My name is Ana López.", "Ana López"),
        ({"type": "string", "maxLength": 3}, "Berlin", "Ber"),
        ({"type": "string", "format": "email"}, "write to ana@example.org, please", "ana@example.org"),
        ({"type": "string", "format": "date"}, "on 2026-05-01", "2026-05-01"),
        ({"type": "string", "format": "uri"}, "see https://example.org/cv", "https://example.org/cv"),
        ({"type": "string", "pattern": "[A-Z]{2}\\d+"}, "my code is AB12", "AB12"),
        ({"type": ["boolean", "number"]}, "12", 12),
        ({"oneOf": [TRUTH, NUMBER]}, "no", False),
    ],
)
def test_plain_answers_are_understood(schema: dict[str, Any], said: str, value: object) -> None:
    assert read(schema, said) == value
    assert read({"anyOf": [schema, NULL]}, said) == value


@pytest.mark.parametrize("schema", [NUMBER, TRUTH, PLACES, SKILLS, TEXT, {"type": "string", "format": "email"}])
@pytest.mark.parametrize("said", ["", "What do you mean?", "skip", "I don't know", "I'd rather not say"])
def test_no_answer_is_null_where_that_is_allowed(schema: dict[str, Any], said: str) -> None:
    assert read({"anyOf": [schema, NULL]}, said) is None


@pytest.mark.parametrize(
    ("schema", "said"), [(NUMBER, "a few"), (WHOLE, "100"), (TRUTH, "perhaps"), (PLACES, "anywhere"), (SKILLS, "Latin")]
)
def test_what_does_not_fit_is_null_too(schema: dict[str, Any], said: str) -> None:
    assert read({"anyOf": [schema, NULL]}, said) is None


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (NUMBER, 0),
        ({"type": "integer", "minimum": 3}, 3),
        (TRUTH, False),
        (PLACES, "office"),
        ({"const": "x"}, "x"),
        (SKILLS, []),
        (TEXT, "unknown"),
        ({"enum": ["a", None]}, None),
    ],
)
def test_where_null_is_not_allowed_something_that_fits_is_given(schema: dict[str, Any], value: object) -> None:
    assert read(schema, "?") == value


def test_objects_are_read_part_by_part() -> None:
    schema = {
        "type": "object",
        "properties": {"years": {"anyOf": [WHOLE, NULL]}, "contact": {"$ref": "#/$defs/Contact"}},
        "$defs": {"Contact": {"type": "object", "properties": {"email": {"type": "string", "format": "email"}}}},
    }
    said = "6 years, reach me at ana@example.org"
    assert read(schema, said) == {"years": 6, "contact": {"email": "ana@example.org"}}


@given(st.text(max_size=80), st.sampled_from([NUMBER, WHOLE, TRUTH, PLACES, SKILLS, TEXT]))
def test_whatever_is_said_the_value_fits(said: str, schema: dict[str, Any]) -> None:
    value = read(schema, said)
    match schema["type"]:
        case "boolean":
            assert isinstance(value, bool)
        case "array":
            assert set(value) <= {"Go", "Python", "Ruby"}
        case "number" | "integer":
            assert isinstance(value, int | float)
            assert schema is NUMBER or (value == int(value) and 0 <= value <= 60)
        case _:
            assert isinstance(value, str)
            assert value in schema.get("enum", [value])


def test_a_long_message_is_read_quickly() -> None:
    long = "a" * 200_000
    for schema in (NUMBER, WHOLE, TRUTH, PLACES, SKILLS, TEXT, {"type": "string", "format": "email"}):
        read({"anyOf": [schema, NULL]}, long)
