"""What skills have done, over Postgres: each errand twice, for a turn that is run again may not do it again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from activities.errands import ErrandOrder, Errands
from tertulia.domain.errands import (
    AnyRequest,
    ChangeProfile,
    ChooseJob,
    CloseJob,
    CreateJob,
    Errand,
    FindApplications,
    FindCandidates,
    FindJobs,
    ListJobs,
    Outcome,
    ReadProfile,
    SuggestQuestions,
    WriteQuestions,
)
from tertulia.domain.errors import Unavailable
from tertulia.domain.ids import ApplicationId, JobId, SessionId, TenantId
from tertulia.domain.recruiting import question_bank
from tertulia.domain.recruiting.applications import Actor, ApplicationStatus, Step, ToApply, answered, created, moved
from tertulia.domain.recruiting.jobs import Job, JobFilter, JobStatus, Question
from tertulia.domain.recruiting.profiles import Profile, corrected, remembering
from tertulia.storage.applications import PostgresApplications
from tertulia.storage.jobs import PostgresJobs
from tertulia.storage.pool import Pool
from tertulia.storage.profiles import PostgresCandidates
from tests.domain.applying import job, question

from .examples import at

ACME = TenantId("acme")
ENGINEER = job(
    question("years", weight=1, fit={"worst": 0, "best": 10}),
    question("permit", "boolean", must_have=True),
    job_id="j-engineer",
    title="Backend engineer",
    location="Madrid",
    skills=("Python", "SQL"),
)
COOK = job(job_id="j-cook", title="Cook", location="Toledo", created_at=at(1), updated_at=at(1))


@dataclass
class ScriptedSuggester:
    """Suggests what it is told to, or raises it."""

    answer: Sequence[Question] | Exception
    asked: list[str] = field(default_factory=list)

    async def suggest(self, tenant: TenantId, to: Job) -> Sequence[Question]:
        self.asked.append(f"{tenant}: {to.title}")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Desk:
    """The errands of one person's chat."""

    def __init__(self, pool: Pool, role: str = "recruiter") -> None:
        self.jobs = PostgresJobs(pool)
        self.applications = PostgresApplications(pool)
        self.candidates = PostgresCandidates(pool)
        self.errands = Errands(self.jobs, self.applications, self.candidates)
        self.role = role
        self._turn = 0

    async def runs(self, request: AnyRequest, *, user_id: str = "ada") -> Outcome:
        """Run an errand in a turn of its own, twice."""
        self._turn += 1
        order = ErrandOrder(
            session_id=SessionId("chat"),
            turn=self._turn,
            tenant=ACME,
            user_id=user_id,
            role=self.role,
            errand=Errand(skill="matching", request=request),
            at=at(self._turn),
        )
        first = await self.errands.run_errand(order)
        assert await self.errands.run_errand(order) == first
        return first

    async def apply(self, user_id: str, name: str | None = None, **answers: Any) -> None:
        """Apply for the engineer's job, and submit where there are answers."""
        order = ToApply(application_id=ApplicationId(f"a-{user_id}"), user_id=user_id)
        step = created(order, ENGINEER, Profile(user_id=user_id), Actor.CANDIDATE, at(2))
        await self.applications.open(ACME, step)

        def change(application: Any) -> Step:
            step = answered(application, ENGINEER, answers, Actor.CANDIDATE, at(3))
            after = moved(step.application, ApplicationStatus.SUBMITTED, ENGINEER, Actor.CANDIDATE, at(4))
            return Step(after.application, step.entries + after.entries)

        if answers:
            await self.applications.change(ACME, order.application_id, change)
        if name:
            await self.candidates.change(ACME, user_id, lambda before: corrected(before, {"name": name}, at(3)))

    async def known(self, user_id: str = "ada", **fields: Any) -> None:
        await self.candidates.change(ACME, user_id, lambda before: corrected(before, fields, at(0)))


@pytest.fixture
async def desk(pool: Pool) -> Desk:
    """A recruiter's, with two open jobs."""
    desk = Desk(pool)
    await desk.jobs.create(ACME, ENGINEER)
    await desk.jobs.create(ACME, COOK)
    return desk


@pytest.fixture
async def empty(pool: Pool) -> Desk:
    return Desk(pool)


def titles(outcome: Outcome) -> list[str]:
    return [item["title"] for item in outcome.items]


# --- for whoever applies ----------------------------------------------------------------------------------------------


async def test_the_jobs_that_fit_come_first_with_what_fits(desk: Desk) -> None:
    desk.role = "candidate"
    found = await desk.runs(FindJobs(wanted=("backend developer", "I know Python")))
    assert (found.said, titles(found)) == ("found", ["Backend engineer"])
    assert found.items[0]["matched"] == "Python, Backend"
    await desk.known(skills=("SQL",), location="Madrid")
    assert (await desk.runs(FindJobs())).items[0]["matched"] == "SQL, Madrid"


