"""Chats that fill in applications."""

from typing import Any

import pytest

from activities.intake import ApplicationIntake
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.ids import SessionId, TenantId
from tertulia.domain.recruiting import jobs
from tertulia.domain.recruiting.applications import (
    Actor,
    Application,
    ApplicationFilter,
    ApplicationStatus,
    answered,
    continued,
    moved,
)
from tertulia.domain.recruiting.media_types import PDF
from tertulia.domain.recruiting.profiles import corrected
from tertulia.domain.recruiting.resumes import Resume, ResumeFile
from tertulia.domain.slots import document_of_file
from tertulia.domain.turns import EndTurn, NewSession
from tertulia.storage.applications import PostgresApplications
from tertulia.storage.jobs import PostgresJobs
from tertulia.storage.pool import Pool
from tertulia.storage.profiles import PostgresCandidates
from tertulia.storage.turns import PostgresTurns
from tests.domain.applying import job, question
from tests.domain.slot_tables import slot
from tests.domain.test_interviews import INTERVIEW, with_slots

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
        self.known: dict[str, Any] = {}
        self._told: dict[SessionId, dict[str, Any]] = {}

    async def open(
        self, session_id: SessionId = CHAT, *, opened: float = 0, definition: Definition = GREETING, **opening: Any
    ) -> NewSession:
        """Open a session, and keep what need not be asked in `known`."""
        session = new_session(session_id, opened=opened, **{"tenant": ACME, "job_id": "j-1", **opening})
        await self._turns.open(session, definition)
        self._told[session_id] = {}
        self.known = await self.intake.begin(session, definition)
        return session

    async def tell(
        self, turn: int, *, session_id: SessionId = CHAT, closes: str | None = None, **slots: Any
    ) -> EndTurn:
        """End a turn after which these slots are known."""
        plain = end(turn, session_id=session_id, ids=[f"{session_id}-{turn}"], closes=closes)
        stands = plain.session.model_copy(update={"slots": slots})
        before = self._told[session_id]
        news = tuple(name for name in {**before, **slots} if before.get(name) != slots.get(name))
        self._told[session_id] = slots
        ended = plain.model_copy(update={"session": stands, "news": news, "applies": True})
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

    await chats.intake.begin(session, GREETING)
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


async def test_a_second_chat_goes_on_with_the_application_of_the_first_and_so_may_the_first(chats: Chats) -> None:
    await chats.open()
    await chats.tell(1, years=5)
    second = SessionId("second")
    await chats.open(second, opened=5)
    await chats.tell(1, session_id=second, years=6)
    await chats.tell(2, years=5, permit=True)

    application = await chats.only()

    assert (application.session_id, application.answers) == (second, {"years": 6, "permit": True})
    assert ("continued", "in_progress") in await told(chats)


async def test_a_worker_that_wakes_up_with_an_old_turn_undoes_nothing(chats: Chats) -> None:
    await chats.open()
    old = await chats.tell(1, years=5)
    await chats.tell(2, years=6)

    await chats.intake.follow(old)

    assert (await chats.only()).answers == {"years": 6}
    assert (await chats.candidates.profile(ACME, "ada")).answers == {"years": 6}


async def test_what_others_have_changed_meanwhile_stays(chats: Chats) -> None:
    await chats.open()
    await chats.tell(1, years=5, name="Ada")
    application = await chats.only()
    await chats.applications.change(
        ACME,
        application.application_id,
        lambda before: answered(before, ENGINEER, {"years": 8}, Actor.RECRUITER, at(1)),
    )
    await chats.candidates.change(ACME, "ada", lambda before: corrected(before, {"name": "Augusta"}, at(1)))

    await chats.tell(2, years=5, name="Ada", permit=True)

    assert (await chats.only()).answers == {"years": 8, "permit": True}
    assert (await chats.candidates.profile(ACME, "ada")).name == "Augusta"


async def test_a_correction_after_the_end_is_screened_again_until_somebody_has_decided(chats: Chats) -> None:
    await chats.open()
    await chats.tell(1, years=5, permit=True, score=50.0)
    await chats.tell(2, years=10, permit=True, score=100.0)
    screened = await chats.only()
    await chats.applications.change(
        ACME,
        screened.application_id,
        lambda before: moved(before, ApplicationStatus.SHORTLISTED, ENGINEER, Actor.RECRUITER, at(3)),
    )
    await chats.tell(4, years=1, permit=True, score=10.0)

    after = await chats.only()

    assert screened.prescreen is not None
    assert (screened.status, screened.prescreen.jd_match_score) == (ApplicationStatus.SCREENED, 100)
    assert (after.status, after.answers["years"]) == (ApplicationStatus.SHORTLISTED, 10)


async def test_who_cancels_in_the_chat_withdraws(chats: Chats) -> None:
    await chats.open()
    await chats.tell(1, years=5)
    await chats.tell(2, years=5, closes="cancel")

    assert (await chats.only()).status is ApplicationStatus.WITHDRAWN
    assert (await told(chats))[-1] == ("moved", "withdrawn")


async def test_what_is_taken_back_is_answered_no_more(chats: Chats) -> None:
    await chats.open()
    await chats.tell(1, years=5, permit=True)
    await chats.tell(2, permit=True)

    assert (await chats.only()).answers == {"permit": True}


async def test_nothing_that_is_known_is_asked_again(chats: Chats) -> None:
    await chats.candidates.change(ACME, "ada", lambda before: corrected(before, {"email": "ada@example.org"}, at(0)))
    await chats.candidates.store_resume(ACME, "ada", ResumeFile(PDF, b"%PDF-"), Resume(), at(0))
    reading = with_slots(cv=slot("document"))
    await chats.open()
    await chats.tell(1, years=5, why="Because!")

    await chats.open(SessionId("second"), opened=5, definition=reading)

    assert chats.known == {
        "role": "Engineer",
        "cv": document_of_file(PDF, 5),
        "email": "ada@example.org",
        "years": 5,
        "why": "Because!",
    }


async def test_who_asks_no_job_s_questions_is_told_nothing(chats: Chats) -> None:
    await chats.candidates.change(ACME, "ada", lambda before: corrected(before, {"email": "ada@example.org"}, at(0)))

    await chats.open(definition=GREETING)

    assert chats.known == {}


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
    [({}, "years"), ({"job_id": "nowhere"}, "work"), ({"role": "recruiter"}, "work")],
)
async def test_a_candidate_s_chat_asks_the_questions_of_its_job(
    chats: Chats, opening: dict[str, Any], asked: str
) -> None:
    session = new_session(**{"tenant": ACME, "job_id": "j-1", **opening})

    definition = await chats.intake.interview(session.opening, INTERVIEW)

    assert asked in definition.states["asking"].ask
