"""The usual questions."""

from tertulia.domain.recruiting.jobs import MOST_QUESTIONS, with_question
from tertulia.domain.recruiting.question_bank import suggest, usual
from tests.domain.applying import NOON, job, question


def test_there_are_fifteen_usual_questions_of_different_names() -> None:
    assert len({each.qid for each in usual(job())}) == 15


def test_they_speak_of_the_job() -> None:
    said = {each.qid: each for each in usual(job(title="Baker", location="Spain", currency="CHF"))}

    assert said["work_authorisation"].text == "Are you allowed to work in Spain?"
    assert said["motivation"].text == "Why are you interested in the position of Baker?"
    assert said["salary_expectation"].validation_rule.currency == "CHF"


def test_a_job_may_have_names_as_long_as_they_come() -> None:
    endless = job(title="t" * 500, location="l" * 500, skills=("s" * 500,))

    assert all(len(each.text) <= 500 for each in suggest(endless))


def test_a_shorter_notice_period_fits_better() -> None:
    fit = next(each.fit for each in usual(job()) if each.qid == "notice_period")

    assert fit.best is not None
    assert fit.worst is not None
    assert fit.best < fit.worst


def test_the_first_skills_are_asked_for_by_name() -> None:
    suggested = suggest(job(skills=("Python", "C++", "C#", "Go")))

    assert [each.qid for each in suggested[:4]] == [
        "years_python",
        "years_cplusplus",
        "years_csharp",
        "work_authorisation",
    ]
    assert suggested[0].text == "For how many years have you worked with Python?"


def test_a_skill_that_no_id_can_name_is_left_out_and_one_named_twice_is_asked_once() -> None:
    assert [each.qid for each in suggest(job(skills=("機械", "Go", "go")))[:2]] == ["years_go", "work_authorisation"]


def test_what_the_job_asks_already_is_not_suggested() -> None:
    asked = question("notice_period")

    assert len(suggest(job(asked))) == 14
    assert asked.qid not in {each.qid for each in suggest(job(asked))}


def test_all_suggestions_fit_into_the_job() -> None:
    crowded = job(*(question(f"q{number}") for number in range(MOST_QUESTIONS - 2)), skills=("a", "b", "c"))

    suggested = suggest(crowded)

    assert len(suggested) == 2
    for each in suggested:
        crowded = with_question(crowded, each, NOON)
