"""Chats that fill in applications: a candidate's session about a job has an application, and each turn adds to it."""

from contextlib import suppress

from tertulia.domain import applications, interviews, profiles
from tertulia.domain.applications import Actor, ApplicationId, ToApply
from tertulia.domain.conversation import OpenSession
from tertulia.domain.definition import Definition
from tertulia.domain.errors import NotFound, Refused
from tertulia.domain.ids import TenantId
from tertulia.domain.jobs import JobId
from tertulia.domain.turns import EndTurn, NewSession
from tertulia.ports import Applications, Candidates, Jobs

_CANDIDATE = "candidate"


class ApplicationIntake:
    """Accompanies sessions. Each call can be repeated: what is known already changes nothing."""

    def __init__(self, jobs: Jobs, applications: Applications, candidates: Candidates) -> None:
        self._jobs = jobs
        self._applications = applications
        self._candidates = candidates

    async def interview(self, opening: OpenSession, definition: Definition) -> Definition:
        """Let the application that a session opens with ask the questions of the session's job."""
        if opening.role != _CANDIDATE or opening.job_id is None:
            return definition
        try:
            job = await self._jobs.get(TenantId(opening.tenant), JobId(opening.job_id))
        except NotFound:
            return definition
        return interviews.about(definition, job)

    async def begin(self, session: NewSession) -> None:
        """Begin the application of a candidate's session about a job, or go on with the undecided one."""
        opening, at = session.opening, session.opened_at
        if opening.role != _CANDIDATE or opening.job_id is None:
            return
        tenant = TenantId(opening.tenant)
        # The job's id may be the caller's own, or the job closed by now; people may talk about it all the same.
        with suppress(NotFound, Refused):
            job = await self._jobs.get(tenant, JobId(opening.job_id))
            profile = await self._candidates.profile(tenant, opening.user_id)
            order = ToApply(
                application_id=ApplicationId(session.session_id),
                user_id=opening.user_id,
                session_id=session.session_id,
            )
            opened = await self._applications.open(
                tenant, applications.created(order, job, profile, Actor.CANDIDATE, at)
            )
            await self._applications.change(
                tenant, opened.application_id, lambda before: applications.continued(before, session.session_id, at)
            )

    async def follow(self, turn: EndTurn) -> None:
        """Add what a turn has brought to the session's application, if it has one, and to the person's profile."""
        found = await self._applications.of_session(turn.session_id)
        if found is None:
            return
        tenant, application = found
        slots, at = turn.session.slots, turn.ended_at
        job = await self._jobs.get(tenant, application.job_id)
        after = await self._applications.change(
            tenant, application.application_id, lambda before: applications.filled(before, job, slots, at)
        )
        await self._candidates.change(
            tenant,
            application.user_id,
            lambda before: profiles.remembering(profiles.told(before, slots, at), job, after.answers, at),
        )
