"""What is known of a candidate over all applications: so that nobody is asked twice."""

from collections.abc import Mapping
from typing import Any

from pydantic import AwareDatetime, JsonValue

from tertulia.domain.conversation import Payload
from tertulia.domain.recruiting.jobs import Job, QuestionType
from tertulia.domain.recruiting.resumes import Resume

_TOLD: Mapping[str, type | tuple[type, ...]] = {
    "name": str,
    "email": str,
    "phone": str,
    "location": str,
    "experience_years": (int, float),
}
TOLD_BY_RESUME = frozenset({"name", "email", "phone", "experience_years"})


class Profile(Payload):
    """A candidate.

    Attributes:
        answers: By qid, the last answer to each question that means the same for every job.
        updated_at: None where nothing is known yet.
    """

    user_id: str
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    location: str | None = None
    links: tuple[str, ...] = ()
    experience_years: float | None = None
    skills: tuple[str, ...] = ()
    answers: dict[str, JsonValue] = {}
    updated_at: AwareDatetime | None = None


def corrected(profile: Profile, changes: Mapping[str, Any], now: AwareDatetime) -> Profile:
    """Change fields of a profile, by name."""
    return Profile.model_validate({**profile.model_dump(), **changes, "updated_at": now})


def facts(profile: Profile) -> dict[str, JsonValue]:
    """Return what a chat would ask for otherwise, by the names of its slots."""
    return {name: value for name in _TOLD if (value := getattr(profile, name)) is not None}


def remembering(profile: Profile, job: Job, answers: Mapping[str, JsonValue], now: AwareDatetime) -> Profile:
    """Keep an application's answers for later ones, but for free texts, which are about the one job."""
    lasting = {question.qid for question in job.questions if question.type is not QuestionType.TEXT}
    kept = {qid: value for qid, value in answers.items() if qid in lasting}
    after = profile.answers | kept
    return profile if after == profile.answers else corrected(profile, {"answers": after}, now)


def told(profile: Profile, slots: Mapping[str, JsonValue], now: AwareDatetime) -> Profile:
    """Keep what a person has said about themselves in a chat: slots that are named like the profile's fields."""
    said = {name: slots[name] for name, kind in _TOLD.items() if isinstance(slots.get(name), kind)}
    news = {name: value for name, value in said.items() if value != getattr(profile, name)}
    return corrected(profile, news, now) if news else profile


def facts_in(resume: Resume) -> dict[str, str | float]:
    """Return what a résumé says that a chat would ask for otherwise, by the names of its slots."""
    return {name: found.value for name in sorted(TOLD_BY_RESUME) if (found := getattr(resume, name)) is not None}


def filled_from(profile: Profile, resume: Resume, now: AwareDatetime) -> Profile:
    """Fill what is empty with what a résumé says; what the person has said goes first."""
    told = {
        **facts_in(resume),
        "links": tuple(link.value for link in resume.links),
        "skills": tuple(skill.value for skill in resume.skills),
    }
    news = {name: value for name, value in told.items() if value and not getattr(profile, name)}
    return corrected(profile, news, now) if news else profile
