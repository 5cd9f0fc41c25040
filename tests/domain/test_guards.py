from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.domain.definitions import guards
from tertulia.domain.definitions.guards import Kind, Wrong

WORDS = guards.vocabulary(
    {
        "age": Kind.NUMBER,
        "topic": Kind.TEXT,
        "member": Kind.YES_OR_NO,
        "tags": Kind.TEXTS,
        "day": Kind.DAY,
        "now": Kind.DAY,
        "answered": Kind.TEXTS,
    }
)
KNOWN: dict[str, Any] = {
    "age": 6,
    "topic": "invoice",
    "member": True,
    "tags": ["a", "b"],
    "day": "2026-05-01",
    "now": datetime(2026, 3, 10, 9, 30, tzinfo=UTC),
    "answered": ["age"],
}


@pytest.mark.parametrize(
    "condition",
    [
        "age > 5",
        "age == 6",
        "age >= 6.0 && age < 7",
        "5 < age",
        'topic == "invoice"',
        'topic in ["invoice", "refund"]',
        'topic != "refund" || age > 100',
        "member",
        "member == true",
        '"a" in tags && size(tags) == 2',
        'tags.exists(tag, tag.startsWith("b"))',
        'day > timestamp("2026-04-30T00:00:00Z")',
        'day - now > duration("720h")',
        '"age" in answered && !("topic" in answered)',
        "age > 5 ? member : false",
    ],
)
def test_a_condition_is_checked_and_holds(condition: str) -> None:
    assert WORDS.check(condition) is None
    assert WORDS.holds(condition, KNOWN)


@pytest.mark.parametrize("condition", ["age > 6", 'topic == "refund"', "!member", '"c" in tags', "day < now"])
def test_a_condition_does_not_hold_where_it_is_not_so(condition: str) -> None:
    assert WORDS.check(condition) is None
    assert not WORDS.holds(condition, KNOWN)


@pytest.mark.parametrize("condition", ["age > 5", "!(age > 5)", "age > 5 || age <= 5", "!member"])
def test_a_condition_about_what_is_not_known_does_not_hold(condition: str) -> None:
    assert not WORDS.holds(condition, {})


def test_one_known_side_of_an_alternative_is_enough() -> None:
    assert WORDS.holds('topic == "invoice" || age > 5', {"topic": "invoice"})


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("agee > 5", "nothing is called agee (at character 1)"),
        ('age > "5"', "`>` does not go with number and text (at character 5)"),
        ("topic == true", "`==` does not go with text and yes or no (at character 7)"),
        ("age + 1 > 3", "`+` does not go with number and whole number; write 1.0 rather than 1 (at character 5)"),
        ("age", "this yields number, where yes or no is needed"),
        ('member ? "a" : "b"', "this yields text, where yes or no is needed"),
        ("age >", "Syntax error: mismatched input '<EOF>' (at character 6)"),
        ("full moon", "Syntax error: extraneous input 'moon'"),
        ("fetch(topic)", "nothing is called fetch"),
        ("(" * 200 + "member" + ")" * 200, "this is not an expression: CANCELLED: Expression recursion limit"),
    ],
)
def test_what_is_wrong_with_a_condition_is_told(condition: str, told: str) -> None:
    wrong = WORDS.check(condition)
    assert isinstance(wrong, Wrong)
    assert wrong.what.startswith(told)
    assert not WORDS.holds(condition, KNOWN)


def test_a_condition_that_would_take_for_ever_is_given_up() -> None:
    endless = "tags.all(a, tags.all(b, tags.all(c, tags.all(d, true))))"
    assert WORDS.check(endless) is None
    assert not WORDS.holds(endless, {"tags": ["x"] * 500})


@pytest.mark.parametrize(
    ("expression", "wanted", "value"),
    [
        ('age > 5 ? "high" : "low"', Kind.TEXT, "high"),
        ("age * 2.0", Kind.NUMBER, 12.0),
        ("size(tags)", Kind.NUMBER, 2),
        ("now", Kind.DAY, "2026-03-10"),
        ("tags", Kind.TEXTS, ["a", "b"]),
        ("!member", Kind.YES_OR_NO, False),
    ],
)
def test_a_value_is_worked_out_as_slots_keep_it(expression: str, wanted: Kind, value: object) -> None:
    assert WORDS.check(expression, wanted) is None
    assert WORDS.value(expression, KNOWN) == value


def test_what_names_are_compared_to_is_listed() -> None:
    condition = 'topic == "x" || topic in ["y", \'z\'] && "q" in tags && age > 3'
    assert guards.literals(condition) == [("topic", "x"), ("topic", "y"), ("topic", "z"), ("tags", "q")]


@given(
    st.text(max_size=60), st.dictionaries(st.sampled_from(sorted(WORDS.kinds)), st.none() | st.integers() | st.text())
)
def test_no_text_and_no_value_makes_an_expression_raise(expression: str, known: dict[str, Any]) -> None:
    WORDS.check(expression)
    WORDS.holds(expression, known)
    WORDS.holds("age > 5 && member && day > now && topic in tags", known)
