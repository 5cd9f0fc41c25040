"""Chats that fill in applications: a candidate's session about a job has an application, and each turn adds to it."""

import structlog
from pydantic import JsonValue

from tertulia.domain.conversation import CANDIDATE, OpenSession
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.dialogue import CANCEL
from tertulia.domain.errors import NotFound, Refused, TertuliaError, Unavailable
from tertulia.domain.ids import ApplicationId, JobId, TenantId
from tertulia.domain.recruiting import applications, interviews, profiles
from tertulia.domain.recruiting.applications import Actor, Application, Step, ToApply
from tertulia.domain.recruiting.jobs import Job
from tertulia.domain.turns import EndTurn, NewSession
from tertulia.ports import Applications, Candidates, Jobs

log = structlog.get_logger(__name__)


class ApplicationIntake:
    """Accompanies sessions. Each call can be repeated: what is known already changes nothing.

    Nothing but storage that is away keeps a session from going on.
    """

    def __init__(self, jobs: Jobs, applications: Applications, candidates: Candidates) -> None:
        self._jobs = jobs
        self._applications = applications
        self._candidates = candidates

    async def interview(self, opening: OpenSession, definition: Definition) -> Definition:
        """Let the application that a session opens with ask the questions of the session's job."""
        job = await self._job(opening) if interviews.is_interview(definition) else None
        return definition if job is None else interviews.about(definition, job)

    async def begin(self, session: NewSession, definition: Definition) -> dict[str, JsonValue]:
        """Begin the application of a candidate's session about a job, or go on with the undecided one.

        Returns:
            What need not be asked, by the names of slots.
        """
        opening = session.opening
        job = await self._job(opening)
        application = await self._apply(session, job) if job else None
        if opening.role != CANDIDATE or not interviews.is_interview(definition):
            return {}
        tenant = TenantId(opening.tenant)
        profile = await self._candidates.profile(tenant, opening.user_id)
        resume = await self._candidates.resume(tenant, opening.user_id)
        return {
            **({interviews.ROLE: job.title} if job else {}),
            **interviews.known(definition, profile, resume),
            **(application.answers if application else {}),
        }

    async def follow(self, turn: EndTurn) -> None:
        """Add what a turn has brought to the session's application, if it has one, and to the person's profile."""
        try:
            await self._follow(turn)
        except Unavailable:
            raise
        except TertuliaError as error:
            log.warning("turn not followed", session_id=turn.session_id, turn=turn.turn, error=type(error).__name__)

    async def _follow(self, turn: EndTurn) -> None:
        withdraws = turn.session.closed_reason == CANCEL and bool(turn.message_ids)
        if not turn.news and not withdraws:
            return
        slots, at = turn.session.slots, turn.ended_at

        def step(before: Application, job: Job) -> Step:
            filled = applications.filled(before, job, slots, turn.news, at)
            return applications.withdrawn(filled, job, at) if withdraws else filled

        followed = await self._applications.follow(turn.session_id, turn.turn, step)
        if followed is None:
            return
        said = {name: slots.get(name) for name in turn.news}
        answers = {qid: value for qid, value in followed.application.answers.items() if qid in said}
        await self._candidates.change(
            followed.tenant,
            followed.application.user_id,
            lambda before: profiles.remembering(profiles.told(before, said, at), followed.job, answers, at),
        )

    async def _job(self, opening: OpenSession) -> Job | None:
        """Read the job that the session's person applies for; its id may be the caller's own, and mean nothing here."""
        if not opening.applies or opening.job_id is None:
            return None
        try:
            return await self._jobs.get(TenantId(opening.tenant), JobId(opening.job_id))
        except NotFound:
            return None

    async def _apply(self, session: NewSession, job: Job) -> Application | None:
        opening, at = session.opening, session.opened_at
        tenant = TenantId(opening.tenant)
        order = ToApply(
            application_id=ApplicationId(session.session_id), user_id=opening.user_id, session_id=session.session_id
        )
        profile = await self._candidates.profile(tenant, opening.user_id)
        try:
            begun = applications.created(order, job, profile, Actor.CANDIDATE, at)
        except Refused:
            # The job is closed by now; people may talk about it all the same.
            return None
        opened = await self._applications.open(tenant, begun)
        return await self._applications.change(
            tenant, opened.application_id, lambda before: applications.continued(before, session.session_id, at)
        )
