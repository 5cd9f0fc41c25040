"""Finding jobs: those that fit a person, and the one that a recruiter means."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from tertulia.domain import scoring
from tertulia.domain.recruiting.jobs import Job
from tertulia.domain.recruiting.profiles import Profile

_WORD = re.compile(r"[\w+#.]{2,}")
# Words of titles that say nothing about the work.
_EMPTY = frozenset({"and", "of", "the", "in", "for", "with", "to", "at", "an", "senior", "junior", "job", "position"})
# What the parts of a fit count: a skill that somebody has says more than a word of the title or the place.
_SKILL, _TITLE, _PLACE = 3, 2, 1


class Fit(NamedTuple):
    """How a job fits a person.

    Attributes:
        points: 0 where nothing is known that fits.
        matched: What fits: skills, words of the title, the place.
    """

    job: Job
    points: int
    matched: tuple[str, ...]


def fitting(jobs: Sequence[Job], profile: Profile, wanted: Sequence[str], now: datetime) -> list[Fit]:
    """Rank jobs by what a person brings; jobs whose must-haves the person has said not to meet are left out.

    Args:
        jobs: Newest first; of two that fit alike the newer goes first.
        wanted: What the person is looking for and knows about, in their own words.
    """
    possible = [job for job in jobs if not _is_ruled_out(job, profile, now)]
    return sorted((_fit(job, profile, wanted) for job in possible), key=lambda fit: -fit.points)


def _fit(job: Job, profile: Profile, wanted: Sequence[str]) -> Fit:
    said = " ".join(_WORD.findall(" ".join((*wanted, *profile.skills)).lower()))
    skills = tuple(skill for skill in job.skills if _says(said, skill))
    title = tuple(word for word in _WORD.findall(job.title) if word.lower() not in _EMPTY and _says(said, word))
    places = (profile.location or "", *wanted)
    place = (job.location,) if job.location and any(_says(each.lower(), job.location) for each in places) else ()
    points = _SKILL * len(skills) + _TITLE * len(title) + _PLACE * len(place)
    return Fit(job, points, tuple(dict.fromkeys((*skills, *title, *place))))


def _says(said: str, words: str) -> bool:
    return f" {' '.join(_WORD.findall(words.lower()))} " in f" {' '.join(_WORD.findall(said))} "


def _is_ruled_out(job: Job, profile: Profile, now: datetime) -> bool:
    """Tell whether an answer that is known from an earlier application fails a must-have."""
    answered = {qid: slot for qid, slot in job.slots.items() if qid in profile.answers}
    return bool(scoring.score(answered, profile.answers, now).failed)


def meant(jobs: Sequence[Job], said: str) -> Job | None:
    """Find the job that is called by its title, or by words of it that no other has; None where that is unclear."""
    name = said.casefold().strip()
    exact = [job for job in jobs if job.title.casefold() == name]
    partly = exact or [job for job in jobs if name and f" {name} " in f" {job.title.casefold()} "]
    return partly[0] if len(partly) == 1 else None
