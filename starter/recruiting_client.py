"""Calls about jobs, candidates and applications."""

from collections.abc import Iterator, Mapping
from typing import Any

from starter.api_client import ApiClient
from tertulia.api.recruiting_views import ApplicationDetail, SuggestedQuestions, Timeline
from tertulia.domain.ids import ApplicationId, JobId
from tertulia.domain.recruiting.applications import Application, ApplicationPage, Candidate, CandidatePage
from tertulia.domain.recruiting.jobs import Job, JobPage, Question


class RecruitingClient(ApiClient):
    """Does what recruiters do."""

    def jobs(self, *, limit: int, **where: str | None) -> Iterator[Job]:
        """Read up to `limit` jobs, newest first."""
        for page in self._pages("/v1/jobs", limit, where):
            yield from JobPage.model_validate_json(page).jobs

    def job(self, job_id: JobId) -> Job:
        """Read a job with its questions."""
        return Job.model_validate_json(self._call("GET", f"/v1/jobs/{job_id}").content)

    def create_job(self, fields: Mapping[str, Any]) -> Job:
        """Create a job; `fields` are the call's body."""
        return Job.model_validate_json(self._call("POST", "/v1/jobs", json=fields).content)

    def close_job(self, job_id: JobId) -> Job:
        """Close a job."""
        return Job.model_validate_json(self._call("POST", f"/v1/jobs/{job_id}/close").content)

    def put_question(self, job_id: JobId, question: Question) -> None:
        """Put a question in the place of the one of its name, or behind the others."""
        body = question.model_dump(mode="json", exclude={"qid"}, exclude_none=True)
        self._call("PUT", f"/v1/jobs/{job_id}/questions/{question.qid}", json=body)

    def suggest_questions(self, job_id: JobId) -> SuggestedQuestions:
        """Have questions for a job suggested; none is stored."""
        answer = self._call("POST", f"/v1/jobs/{job_id}/questions/suggest")
        return SuggestedQuestions.model_validate_json(answer.content)

    def candidates(self, job_id: JobId, *, limit: int) -> Iterator[Candidate]:
        """Read up to `limit` candidates of a job, best score first."""
        for page in self._pages(f"/v1/jobs/{job_id}/candidates", limit, {}):
            yield from CandidatePage.model_validate_json(page).candidates

    def candidates_csv(self, job_id: JobId) -> Iterator[bytes]:
        """Yield the file of all candidates of a job piece by piece."""
        with self._opened("GET", f"/v1/jobs/{job_id}/candidates", params={"format": "csv"}) as answer:
            yield from answer.iter_bytes()

    def applications(self, *, limit: int, **where: str | None) -> Iterator[Application]:
        """Read up to `limit` applications, newest first."""
        for page in self._pages("/v1/applications", limit, where):
            yield from ApplicationPage.model_validate_json(page).applications

    def application(self, application_id: ApplicationId) -> ApplicationDetail:
        """Read an application."""
        return ApplicationDetail.model_validate_json(self._call("GET", f"/v1/applications/{application_id}").content)

    def timeline(self, application_id: ApplicationId) -> Timeline:
        """Read the beginning of what happened to an application."""
        answer = self._call("GET", f"/v1/applications/{application_id}/timeline", params={"limit": 500})
        return Timeline.model_validate_json(answer.content)

    def move_application(self, application_id: ApplicationId, to: str, reason: str) -> ApplicationDetail:
        """Move an application along its life cycle."""
        body = {"to": to, "reason": reason, "by": "recruiter"}
        answer = self._call("POST", f"/v1/applications/{application_id}/transition", json=body)
        return ApplicationDetail.model_validate_json(answer.content)
