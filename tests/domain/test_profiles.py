"""What is kept of a candidate for later applications."""

from tertulia.domain.recruiting.profiles import corrected, filled_from, remembering
from tertulia.domain.recruiting.resumes import Found, Resume
from tests.domain.applying import ADA, NOON, job, question

ENGINEER = job(question("years"), question("why", "text"))
RESUME = Resume(
    name=Found(value="Ada Lovelace", line=1, quote="Ada Lovelace"),
    email=Found(value="ada@example.org", line=2, quote="ada@example.org"),
    skills=(Found(value="Python", line=9, quote="Python"),),
)


def test_answers_are_kept_but_for_free_texts() -> None:
    assert remembering(ADA, ENGINEER, {"years": 7, "why": "because"}, NOON).answers == {"years": 7}


def test_later_answers_take_the_place_of_earlier_ones() -> None:
    before = corrected(ADA, {"answers": {"years": 6, "cooks": True}}, NOON)

    assert remembering(before, ENGINEER, {"years": 7}, NOON).answers == {"years": 7, "cooks": True}


def test_a_profile_that_learns_nothing_stays_as_it_is() -> None:
    assert remembering(ADA, ENGINEER, {"why": "because"}, NOON) is ADA
    assert filled_from(ADA, Resume(), NOON) is ADA


def test_a_resume_fills_what_is_empty() -> None:
    filled = filled_from(ADA, RESUME, NOON)

    assert (filled.name, filled.email, filled.phone, filled.skills) == (
        "Ada Lovelace",
        "ada@example.org",
        None,
        ("Python",),
    )


def test_what_a_person_has_said_goes_before_the_resume() -> None:
    assert filled_from(corrected(ADA, {"name": "Augusta"}, NOON), RESUME, NOON).name == "Augusta"
