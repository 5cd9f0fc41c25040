"""Chats that fill in applications."""

from typing import Any

import pytest

from activities.intake import ApplicationIntake
from tertulia.domain import jobs
from tertulia.domain.applications import Application, ApplicationFilter, ApplicationStatus, continued
from tertulia.domain.ids import SessionId, TenantId
from tertulia.domain.profiles import corrected
from tertulia.domain.turns import EndTurn, NewSession
from tertulia.storage.applications import PostgresApplications
from tertulia.storage.jobs import PostgresJobs
from tertulia.storage.pool import Pool
from tertulia.storage.profiles import PostgresCandidates
from tertulia.storage.turns import PostgresTurns
from tests.domain.applying import job, question
from tests.domain.test_interviews import INTERVIEW

from .examples import CHAT, GREETING, at, end, new_session

ACME = TenantId("acme")
ENGINEER = job(
    question("years", weight=1, fit={"worst": 0, "best": 10}),
    question("permit", "boolean", must_have=True),
    question("why", "text", required=False),
)


class Chats:
    """Sessions as the worker stores them, followed by an intake."""

    def __init__(self, pool: Pool) -> None:
        self._turns = PostgresTurns(pool)
        self.jobs = PostgresJobs(pool)
        self.applications = PostgresApplications(pool)
        self.candidates = PostgresCandidates(pool)
        self.intake = ApplicationIntake(self.jobs, self.applications, self.candidates)

    async def open(self, session_id: SessionId = CHAT, *, opened: float = 0, **opening: Any) -> NewSession:
        session = new_session(session_id, opened=opened, **{"tenant": ACME, "job_id": "j-1", **opening})
        await self._turns.open(session, GREETING)
        await self.intake.begin(session)
        return session

    async def tell(self, turn: int, *, session_id: SessionId = CHAT, **slots: Any) -> EndTurn:
        """End a turn after which these slots are known."""
        plain = end(turn, session_id=session_id)
        ended = plain.model_copy(update={"session": plain.session.model_copy(update={"slots": slots})})
        await self._turns.end(ended)
        await self.intake.follow(ended)
        return ended

    async def all(self) -> tuple[Application, ...]:
        return (await self.applications.find(ACME, ApplicationFilter())).applications

    async def only(self) -> Application:
        (application,) = await self.all()
        return application


@pytest.fixture
async def chats(pool: Pool) -> Chats:
    chats = Chats(pool)
    await chats.jobs.create(ACME, ENGINEER)
    return chats


async def told(chats: Chats) -> list[tuple[str, str]]:
    entries = await chats.applications.timeline(ACME, (await chats.only()).application_id)
    return [(entry.kind, entry.status) for entry in entries]


async def test_a_chat_about_a_job_fills_in_an_application(chats: Chats) -> None:
    await chats.open()
    await chats.tell(1, years=5, shoe_size=44)
    await chats.tell(2, years=5, shoe_size=44, permit=True)
    during = await chats.only()
    await chats.tell(3, years=6, shoe_size=44, permit=True, score=50.0)
    after = await chats.only()

    assert (during.status, during.answers) == (ApplicationStatus.IN_PROGRESS, {"years": 5, "permit": True})
    assert (after.status, after.answers) == (ApplicationStatus.SCREENED, {"years": 6, "permit": True})
    assert after.prescreen is not None
    assert after.prescreen.jd_match_score == 60


async def test_a_turn_that_is_stored_again_changes_nothing(chats: Chats) -> None:
    session = await chats.open()
    ended = await chats.tell(1, years=5)
    before = await told(chats)

    await chats.intake.begin(session)
    await chats.intake.follow(ended)

    assert await told(chats) == before == [("created", "draft"), ("answered", "in_progress")]


async def test_an_application_that_lacks_an_answer_is_not_submitted_by_the_end_of_the_chat(chats: Chats) -> None:
    await chats.open()

    await chats.tell(1, years=5, score=90.0)

    assert (await chats.only()).status is ApplicationStatus.IN_PROGRESS


