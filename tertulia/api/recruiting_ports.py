"""What the calls of recruiting are given: the ports behind them."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from tertulia.ports import Applications, Candidates, Jobs, QuestionSuggester, ResumeIntake


@dataclass(frozen=True, slots=True)
class RecruitingPorts:
    """Everything behind jobs, applications and candidates.

    Attributes:
        suggester: Writes questions for a job; without one, and where it can't, the usual questions are suggested.
    """

    jobs: Jobs
    applications: Applications
    candidates: Candidates
    resumes: ResumeIntake
    suggester: QuestionSuggester | None = None


async def _recruiting(request: Request) -> RecruitingPorts:
    ports: RecruitingPorts = request.app.state.ports.recruiting
    return ports


Recruiting = Annotated[RecruitingPorts, Depends(_recruiting)]