async def test_where_nothing_fits_the_open_jobs_are_told_newest_first(desk: Desk) -> None:
    assert titles(found := await desk.runs(FindJobs(wanted=("astronaut",)))) == ["Cook", "Backend engineer"]
    assert found.said == "others"


async def test_a_job_whose_must_have_somebody_does_not_meet_is_not_proposed(desk: Desk) -> None:
    await desk.candidates.change(
        ACME, "ada", lambda before: remembering(before, ENGINEER, {"permit": False, "years": 3}, at(0))
    )
    assert titles(await desk.runs(FindJobs(wanted=("Python",)))) == ["Cook"]


async def test_closed_jobs_and_those_of_others_are_not_proposed(desk: Desk) -> None:
    await desk.jobs.create(TenantId("other"), job(job_id="j-other", title="Python engineer"))
    await desk.runs(CloseJob(job="j-cook"))
    await desk.runs(CloseJob(job="j-engineer"))
    assert await desk.runs(FindJobs(wanted=("Python",))) == Outcome(said="nothing")


async def test_a_person_is_told_where_their_own_applications_stand(desk: Desk) -> None:
    assert await desk.runs(FindApplications()) == Outcome(said="nothing")
    await desk.apply("ada", years=5, permit=True)
    await desk.apply("bob")
    found = await desk.runs(FindApplications())
    assert [(item["title"], item["status"], item["day"]) for item in found.items] == [
        ("Backend engineer", "screened", "2026-03-14")
    ]
    assert not {"score", "points"} & found.items[0].keys()


async def test_a_profile_is_told_and_changed(desk: Desk) -> None:
    desk.role = "candidate"
    assert await desk.runs(ReadProfile()) == Outcome(said="nothing")
    changed = await desk.runs(ChangeProfile(changes={"phone": "+34612345678", "answers": {"years": 99}}))
    assert changed == Outcome(said="done", items=({"field": "phone", "value": "+34612345678"},))
    await desk.known(skills=("Python", "SQL"))
    assert [item["value"] for item in (await desk.runs(ReadProfile())).items] == ["+34612345678", "Python, SQL"]
    assert (await desk.candidates.profile(ACME, "ada")).answers == {}


async def test_what_a_profile_can_not_keep_is_refused(desk: Desk) -> None:
    refused = await desk.runs(ChangeProfile(changes={"experience_years": "many"}))
    assert (refused.said, refused.values) == ("refused", {"reason": "experience_years: it is not of the right kind"})


# --- for recruiters ---------------------------------------------------------------------------------------------------


async def test_a_job_is_created_once_however_often_its_turn_is_run(empty: Desk) -> None:
    new = CreateJob(title="Gardener", location="Lugo", description="Roses.", skills=("pruning",), currency="CHF")
    first, second = await empty.runs(new), await empty.runs(new)
    stored = (await empty.jobs.find(ACME, JobFilter())).jobs
    assert {each.job_id for each in stored} == {first.slots["job"], second.slots["job"]}
    assert len(stored) == 2
    assert stored[0].model_dump(include={"title", "location", "description", "skills", "currency"}) == {
        "title": "Gardener",
        "location": "Lugo",
        "description": "Roses.",
        "skills": ("pruning",),
        "currency": "CHF",
    }
    assert (first.said, first.values["title"], first.slots["job_title"]) == ("done", "Gardener", "Gardener")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("j-cook", "Cook"), ("cook", "Cook"), ("Backend", "Backend engineer"), ("backend ENGINEER", "Backend engineer"),
        ("o", None), ("ngineer", None), ("gardener", None), ("", None),
    ],
)  # fmt: skip
async def test_a_job_is_found_by_its_id_or_its_title_if_that_is_clear(desk: Desk, said: str, found: str | None) -> None:
    outcome = await desk.runs(ChooseJob(job=said))
    if found:
        assert (outcome.said, outcome.slots["job_title"]) == ("done", found)
    else:
        assert (outcome.said, titles(outcome), outcome.again) == ("no_job", ["Cook", "Backend engineer"], ("job",))


async def test_without_any_job_none_is_listed(empty: Desk) -> None:
    assert await empty.runs(ListJobs()) == Outcome(said="nothing")
    assert await empty.runs(FindCandidates(job="cook")) == Outcome(said="no_jobs", again=("job",))


async def test_of_a_closed_and_an_open_job_of_one_name_the_open_one_is_meant(desk: Desk) -> None:
    await desk.runs(CloseJob(job="cook"))
    await desk.jobs.create(ACME, COOK.model_copy(update={"job_id": JobId("j-again")}))
    assert (await desk.runs(ChooseJob(job="Cook"))).slots["job"] == "j-again"
    assert (await desk.jobs.get(ACME, JobId("j-cook"))).status is JobStatus.CLOSED


async def test_the_usual_questions_are_suggested_with_all_it_takes_to_write_them(desk: Desk) -> None:
    found = await desk.runs(SuggestQuestions(job="Cook"))
    usual = question_bank.suggest(COOK)
    assert (found.said, found.slots["suggested"], len(found.items)) == ("found", len(usual), len(usual))
    assert [Question.model_validate_json(item["question"]) for item in found.items] == list(usual)
    assert next(item for item in found.items if "must" in item)["text"] == "Are you allowed to work in Toledo?"


