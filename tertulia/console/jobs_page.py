"""`/console/jobs`: jobs, what is asked for them, and who has applied, best first."""

from collections.abc import Sequence
from typing import Any

from nicegui import ui

from tertulia.api.jobs import csv_of_candidates
from tertulia.console.door import Operator, console_page
from tertulia.console.frame import ago, badge, done, facts, frame, heading, panel
from tertulia.console.ports import pages
from tertulia.domain.errors import NotFound
from tertulia.domain.ids import JobId
from tertulia.domain.recruiting.applications import Application, Candidate
from tertulia.domain.recruiting.jobs import Job, JobFilter, JobStatus, Question

_LIMIT = 100
_MOST_COMPARED = 4
_JOB_COLUMNS = [
    {"name": "title", "label": "Job", "field": "title", "align": "left"},
    {"name": "status", "label": "Status", "field": "status", "align": "left"},
    {"name": "location", "label": "Location", "field": "location", "align": "left"},
    {"name": "questions", "label": "Questions", "field": "questions", "align": "right"},
    {"name": "age", "label": "Written", "field": "age", "align": "right"},
]
_CANDIDATE_COLUMNS = [
    {"name": "who", "label": "Candidate", "field": "who", "align": "left"},
    {"name": "score", "label": "Score", "field": "score", "align": "right"},
    {"name": "failed", "label": "Must-haves missed", "field": "failed", "align": "left"},
    {"name": "status", "label": "Status", "field": "status", "align": "left"},
    {"name": "active", "label": "Last change", "field": "active", "align": "right"},
]
_TITLE = """<q-td :props="props"><a :href="'/console/jobs/' + props.row.id">{{ props.value }}</a></q-td>"""


def add() -> None:
    """Add the pages to the application."""
    console_page("/console/jobs")(_jobs)
    console_page("/console/jobs/{job_id}")(_job)


async def _jobs(operator: Operator) -> None:
    now = pages().api.now()
    found = await pages().api.recruiting.jobs.find(operator.tenant, JobFilter(), limit=_LIMIT)
    with frame("Jobs", "Jobs"):
        heading("Jobs", hint="They are written by HTTP: POST /v1/jobs, or /docs.")
        rows = [
            {
                "id": job.job_id,
                "title": job.title,
                "status": job.status,
                "location": job.location,
                "questions": len(job.questions),
                "age": ago(job.created_at, now),
            }
            for job in found.jobs
        ]
        table = ui.table(rows=rows, columns=_JOB_COLUMNS, row_key="id").classes("list").props("flat")
        table.add_slot("body-cell-title", _TITLE)
        table.add_slot("no-data", "No job has been written yet.")


async def _job(operator: Operator, job_id: str) -> None:
    try:
        job = await pages().api.recruiting.jobs.get(operator.tenant, JobId(job_id))
    except NotFound:
        with frame("No such job", "Jobs"):
            heading("There is no such job")
        return
    with frame(job.title, "Jobs"):
        with ui.element("div").classes("heading-row"):
            heading(job.title, hint=" · ".join(filter(None, (job.location, job.status, job.job_id))))
            chat = pages().chat(operator.tenant, "recruiting", job.job_id)
            if chat and job.status is JobStatus.OPEN:
                ui.link("The chat for candidates →", chat, new_tab=True)
        shown = _Candidates(operator, job)
        with panel("Candidates"):
            shown.build()
        with panel("Questions"):
            _show_questions(job.questions)
    await done(shown.look())
    operator.every(5.0, shown.look)