async def test_what_was_known_before_is_submitted_without_being_asked(chats: Chats) -> None:
    known = {"answers": {"years": 5, "permit": True}}
    await chats.candidates.change(ACME, "ada", lambda before: corrected(before, known, at(0)))
    await chats.open()

    await chats.tell(1, score=90.0)

    assert await told(chats) == [
        ("created", "draft"),
        ("moved", "in_progress"),
        ("moved", "submitted"),
        ("moved", "screened"),
    ]


async def test_an_answer_that_the_job_does_not_allow_is_left_out(chats: Chats) -> None:
    await chats.open()

    await chats.tell(1, years="a lot", permit=True)

    assert (await chats.only()).answers == {"permit": True}


async def test_a_second_chat_goes_on_with_the_application_of_the_first(chats: Chats) -> None:
    await chats.open()
    await chats.tell(1, years=5)
    second = SessionId("second")
    await chats.open(second, opened=5)
    await chats.tell(1, session_id=second, permit=True)
    await chats.tell(2, years=1)

    application = await chats.only()

    assert (application.session_id, application.answers) == (second, {"years": 5, "permit": True})
    assert ("continued", "in_progress") in await told(chats)


async def test_what_a_person_says_about_themselves_is_kept_in_their_profile(chats: Chats) -> None:
    await chats.open()

    await chats.tell(1, name="Ada", email="ada@example.org", phone=None, experience_years=7, years=5, why="Because!")

    profile = await chats.candidates.profile(ACME, "ada")
    assert (profile.name, profile.email, profile.phone, profile.experience_years) == ("Ada", "ada@example.org", None, 7)
    assert profile.answers == {"years": 5}


@pytest.mark.parametrize("opening", [{"job_id": None}, {"job_id": "somewhere-else"}, {"role": "recruiter"}])
async def test_other_chats_fill_in_nothing(chats: Chats, opening: dict[str, Any]) -> None:
    await chats.open(**opening)
    await chats.tell(1, years=5)

    assert await chats.all() == ()


async def test_a_chat_about_a_closed_job_goes_on_without_an_application(chats: Chats) -> None:
    await chats.jobs.change(ACME, ENGINEER.job_id, lambda before: jobs.closed(before, at(0)))

    await chats.open()
    await chats.tell(1, years=5, permit=True, score=1.0)

    assert await chats.all() == ()


async def test_a_job_that_closes_meanwhile_stops_no_turn(chats: Chats) -> None:
    await chats.open()
    await chats.jobs.change(ACME, ENGINEER.job_id, lambda before: jobs.closed(before, at(0)))

    await chats.tell(1, years=5, permit=True, score=1.0)

    assert (await chats.only()).status is ApplicationStatus.IN_PROGRESS


@pytest.mark.parametrize("other", [{"tenant": "umbrella"}, {"user_id": "bo"}, {"job_id": "j-2"}])
async def test_nobody_gets_what_is_said_in_a_chat_of_somebody_else(chats: Chats, other: dict[str, Any]) -> None:
    claimed = SessionId("claimed")
    await chats.open()
    application = await chats.only()
    await chats.applications.change(ACME, application.application_id, lambda before: continued(before, claimed, at(0)))
    await chats.open(claimed, **{"role": "operator", **other})

    await chats.tell(1, session_id=claimed, years=5)

    assert (await chats.only()).answers == {}


@pytest.mark.parametrize(
    ("opening", "asked"),
    [({}, "years"), ({"job_id": "nowhere"}, "job_questions"), ({"role": "recruiter"}, "job_questions")],
)
async def test_a_candidate_s_chat_asks_the_questions_of_its_job(
    chats: Chats, opening: dict[str, Any], asked: str
) -> None:
    session = new_session(**{"tenant": ACME, "job_id": "j-1", **opening})

    definition = await chats.intake.interview(session.opening, INTERVIEW)

    assert asked in definition.states["talk"].ask
