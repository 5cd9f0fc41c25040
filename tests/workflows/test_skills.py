"""Skills in running sessions: what they have done is in storage, and what they find is what storage has."""

import json
from typing import Any
from uuid import uuid4

from tertulia.domain.conversation import OpenSession
from tertulia.domain.ids import ApplicationId, SessionId, TenantId
from tertulia.domain.recruiting.applications import Actor, ApplicationStatus, Step, ToApply, answered, created, moved
from tertulia.domain.recruiting.jobs import Job, JobFilter, JobStatus, QuestionType
from tertulia.domain.recruiting.profiles import Profile, corrected
from tertulia.embedded.simulator import Answer, ProviderSimulator
from tertulia.storage.applications import PostgresApplications
from tertulia.storage.jobs import PostgresJobs
from tertulia.storage.profiles import PostgresCandidates
from tests.engine import Chat, Engine

ACME = TenantId("acme")


async def opened(engine: Engine, definition: str, role: str, user_id: str = "eva") -> Chat:
    session_id = SessionId(uuid4().hex)
    opening = OpenSession(definition=definition, user_id=user_id, role=role, tenant=ACME)
    return Chat(engine, session_id, await engine.sessions.open(session_id, opening))


async def says(chat: Chat, *texts: str) -> str:
    """Say one thing after the other; return the reply to the last."""
    return [(await chat.say(text)).text for text in texts][-1]


def every_provider_says(simulator: ProviderSimulator, text: str) -> None:
    for name in ("first", "second", "third"):
        simulator.always(name, Answer(text=text))


async def only_job(engine: Engine) -> Job:
    (job,) = (await PostgresJobs(engine.pool).find(ACME, JobFilter())).jobs
    return job


async def applies(engine: Engine, job: Job, user_id: str, name: str, **answers: Any) -> None:
    """Have somebody apply, answer and submit."""
    order = ToApply(application_id=ApplicationId(user_id), user_id=user_id)
    begun = created(order, job, Profile(user_id=user_id), Actor.CANDIDATE, job.created_at)
    taken = answered(begun.application, job, answers, Actor.CANDIDATE, job.created_at)
    over = moved(taken.application, ApplicationStatus.SUBMITTED, job, Actor.CANDIDATE, job.created_at)
    await PostgresApplications(engine.pool).open(ACME, begun)
    await PostgresApplications(engine.pool).change(
        ACME, order.application_id, lambda _: Step(over.application, taken.entries + over.entries)
    )
    await PostgresCandidates(engine.pool).change(
        ACME, user_id, lambda before: corrected(before, {"name": name}, job.created_at)
    )


