from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.domain.scoring import Score, score
from tertulia.domain.slots import Slot
from tests.domain.slot_tables import NOW, slot


def scored(kind: str = "number", *, weight: float = 1, must_have: bool = False, **given: Any) -> Slot:
    rules = {key: given.pop(key) for key in ("best", "worst", "worth", "expected") if key in given}
    return slot(kind, score={"weight": weight, "must_have": must_have, **rules}, **given)


def of(answer: Any, of_slot: Slot) -> float:
    return score({"x": of_slot}, {"x": answer}, NOW).total


def test_more_is_better_where_the_best_lies_above_the_worst() -> None:
    years = scored(worst=0, best=10)
    assert [of(value, years) for value in (0, 4, 10)] == [0, 40, 100]


def test_less_is_better_where_the_best_lies_below_the_worst() -> None:
    notice = scored(best=0, worst=90)
    assert [of(value, notice) for value in (0, 45, 90)] == [100, 50, 0]


def test_no_answer_is_worth_more_than_everything_or_less_than_nothing() -> None:
    assert of(1500, scored(worst=0, best=10)) == 100
    assert of(-1500, scored(worst=0, best=10)) == 0


def test_a_day_counts_by_its_distance() -> None:
    start = scored("date", best=0, worst=100)
    assert of("2026-03-10", start) == 100
    assert of("2026-04-29", start) == 50
    assert of("2020-01-01", start) == 100
    assert of("not a day", start) == 0


def test_a_yes_or_no_is_worth_everything_if_it_is_the_expected_one() -> None:
    assert [of(value, scored("boolean")) for value in (True, False)] == [100, 0]
    assert [of(value, scored("boolean", expected=False)) for value in (True, False)] == [0, 100]


def test_a_choice_is_worth_what_the_definition_says() -> None:
    mode = scored("choice", choices=["remote", "hybrid", "office"], worth={"hybrid": 1, "remote": 0.5})
    assert [of(value, mode) for value in ("hybrid", "remote", "office", "moon")] == [100, 50, 0, 0]


def test_of_several_choices_the_best_one_counts() -> None:
    tools = scored("multi_choice", choices=["a", "b", "c"], worth={"a": 0.2, "b": 0.7})
    assert of(["a", "b", "c"], tools) == 70


def test_any_other_answer_counts_by_being_there() -> None:
    assert of("because", scored("text")) == 100
    assert of(None, scored("text")) == 0


def test_weights_decide_how_much_an_answer_moves_the_score() -> None:
    slots = {"heavy": scored(weight=0.9, worst=0, best=1), "light": scored(weight=0.1, worst=0, best=1)}
    assert score(slots, {"heavy": 1, "light": 0}, NOW).total == 90
    assert score(slots, {"heavy": 0, "light": 1}, NOW).total == 10


def test_an_unanswered_question_is_worth_nothing_and_keeps_its_weight() -> None:
    slots = {"a": scored(worst=0, best=1), "b": scored(worst=0, best=1)}
    assert score(slots, {"a": 1}, NOW).total == 50


def test_answers_without_a_criterion_and_unknown_ones_do_not_count() -> None:
    slots = {"a": scored(worst=0, best=1), "b": slot("number")}
    assert score(slots, {"a": 1, "b": 7, "c": 9}, NOW) == Score(100, ())


def test_where_nothing_has_a_weight_nothing_is_missing() -> None:
    assert score({}, {}, NOW) == Score(100, ())


@pytest.mark.parametrize(
    ("answer", "failed"),
    [(3, ()), (2, ()), (1.9, ("x",)), (None, ("x",)), (-1, ("x",)), ("lots", ("x",)), (True, ("x",)), (1e400, ("x",))],
)
def test_a_must_have_fails_where_it_is_missing_invalid_or_out_of_bounds(answer: Any, failed: tuple[str, ...]) -> None:
    years = scored(must_have=True, worst=2, best=10, min=0)
    assert score({"x": years}, {"x": answer}, NOW).failed == failed


@pytest.mark.parametrize(("answer", "failed"), [(True, ()), (False, ("x",)), ("yes", ()), (None, ("x",)), (1, ("x",))])
def test_a_yes_can_be_a_must_have(answer: Any, failed: tuple[str, ...]) -> None:
    assert score({"x": scored("boolean", must_have=True)}, {"x": answer}, NOW).failed == failed


def test_a_must_have_stands_beside_the_score() -> None:
    slots = {"must": scored("boolean", must_have=True, weight=0), "nice": scored(worst=0, best=1)}
    assert score(slots, {"must": False, "nice": 1}, NOW) == Score(100, ("must",))


criteria = st.builds(
    lambda weight, ends, must: scored(weight=weight, must_have=must, worst=ends[0], best=ends[1]),
    st.floats(0, 1),
    st.tuples(st.integers(-100, 100), st.integers(-100, 100)).filter(lambda ends: ends[0] != ends[1]),
    st.booleans(),
)
answers = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(max_size=5), st.booleans(), st.lists(st.integers(), max_size=2)
)


@given(st.dictionaries(st.sampled_from("abcd"), criteria), st.dictionaries(st.sampled_from("abcde"), answers))
def test_the_score_lies_between_0_and_100_whatever_is_answered(slots: dict[str, Slot], given: dict[str, Any]) -> None:
    result = score(slots, given, NOW)
    assert 0 <= result.total <= 100
    assert set(result.failed) <= slots.keys()


@given(st.integers(-1000, 1000), st.integers(1, 500))
def test_a_better_answer_never_scores_less(value: int, step: int) -> None:
    assert of(value + step, scored(worst=-50, best=300)) >= of(value, scored(worst=-50, best=300))
    assert of(value + step, scored(best=-50, worst=300)) <= of(value, scored(best=-50, worst=300))
