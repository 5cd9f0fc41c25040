"""Creates a job. A state asks for what it is; this writes it down."""

import re

from tertulia.domain.errands import CreateJob
from tertulia.domain.skills.jobs_of_recruiters import JOB, JOB_TITLE
from tertulia.domain.skills.skill import Do, Situation, Skill, requests

_APART = re.compile(r"\s*(?:[,;\n]|\band\b)\s*")
_MOST_SKILLS = 20


def _does(situation: Situation) -> Do:
    skills = [skill for skill in _APART.split(situation.text_of("skills")) if skill]
    return Do(
        CreateJob(
            title=situation.text_of("title"),
            location=situation.text_of("location"),
            description=situation.text_of("description"),
            skills=tuple(skills[:_MOST_SKILLS]),
            currency=situation.text_of("currency") or "EUR",
        )
    )


SKILL = Skill(
    summary="creates a job that people can apply for",
    recognises=requests(
        r"(?:create|open|add|write|post|start|publish|make) (?:a |an |another |the )?(?:new )?"
        r"(?:job|position|vacancy|job ad(?:vert(?:isement)?)?)"
        r"(?:(?: called| named|:| for an?| as an?| titled) (?P<title>.+?))?",
        r"(?:a )?new (?:job|position|vacancy)",
    ),
    does=_does,
    words={"done": "The job {title} is open. People can apply for it now.", "refused": "I can't create it: {reason}."},
    needs=("title", "location", "description", "skills", "currency"),
    gives=(JOB, JOB_TITLE),
    spends=("title", "location", "description", "skills", "currency"),
    is_led=True,
)
