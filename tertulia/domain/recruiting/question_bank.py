"""The usual questions of a job interview, for whoever writes a job and has no provider to suggest better ones."""

import re

from tertulia.domain.recruiting.jobs import (
    MOST_QUESTIONS,
    QUESTION_CHARS,
    Fit,
    Job,
    Question,
    QuestionType,
    ValidationRule,
)

_YEARS = ValidationRule(unit="years", min=0, max=60)
_WORK_MODES = ("remote", "hybrid", "on-site")
# Of one job's skills; more would be an interrogation.
_MOST_SKILLS = 3
# With `years_` ahead, the most that a name of a question may have.
_NAME_CHARS = 58
_SYMBOLS = {"+": "plus", "#": "sharp", ".": "dot"}


def usual(job: Job) -> tuple[Question, ...]:
    """Return the 15 usual questions, with the job's own place and currency in them."""
    place = job.location or "the country of the position"
    return (
        Question(
            qid="work_authorisation",
            text=_short(f"Are you allowed to work in {place}?"),
            type=QuestionType.BOOLEAN,
            must_have=True,
            weight=1,
        ),
        Question(
            qid="experience_years",
            text="How many years of professional experience do you have in this field?",
            type=QuestionType.NUMBER,
            weight=0.8,
            validation_rule=_YEARS,
            fit=Fit(worst=0, best=8),
        ),
        Question(
            qid="notice_period",
            text="How long is your notice period?",
            type=QuestionType.NUMBER,
            weight=0.6,
            validation_rule=ValidationRule(unit="days", min=0, max=365, integer=True),
            fit=Fit(best=0, worst=90),
        ),
        Question(
            qid="start_date",
            text="When could you start at the earliest?",
            type=QuestionType.DATE,
            weight=0.4,
            validation_rule=ValidationRule(not_before="today"),
            fit=Fit(best=14, worst=120),
        ),
        Question(
            qid="salary_expectation",
            text="What yearly salary do you expect, before taxes?",
            type=QuestionType.MONEY,
            required=False,
            validation_rule=ValidationRule(currency=job.currency, per="year", min=0),
        ),
        Question(
            qid="work_mode",
            text="How would you like to work?",
            type=QuestionType.CHOICE,
            choices=_WORK_MODES,
            weight=0.3,
        ),
        Question(
            qid="location",
            text="Where do you live?",
            type=QuestionType.LOCATION,
        ),
        Question(
            qid="relocation",
            text="Would you move for this position?",
            type=QuestionType.BOOLEAN,
            required=False,
            weight=0.3,
        ),
        Question(
            qid="travel",
            text="Could you travel for work from time to time?",
            type=QuestionType.BOOLEAN,
            required=False,
            weight=0.2,
        ),
        Question(
            qid="education",
            text="What is your highest level of education?",
            type=QuestionType.CHOICE,
            choices=("none", "school", "vocational training", "bachelor", "master", "doctorate"),
            weight=0.3,
        ),
        Question(
            qid="english",
            text="How good is your English?",
            type=QuestionType.CHOICE,
            choices=("none", "basic", "good", "fluent", "native"),
            weight=0.5,
            fit=Fit(worth={"basic": 0.3, "good": 0.7, "fluent": 1, "native": 1}),
        ),
        Question(
            qid="employment_type",
            text="Which kinds of employment would suit you?",
            type=QuestionType.MULTI_CHOICE,
            choices=("full-time", "part-time", "freelance"),
        ),
        Question(
            qid="team_led",
            text="How many people have you led, at most?",
            type=QuestionType.NUMBER,
            required=False,
            weight=0.2,
            validation_rule=ValidationRule(min=0, max=10_000, integer=True),
            fit=Fit(worst=0, best=5),
        ),
        Question(
            qid="achievement",
            text="Which piece of work are you most proud of, and what was your part in it?",
            type=QuestionType.TEXT,
            required=False,
            validation_rule=ValidationRule(min_length=15, max_length=2000),
        ),
        Question(
            qid="motivation",
            text=_short(f"Why are you interested in the position of {job.title}?"),
            type=QuestionType.TEXT,
            required=False,
            validation_rule=ValidationRule(min_length=15, max_length=2000),
        ),
    )


def suggest(job: Job) -> tuple[Question, ...]:
    """Suggest questions that a job does not have yet: one for each of its first skills, then the usual ones."""
    suggested = (*(_years_with(skill) for skill in job.skills[:_MOST_SKILLS] if _name(skill)), *usual(job))
    asked = {question.qid for question in job.questions}
    fresh = {question.qid: question for question in suggested if question.qid not in asked}
    return tuple(fresh.values())[: MOST_QUESTIONS - len(job.questions)]


def _years_with(skill: str) -> Question:
    return Question(
        qid=f"years_{_name(skill)}",
        text=_short(f"For how many years have you worked with {skill}?"),
        type=QuestionType.NUMBER,
        weight=1,
        validation_rule=_YEARS,
        fit=Fit(worst=0, best=5),
    )


def _short(text: str) -> str:
    """Cut a question whose job has an endless name."""
    return text[:QUESTION_CHARS]


def _name(skill: str) -> str:
    """Name a skill as ids are written, so that jobs that want the same one ask the same question."""
    spelt = "".join(_SYMBOLS.get(character, character) for character in skill.lower())
    return re.sub(r"[^a-z0-9]+", "_", spelt).strip("_")[:_NAME_CHARS]