async def test_a_suggester_is_asked_first_and_replaced_by_the_usual_questions_when_it_is_away(desk: Desk) -> None:
    for answer, expected in (
        ([question("ovens")], ["How much?"]),
        (Unavailable("the provider", "it is away"), [each.text for each in question_bank.suggest(COOK)]),
        ([], []),
    ):
        suggester = ScriptedSuggester(answer)
        desk.errands = Errands(desk.jobs, desk.applications, desk.candidates, suggester)
        found = await desk.runs(SuggestQuestions(job="Cook"))
        assert [item["text"] for item in found.items] == expected
        assert found.said == ("found" if expected else "nothing")
        assert suggester.asked == [f"{ACME}: Cook"] * 2


async def test_questions_are_written_each_in_its_place(desk: Desk) -> None:
    suggested = (await desk.runs(SuggestQuestions(job="Cook"))).items
    drafts = (
        {"text": "How many ovens have you run?", "type": "number", "weight": 0.5, "must_have": True},
        {"text": "What do you earn?", "type": "money", "weight": 0, "must_have": False},
        Question.model_validate_json(suggested[0]["question"]).model_dump(mode="json", exclude_defaults=True),
    )
    written = await desk.runs(WriteQuestions(job="Cook", questions=drafts))
    assert (written.said, written.values["questions"]) == ("done", "3")
    again = await desk.runs(WriteQuestions(job="Cook", questions=(drafts[0] | {"weight": 1},)))
    assert again.values["questions"] == "3"
    ovens, money, first = (await desk.jobs.get(ACME, COOK.job_id)).questions
    assert (ovens.qid, ovens.weight, ovens.must_have) == ("q_how_many_ovens_have_you_run", 1, True)
    assert money.validation_rule.currency == "EUR"
    assert first == question_bank.suggest(COOK)[0]


@pytest.mark.parametrize(
    ("draft", "reason"),
    [
        ({"text": "", "type": "text"}, "text: String should have at least 1 character"),
        ({"text": "Which?", "type": "choice"}, "choices"),
        ({"text": "Why?", "type": "poem"}, "type"),
        ({"text": "Why?", "type": "text", "weight": 7}, "weight"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused_with_a_reason(
    desk: Desk, draft: dict[str, Any], reason: str
) -> None:
    refused = await desk.runs(WriteQuestions(job="Cook", questions=(draft,)))
    assert refused.said == "refused"
    assert reason in refused.values["reason"]
    assert (await desk.jobs.get(ACME, COOK.job_id)).questions == ()


async def test_a_closed_job_takes_no_questions(desk: Desk) -> None:
    await desk.runs(CloseJob(job="Cook"))
    refused = await desk.runs(WriteQuestions(job="Cook", questions=({"text": "Why?", "type": "text"},)))
    assert refused == Outcome(said="refused", values={"reason": "the job is closed"})


async def test_candidates_are_told_with_scores_and_reasons_best_first(desk: Desk) -> None:
    assert (await desk.runs(FindCandidates(job="Backend engineer"))).said == "nothing"
    await desk.apply("bob", years=2, permit=False)
    await desk.apply("ada", "Ada Lovelace", years=8, permit=True)
    await desk.apply("eve")
    found = await desk.runs(FindCandidates(job="Backend engineer"))
    assert found.items == (
        {"name": "Ada Lovelace", "status": "screened", "score": "80 of 100", "points": "years 80 of 100"},
        {
            "name": "bob",
            "status": "screened",
            "score": "20 of 100",
            "points": "years 20 of 100",
            "failed": "permit",
        },
        {"name": "eve", "status": "draft"},
    )
    assert found.slots == {"job": "j-engineer", "job_title": "Backend engineer"}


@pytest.mark.parametrize(
    "request_",
    [ListJobs(), CreateJob(title="x"), ChooseJob(job="Cook"), CloseJob(job="Cook"), FindCandidates(job="Cook"),
     SuggestQuestions(job="Cook"), WriteQuestions(job="Cook", questions=())],
)  # fmt: skip
async def test_nobody_but_a_recruiter_gets_a_recruiter_s_errands_done(desk: Desk, request_: AnyRequest) -> None:
    desk.role = "candidate"
    assert await desk.runs(request_) == Outcome(said="refused", values={"reason": "only recruiters can do this"})
    assert [each.status for each in (await desk.jobs.find(ACME, JobFilter())).jobs] == [JobStatus.OPEN] * 2


async def test_what_is_told_is_short_however_much_there_is(desk: Desk) -> None:
    for number in range(12):
        await desk.jobs.create(ACME, job(job_id=f"j-{number}", title="x" * 400))
    found = await desk.runs(ListJobs())
    assert len(found.items) == 10
    assert max(map(len, titles(found))) == 300
