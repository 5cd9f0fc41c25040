"""What skills have done outside of a conversation: typed requests, and what comes back, which is always small."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from tertulia.domain.compact import Compact

# An outcome stands in the session's history and in its state, so it is never more than this.
MOST_ITEMS = 20
ITEM_CHARS = 2_000

# What was found, as texts by name: what a line about it may mention, and what it is known by.
Item = dict[str, Annotated[str, Field(max_length=ITEM_CHARS)]]


class Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class FindJobs(Request):
    """List the open jobs, those first that fit the person best.

    Attributes:
        wanted: What the person is looking for and knows about, in their own words.
    """

    kind: Literal["find_jobs"] = "find_jobs"
    wanted: tuple[str, ...] = ()


class FindApplications(Request):
    """List the person's own applications, newest first."""

    kind: Literal["find_applications"] = "find_applications"


class ReadProfile(Request):
    """Read what is kept of the person."""

    kind: Literal["read_profile"] = "read_profile"


class ChangeProfile(Request):
    """Change what is kept of the person, by field."""

    kind: Literal["change_profile"] = "change_profile"
    changes: dict[str, JsonValue]


class ListJobs(Request):
    """List the open jobs for a recruiter, newest first."""

    kind: Literal["list_jobs"] = "list_jobs"


class AboutJob(Request):
    """What is about one job.

    Attributes:
        job: What the recruiter calls it: its id, its title, or a part of that which no other has.
    """

    job: str


class ChooseJob(AboutJob):
    """Find the job that is meant."""

    kind: Literal["choose_job"] = "choose_job"


class CreateJob(Request):
    """Create a job. Repeated in the same turn it is the same job."""

    kind: Literal["create_job"] = "create_job"
    title: str
    location: str = ""
    description: str = ""
    skills: tuple[str, ...] = ()
    currency: str = "EUR"


class CloseJob(AboutJob):
    """Let a job take no applications any more."""

    kind: Literal["close_job"] = "close_job"


class SuggestQuestions(AboutJob):
    """Suggest questions that the job does not have yet. Nothing is written."""

    kind: Literal["suggest_questions"] = "suggest_questions"


class WriteQuestions(AboutJob):
    """Write questions, each in the place of the one of its name.

    Attributes:
        questions: As `jobs.Question` has them; a name and a currency are made up where they are missing.
    """

    kind: Literal["write_questions"] = "write_questions"
    questions: tuple[dict[str, JsonValue], ...]


class FindCandidates(AboutJob):
    """List who has applied for a job, best score first, and why the scores are what they are."""

    kind: Literal["find_candidates"] = "find_candidates"


AnyRequest = Annotated[
    FindJobs
    | FindApplications
    | ReadProfile
    | ChangeProfile
    | ListJobs
    | ChooseJob
    | CreateJob
    | CloseJob
    | SuggestQuestions
    | WriteQuestions
    | FindCandidates,
    Field(discriminator="kind"),
]


class Errand(Compact):
    """A request on behalf of a skill.

    Attributes:
        skill: Whose words tell what comes of it.
    """

    skill: str
    request: AnyRequest


class Outcome(Compact):
    """What came of an errand.

    Attributes:
        said: Which of the skill's words tells it.
        items: What was found, a line each; the word `line` says how one is told.
        values: What the words may mention besides.
        slots: Values for slots that the skill fills.
        again: Slots whose values were of no use, and which are asked anew.
    """

    said: str
    items: tuple[Item, ...] = Field(default=(), max_length=MOST_ITEMS)
    values: dict[str, str] = {}
    slots: dict[str, JsonValue] = {}
    again: tuple[str, ...] = ()


def lines(outcome: Outcome) -> list[Mapping[str, str]]:
    """Return what each line may mention: its item's texts, and its number."""
    return [{**item, "number": str(number)} for number, item in enumerate(outcome.items, 1)]
