"""What the skills of recruiters have in common: they are about one job, which may not be found."""

from tertulia.domain.skills.skill import Situation

JOB = "job"
JOB_TITLE = "job_title"
# What a job's skill says where it does not find the job. It then asks again.
WORDS = {
    "no_job": "I don't find that job. These are open:\n{lines}",
    "no_jobs": "I don't find that job, and none is open.",
    "no_job_line": "{number}. {title} ({location|anywhere})",
    "refused": "That is not possible: {reason}.",
}
# "… for the job Backend engineer", as people write it behind a request.
FOR_JOB = (
    r"(?: (?:for|of|to|in) (?:the )?(?:(?:job|position|role) )?(?:of )?(?P<job>(?!me\b|it\b|us\b|this\b|that\b).+?))?"
)


def job_of(situation: Situation) -> str:
    """Return what the recruiter calls the job; a number is that of a job in the list that was shown last."""
    said = situation.text_of(JOB)
    place = int(said) if said.isdecimal() and len(said) < 4 else 0
    listed = situation.listed[place - 1] if 0 < place <= len(situation.listed) else {}
    return listed.get("job_id", said)
