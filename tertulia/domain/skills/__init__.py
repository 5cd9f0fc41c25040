"""The skills that there are. To add one: write its file, name it here, and use it in a definition's `skills`."""

from collections.abc import Mapping

from tertulia.domain.skills import handover, onboarding, prescreening, resume_intake, small_talk
from tertulia.domain.skills.skill import AskFor, Do, Heard, Move, Situation, Skill, Tell, request_said

__all__ = ["SKILLS", "AskFor", "Do", "Heard", "Move", "Situation", "Skill", "Tell", "request_said"]

SKILLS: Mapping[str, Skill] = {
    "onboarding": onboarding.SKILL,
    "resume_intake": resume_intake.SKILL,
    "prescreening": prescreening.SKILL,
    "handover": handover.SKILL,
    "small_talk": small_talk.SKILL,
}
