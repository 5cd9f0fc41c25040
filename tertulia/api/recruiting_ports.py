"""What the calls of recruiting are given: the ports behind them, and whose data they may see."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from tertulia.domain.ids import DEFAULT_TENANT, TenantId
from tertulia.ports import Applications, Candidates, Jobs, QuestionSuggester, ResumeReader


@dataclass(frozen=True, slots=True)
class RecruitingPorts:
    """Everything behind jobs, applications and candidates.

    Attributes:
        suggester: Writes questions for a job; without one, and where it can't, the usual questions are suggested.
    """

    jobs: Jobs
    applications: Applications
    candidates: Candidates
    resumes: ResumeReader
    suggester: QuestionSuggester | None = None


def _recruiting(request: Request) -> RecruitingPorts:
    ports: RecruitingPorts = request.app.state.ports.recruiting
    return ports


def _tenant(request: Request) -> TenantId:
    tenant: TenantId = getattr(request.state, "tenant", DEFAULT_TENANT)
    return tenant


Recruiting = Annotated[RecruitingPorts, Depends(_recruiting)]
Tenant = Annotated[TenantId, Depends(_tenant)]
