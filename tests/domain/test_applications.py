"""The life cycle of applications, their answers, and the prescreening."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.domain.errors import InvalidInput, Refused, TransitionRefused
from tertulia.domain.ids import ApplicationId
from tertulia.domain.recruiting import jobs
from tertulia.domain.recruiting.applications import (
    DECIDED,
    MAY_FOLLOW,
    Actor,
    Application,
    ApplicationStatus,
    Points,
    Step,
    ToApply,
    answered,
    created,
    moved,
    prescreen,
    unanswered,
)
from tertulia.domain.recruiting.jobs import Job, Question
from tests.domain.applying import ADA, NOON, answering, applied, job, question, submitted

YEARS = question(
    "years", weight=0.8, validation_rule={"unit": "years", "min": 0, "max": 60}, fit={"worst": 0, "best": 8}
)
NOTICE = question(
    "notice", weight=0.2, validation_rule={"unit": "days", "min": 0, "max": 365}, fit={"best": 0, "worst": 90}
)
PERMIT = question("permit", "boolean", must_have=True)
WHY = question("why", "text", required=False)
ENGINEER = job(YEARS, NOTICE, PERMIT, WHY)
S = ApplicationStatus


def go(application: Application, to: ApplicationStatus, of: Job = ENGINEER) -> Step:
    return moved(application, to, of, Actor.RECRUITER, NOON, "because")


# --- answers ----------------------------------------------------------------------------------------------------------


def test_answers_are_read_like_those_of_a_chat() -> None:
    application = answering(applied(ENGINEER), ENGINEER, years="six and a half years", notice="two weeks", permit="yes")

    assert application.answers == {"years": 6.5, "notice": 14, "permit": True}
    assert application.status is S.IN_PROGRESS


def test_answers_are_taken_together_or_not_at_all() -> None:
    with pytest.raises(InvalidInput, match=r"notice: is not valid \(too large\); salary: is no question") as refused:
        answering(applied(ENGINEER), ENGINEER, years=3, notice=1500, salary=1)

    assert refused.value.field == "body.answers"


def test_an_answer_can_be_changed_and_taken_back() -> None:
    application = answering(applied(ENGINEER), ENGINEER, years=3, notice=10)

    changed = answering(application, ENGINEER, years=4, notice=None)

    assert changed.answers == {"years": 4}


def test_the_same_answers_again_change_nothing() -> None:
    application = answering(applied(ENGINEER), ENGINEER, years=3)

    assert answered(application, ENGINEER, {"years": "3 years"}, Actor.CANDIDATE, NOON) == Step(application)


def test_a_submitted_application_keeps_its_answers() -> None:
    with pytest.raises(Refused, match="screened"):
        answering(submitted(ENGINEER, years=1, notice=1, permit=True), ENGINEER, years=2)


def test_the_timeline_names_questions_and_quotes_no_answer() -> None:
    step = answered(applied(ENGINEER), ENGINEER, {"why": "a secret reason", "years": 3}, Actor.CANDIDATE, NOON)

    assert [(entry.kind, entry.qids, entry.by) for entry in step.entries] == [
        ("answered", ("why", "years"), Actor.CANDIDATE)
    ]
    assert "secret" not in step.entries[0].model_dump_json()


def test_what_a_candidate_has_told_before_is_not_asked_again() -> None:
    ada = ADA.model_copy(update={"answers": {"years": 7, "notice": 9000, "cooks": True}})

    application = applied(ENGINEER, profile=ada)

    assert application.answers == {"years": 7}
    assert application.status is S.DRAFT
    assert unanswered(application, ENGINEER) == ("notice", "permit")


# --- the life cycle ---------------------------------------------------------------------------------------------------


def test_what_is_submitted_is_screened_at_once() -> None:
    step = go(answering(applied(ENGINEER), ENGINEER, years=4, notice=45, permit=True), S.SUBMITTED)

    assert [entry.status for entry in step.entries] == [S.SUBMITTED, S.SCREENED]
    assert step.application.status is S.SCREENED
    assert step.application.prescreen is not None


def test_an_application_without_its_required_answers_is_not_submitted() -> None:
    application = answering(applied(ENGINEER), ENGINEER, years=4)

    with pytest.raises(TransitionRefused, match="still to be answered: notice, permit") as refused:
        go(application, S.SUBMITTED)

    assert refused.value.allowed == (S.WITHDRAWN,)


def test_a_closed_job_takes_no_applications() -> None:
    application = answering(applied(ENGINEER), ENGINEER, years=4, notice=45, permit=True)
    closed = jobs.closed(ENGINEER, NOON)

    with pytest.raises(Refused, match="takes no applications"):
        go(application, S.SUBMITTED, closed)
    with pytest.raises(Refused, match="takes no applications"):
        created(ToApply(application_id=ApplicationId("a-2"), user_id="bo"), closed, ADA, Actor.CANDIDATE, NOON)
    assert go(application, S.WITHDRAWN, closed).application.status is S.WITHDRAWN


def test_a_refused_transition_names_the_allowed_ones() -> None:
    with pytest.raises(
        TransitionRefused, match="hired may not follow draft; allowed: in_progress, withdrawn"
    ) as refused:
        go(applied(ENGINEER), S.HIRED)

    assert refused.value.allowed == (S.IN_PROGRESS, S.WITHDRAWN)


def test_what_is_decided_stays_so() -> None:
    withdrawn = go(applied(ENGINEER), S.WITHDRAWN).application

    for status in S:
        with pytest.raises(TransitionRefused, match="it is decided"):
            go(withdrawn, status)
    assert {S.REJECTED, S.WITHDRAWN, S.HIRED} == DECIDED


def test_every_status_can_be_reached() -> None:
    reached, ahead = set[S](), [S.DRAFT]
    while ahead:
        status = ahead.pop()
        if status not in reached:
            reached.add(status)
            ahead += MAY_FOLLOW[status]
    assert reached == {*S}


actions = st.one_of(
    st.sampled_from(S),
    st.dictionaries(
        st.sampled_from(["years", "notice", "permit", "why", "nothing"]),
        st.none() | st.integers(-5, 400) | st.booleans() | st.text(max_size=8) | st.floats(),
        min_size=1,
        max_size=4,
    ),
    st.just({"years": 3, "notice": 3, "permit": True}),
)


@given(st.lists(actions, max_size=20))
def test_no_application_ever_leaves_the_table(doings: list[Any]) -> None:
    application = applied(ENGINEER)
    seen = [application.status]
    for doing in doings:
        try:
            step = (
                answered(application, ENGINEER, doing, Actor.CANDIDATE, NOON)
                if isinstance(doing, dict)
                else go(application, doing)
            )
        except (Refused, InvalidInput):
            continue
        seen += [entry.status for entry in step.entries]
        application = step.application
        assert seen[-1] is application.status
    assert all(after is before or after in MAY_FOLLOW[before] for before, after in pairwise(seen))
    assert (application.prescreen is None) == (S.SCREENED not in seen)


# --- the prescreening -------------------------------------------------------------------------------------------------


def test_the_score_is_weighted_and_knows_which_direction_is_better() -> None:
    result = prescreen(ENGINEER, {"years": 4, "notice": 45, "permit": True}, NOON)

    assert result.jd_match_score == 50
    assert result.points == {"years": Points(earned=40, most=80), "notice": Points(earned=10, most=20)}
    assert prescreen(ENGINEER, {"years": 4, "notice": 10, "permit": True}, NOON).jd_match_score > 50
    assert prescreen(ENGINEER, {"years": 4, "notice": 80, "permit": True}, NOON).jd_match_score < 50


def test_an_enormous_answer_earns_no_more_than_its_weight() -> None:
    unbounded = job(question("years", weight=0.5, fit={"worst": 0, "best": 8}), question("x", "text", weight=0.5))

    assert prescreen(unbounded, {"years": 1500}, NOON).points["years"] == Points(earned=50, most=50)


@pytest.mark.parametrize("answer", [False, None, "perhaps", 7])
def test_a_must_have_that_is_missing_invalid_or_wrong_fails(answer: Any) -> None:
    answers = {"years": 8, "notice": 0, "permit": answer}

    assert prescreen(ENGINEER, answers, NOON).must_have_failed == ("permit",)


def test_an_answer_to_a_question_that_has_become_another_one_does_not_count() -> None:
    start = question("why", "date", must_have=True, weight=1)

    result = prescreen(job(start), {"why": "because"}, NOON)

    assert (result.jd_match_score, result.must_have_failed) == (0, ("why",))


def test_a_job_without_weights_scores_by_its_must_haves_alone() -> None:
    result = prescreen(job(PERMIT), {"permit": False}, NOON)

    assert (result.jd_match_score, result.must_have_failed, result.points) == (100, ("permit",), {})


fits = st.tuples(st.integers(-100, 100), st.integers(-100, 100)).filter(lambda ends: ends[0] != ends[1])
some_questions = st.builds(
    lambda qid, weight, must, ends: question(
        qid, weight=weight, must_have=must, fit={"worst": ends[0], "best": ends[1]}
    ),
    st.sampled_from("abcdef"),
    st.floats(0, 1),
    st.booleans(),
    fits,
)
values = st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.booleans() | st.lists(st.text(max_size=3))


@given(
    st.lists(some_questions, unique_by=lambda each: each.qid, max_size=6),
    st.dictionaries(st.sampled_from("abcdefg"), values),
)
def test_a_score_lies_between_0_and_100_and_is_what_its_points_add_up_to(
    questions: Sequence[Question], answers: dict[str, Any]
) -> None:
    result = prescreen(job(*questions), answers, NOON)

    assert 0 <= result.jd_match_score <= 100
    assert all(0 <= points.earned <= points.most for points in result.points.values())
    if result.points:
        # Each of at most six is rounded by itself.
        assert sum(points.earned for points in result.points.values()) == pytest.approx(result.jd_match_score, abs=0.4)
    assert set(result.must_have_failed) <= {each.qid for each in questions if each.must_have}


@given(st.floats(0.01, 1), st.floats(0.01, 1))
def test_the_heavier_question_decides(one: float, other: float) -> None:
    both = job(
        question("one", weight=one, fit={"worst": 0, "best": 1}),
        question("other", weight=other, fit={"worst": 0, "best": 1}),
    )

    first = prescreen(both, {"one": 1, "other": 0}, NOON).jd_match_score
    second = prescreen(both, {"one": 0, "other": 1}, NOON).jd_match_score

    assert (first > second) == (one > other) or first == pytest.approx(second, abs=0.1)
