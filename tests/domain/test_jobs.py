"""Jobs and their questions."""

from typing import Any

import pytest
from pydantic import ValidationError

from tertulia.domain.errors import InvalidInput, NotFound, Refused
from tertulia.domain.recruiting import jobs
from tertulia.domain.recruiting.jobs import JobStatus
from tertulia.domain.slots import NotUnderstood, Understood, accept
from tests.domain.applying import NOON, job, question

YEARS = question("years", validation_rule={"unit": "years", "min": 0, "max": 60}, fit={"worst": 0, "best": 8})
REMOTE = question("remote", "boolean")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"kind": "number", "validation_rule": {"min_length": 3}}, "min_length does not go with this type"),
        ({"kind": "text", "validation_rule": {"max": 3}}, "max does not go with this type"),
        ({"kind": "money"}, "currency: Field required"),
        ({"kind": "money", "validation_rule": {"currency": "euro"}}, "currency: String should match"),
        ({"kind": "choice"}, "choices: Field required"),
        ({"kind": "choice", "choices": ["one"]}, "choices: Tuple should have at least 2"),
        ({"kind": "number", "choices": ["a", "b"]}, "choices does not go with this type"),
        ({"kind": "text", "validation_rule": {"min_length": 0}}, "min_length: Input should be greater"),
        ({"kind": "number", "fit": {"best": 3}}, "`best` and `worst` belong together"),
        ({"kind": "number", "fit": {"best": 3, "worst": 3}}, "are the same"),
        ({"kind": "boolean", "fit": {"best": 3, "worst": 4}}, "do not go with the type boolean"),
        ({"kind": "choice", "choices": ["a", "b"], "fit": {"worth": {"c": 1}}}, "not among the choices"),
        ({"kind": "text", "fit": {"expected": False}}, "`expected` does not go with the type text"),
        ({"kind": "text", "weight": 1.1}, "less than or equal to 1"),
        ({"kind": "text", "weight": -0.1}, "greater than or equal to 0"),
        ({"kind": "number", "validation_rule": {"min": float("nan")}}, "finite"),
        ({"kind": "essay"}, "Input should be 'text'"),
        ({"qid": "score"}, "rename the question"),
        ({"qid": "Notice-Period"}, "should match pattern"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_what_is_wrong(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        question(**given)


def test_a_question_is_read_by_the_rules_of_the_slot_of_its_type() -> None:
    slot = jobs.slot_of(YEARS)

    assert accept(slot, "eighteen months", NOON) == Understood(1.5)
    assert isinstance(accept(slot, 61, NOON), NotUnderstood)


def test_a_question_takes_the_place_of_the_one_of_its_name() -> None:
    harder = YEARS.model_copy(update={"must_have": True})

    changed = jobs.with_question(job(YEARS, REMOTE), harder, NOON)

    assert changed.questions == (harder, REMOTE)


def test_a_new_question_comes_last() -> None:
    assert jobs.with_question(job(YEARS), REMOTE, NOON).questions == (YEARS, REMOTE)


def test_a_question_is_removed_by_its_name() -> None:
    assert jobs.without_question(job(YEARS, REMOTE), "years", NOON).questions == (REMOTE,)
    with pytest.raises(NotFound, match="question"):
        jobs.without_question(job(YEARS), "remote", NOON)


def test_a_job_has_only_so_many_questions() -> None:
    full = job(*(question(f"q{number}") for number in range(jobs.MOST_QUESTIONS)))

    assert jobs.with_question(full, question("q0", "boolean"), NOON)
    with pytest.raises(InvalidInput, match="at most 50"):
        jobs.with_question(full, YEARS, NOON)


def test_a_closed_job_stays_as_it_is() -> None:
    closed = jobs.closed(job(YEARS), NOON)

    assert closed.status is JobStatus.CLOSED
    assert jobs.closed(closed, NOON) is closed
    with pytest.raises(Refused, match="closed"):
        jobs.with_question(closed, REMOTE, NOON)
    with pytest.raises(Refused, match="closed"):
        jobs.without_question(closed, "years", NOON)
    with pytest.raises(Refused, match="closed"):
        jobs.updated(closed, {"title": "Other"}, NOON)
