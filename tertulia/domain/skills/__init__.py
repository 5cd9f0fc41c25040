"""The skills that there are. To add one: write its file, name it here, and use it in a definition's `skills`."""

from collections.abc import Mapping

from tertulia.domain.skills import (
    application_status,
    candidates,
    handover,
    job_choice,
    job_closing,
    job_creation,
    job_list,
    matching,
    onboarding,
    prescreening,
    profile_update,
    question_adoption,
    question_suggestion,
    question_writing,
    resume_intake,
    small_talk,
)
from tertulia.domain.skills.skill import AskFor, Do, Heard, Move, Situation, Skill, Tell, request_said

__all__ = ["SKILLS", "AskFor", "Do", "Heard", "Move", "Situation", "Skill", "Tell", "request_said"]

SKILLS: Mapping[str, Skill] = {
    # For whoever applies, or wants help.
    "onboarding": onboarding.SKILL,
    "resume_intake": resume_intake.SKILL,
    "prescreening": prescreening.SKILL,
    "matching": matching.SKILL,
    "application_status": application_status.SKILL,
    "profile_update": profile_update.SKILL,
    "handover": handover.SKILL,
    "small_talk": small_talk.SKILL,
    # For recruiters.
    "job_list": job_list.SKILL,
    "job_creation": job_creation.SKILL,
    "job_choice": job_choice.SKILL,
    "job_closing": job_closing.SKILL,
    "question_suggestion": question_suggestion.SKILL,
    "question_adoption": question_adoption.SKILL,
    "question_writing": question_writing.SKILL,
    "candidates": candidates.SKILL,
}