class _Candidates:
    """Who has applied for a job, as one browser sees it."""

    def __init__(self, operator: Operator, job: Job) -> None:
        self._operator = operator
        self._job = job
        self._candidates: dict[str, Candidate] = {}

    def build(self) -> None:
        self._table = ui.table(rows=[], columns=_CANDIDATE_COLUMNS, row_key="id", selection="multiple").classes("list")
        self._table.props("flat")
        self._table.on("rowClick", self._open, js_handler="(event, row) => emit(row.id)")
        self._table.add_slot("no-data", "Nobody has applied yet.")
        with ui.element("div").classes("actions"):
            ui.button("Compare those chosen", on_click=self._compare).props("no-caps dense outline")
            ui.button("All as CSV", on_click=self._export).props("no-caps dense outline")

    async def look(self) -> None:
        """Read the candidates, and show what has changed."""
        page = await pages().api.recruiting.applications.candidates(
            self._operator.tenant, self._job.job_id, limit=_LIMIT
        )
        self._candidates = {candidate.application.application_id: candidate for candidate in page.candidates}
        rows = [self._row(candidate) for candidate in page.candidates]
        if rows != self._table.rows:
            self._table.rows = rows

    def _row(self, candidate: Candidate) -> dict[str, Any]:
        application, screened = candidate.application, candidate.application.prescreen
        return {
            "id": application.application_id,
            "who": _name(candidate),
            "score": "—" if screened is None else f"{screened.jd_match_score:.1f}",
            "failed": "" if screened is None else ", ".join(screened.must_have_failed),
            "status": application.status.replace("_", " "),
            "active": ago(application.updated_at, pages().api.now()),
        }

    def _open(self, event: Any) -> None:
        candidate = self._candidates.get(str(event.args))
        if candidate is not None:
            self._sheet([candidate])

    def _compare(self) -> None:
        chosen = [self._candidates[row["id"]] for row in self._table.selected if row["id"] in self._candidates]
        if len(chosen) < 2:
            ui.notify("Choose two candidates or more.")
            return
        self._sheet(chosen[:_MOST_COMPARED])

    async def _export(self) -> None:
        async def export() -> None:
            await self._operator.still_in()
            written = await csv_of_candidates(pages().api.recruiting, self._operator.tenant, self._job)
            ui.download.content(written, f"candidates-{self._job.job_id}.csv", "text/csv")

        await done(export())

    def _sheet(self, candidates: Sequence[Candidate]) -> None:
        """Show candidates side by side: each answer, and what it brought to the score."""
        with ui.dialog() as dialog, ui.card().classes("sheet sheet--wide"):
            with ui.element("div").classes("columns").style(f"--columns: {len(candidates)}"):
                for candidate in candidates:
                    with ui.element("section"):
                        self._show_one(candidate)
            ui.button("Close", on_click=dialog.close).props("flat no-caps")
        dialog.on("hide", dialog.delete)
        dialog.open()

    def _show_one(self, candidate: Candidate) -> None:
        application, screened = candidate.application, candidate.application.prescreen
        with ui.element("div").classes("line-head"):
            with ui.element("h2"):
                ui.label(_name(candidate))
            if screened:
                ui.label(f"{screened.jd_match_score:.1f}").classes("score")
        facts({"E-mail": candidate.profile.email or "—", "Phone": candidate.profile.phone or "—"})
        for question in self._job.questions:
            _show_answer(question, application)
        if application.session_id:
            ui.link("The conversation →", f"/console/sessions/{application.session_id}")


def _name(candidate: Candidate) -> str:
    return candidate.profile.name or candidate.application.user_id


def _show_answer(question: Question, application: Application) -> None:
    screened = application.prescreen
    points = screened.points.get(question.qid) if screened else None
    with ui.element("div").classes("answer"):
        ui.label(question.text).classes("soft")
        with ui.element("div").classes("line-head"):
            ui.label(_told(application.answers.get(question.qid))).classes("line-text")
            if points:
                badge(
                    f"{points.earned:.1f} of {points.most:.1f}", "good" if points.earned > points.most / 2 else "fair"
                )
            if screened and question.qid in screened.must_have_failed:
                badge("must-have missed", "bad")


def _told(answer: object) -> str:
    match answer:
        case None:
            return "—"
        case bool():
            return "yes" if answer else "no"
        case list():
            return ", ".join(map(str, answer))
        case _:
            return str(answer)


def _show_questions(questions: Sequence[Question]) -> None:
    if not questions:
        ui.label("No question yet.").classes("soft")
    for number, question in enumerate(questions, 1):
        with ui.element("div").classes("answer"):
            ui.label(f"{number}. {question.text}")
            with ui.element("div").classes("line-head"):
                badge(question.type.replace("_", " "), "quiet")
                if question.must_have:
                    badge("must-have", "bad")
                if question.weight:
                    badge(f"weight {question.weight:g}", "fair")