async def test_a_recruiter_runs_a_job_by_chat_from_its_creation_to_its_end(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    every_provider_says(simulator, "I would rather not suggest any questions.")
    chat = await opened(engine, "hiring", "recruiter")
    done = await says(
        chat, "create a job called Backend engineer", "Madrid", "You look after our shop.", "Python, SQL", "euros"
    )
    assert done == "The job Backend engineer is open. People can apply for it now.\n\nWhat can I do for you?"
    job = await only_job(engine)
    assert (job.title, job.location, job.skills, job.currency) == (
        "Backend engineer",
        "Madrid",
        ("Python", "SQL"),
        "EUR",
    )

    suggested = await says(chat, "suggest questions")
    assert "1. For how many years have you worked with Python? (number, weight 1)" in suggested
    assert "(boolean, weight 1, must-have)" in suggested
    assert await says(chat, "1 and 3") == "Written: Backend engineer has 2 questions now.\n\nWhat can I do for you?"
    own = await says(chat, "add a question", "How many services have you run?", "a number", "yes", "0.5")
    assert own.startswith("Written: Backend engineer has 3 questions now.")
    job = await only_job(engine)
    assert [(each.qid, each.must_have, each.weight) for each in job.questions] == [
        ("years_python", False, 1),
        ("work_authorisation", True, 1),
        ("q_how_many_services_have_you_run", True, 0.5),
    ]
    assert job.questions[2].type is QuestionType.NUMBER

    answers = {"work_authorisation": True, "q_how_many_services_have_you_run": 7}
    await applies(engine, job, "ada", "Ada Lovelace", years_python=5, **answers)
    await applies(engine, job, "bob", "Bob", years_python=1, **answers | {"work_authorisation": False})
    told = await says(chat, "who has applied?")
    assert "1. Ada Lovelace: 100 of 100, screened. Points: " in told
    assert "years_python 40 of 40" in told
    assert "2. Bob: 28 of 100, screened." in told
    assert "Must-haves not met: work_authorisation." in told

    assert await says(chat, "close the job", "yes") == (
        "Backend engineer is closed. It takes no applications any more.\n\nWhat can I do for you?"
    )
    assert (await only_job(engine)).status is JobStatus.CLOSED


async def test_a_provider_suggests_what_the_usual_questions_do_not_ask(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    chat = await opened(engine, "hiring", "recruiter")
    await says(chat, "create a job called Cook", "Madrid", "You run the ovens.", "Baking", "euros")
    ovens = {
        "text": "How many ovens have you run?",
        "type": "number",
        "must_have": True,
        "weight": 0.5,
        "choices": [],
        "unit": None,
        "best": 5,
        "worst": 0,
    }
    every_provider_says(simulator, json.dumps({"questions": [ovens]}))

    suggested = await says(chat, "suggest questions")
    assert "1. How many ovens have you run? (number, weight 0.5, must-have)" in suggested
    assert "2. " not in suggested
    assert (await says(chat, "1")).startswith("Written: Cook has 1 questions now.")
    (question,) = (await only_job(engine)).questions
    assert (question.must_have, question.fit.best) == (True, 5)


async def test_nobody_but_a_recruiter_creates_jobs_by_chat(engine: Engine) -> None:
    chat = await opened(engine, "hiring", "candidate")
    refused = await says(chat, "create a job called Mine", "skip", "skip", "skip", "EUR")
    assert refused.startswith("I can't create it: only recruiters can do this.")
    assert (await PostgresJobs(engine.pool).find(ACME, JobFilter())).jobs == ()


async def test_a_candidate_is_told_of_jobs_and_applications_and_asked_on(engine: Engine) -> None:
    recruiter = await opened(engine, "hiring", "recruiter")
    await says(recruiter, "create a job called Backend engineer", "Madrid", "skip", "Python", "EUR")
    chat = await opened(engine, "recruiting", "candidate", "ada")
    assert await says(chat, "Ada", "Where does my application stand?") == (
        "I know of no application of yours.\n\nAt which e-mail address can we reach you?"
    )
    await applies(engine, await only_job(engine), "ada", "Ada")
    status = await says(chat, "Where does my application stand?")
    assert "1. Backend engineer: received, and being read by our recruiters, since " in status
    jobs = await says(chat, "ada@example.org", "skip", "Python developer", "Which other jobs are open?")
    assert jobs.startswith("These open jobs fit you best:\n1. Backend engineer (Madrid). What fits: Python.")
    changed = await says(chat, "change my town to Toledo")
    assert changed.startswith("Thank you, I have changed that:\nplace: Toledo")
    assert (await PostgresCandidates(engine.pool).profile(ACME, "ada")).location == "Toledo"


async def test_a_provider_chooses_among_the_skills_that_are_on_offer(
    engine: Engine, simulator: ProviderSimulator
) -> None:
    for name in ("first", "second", "third"):
        simulator.always(name, Answer(text='{"skill": "matching"}'))
    chat = await opened(engine, "recruiting", "candidate")
    told = await says(chat, "Ada", "I wonder whether there is anything else for me")
    assert told == "There are no open jobs at the moment.\n\nAt which e-mail address can we reach you?"
    (asked,) = simulator.log
    assert '"enum": ["application_status", "matching", "profile_update"]' in json.dumps(asked.body)


async def test_what_was_listed_is_known_in_the_next_run_as_well(engine: Engine) -> None:
    first = await opened(engine, "hiring", "recruiter")
    await says(first, "create a job called One", "skip", "skip", "skip", "EUR")
    session_id = SessionId(uuid4().hex)
    opening = OpenSession(definition="hiring", user_id="eva", role="recruiter", tenant=ACME)
    sessions = engine.with_turns_per_run(1)
    chat = Chat(engine, session_id, await sessions.open(session_id, opening))
    assert await says(chat, "list jobs", "show candidates", "1") == (
        "Nobody has applied for One yet.\n\nWhat can I do for you?"
    )
