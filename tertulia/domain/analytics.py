"""Figures about many conversations. `docs/analytics.md` says of each exactly what it counts."""

from decimal import Decimal
from enum import StrEnum

from pydantic import AwareDatetime, computed_field

from tertulia.domain.conversation import Payload
from tertulia.domain.ids import TenantId


class Selection(Payload):
    """Which conversations: a tenant's, from `since` to before `until`; None matches all."""

    tenant: TenantId
    since: AwareDatetime
    until: AwareDatetime
    definition: str | None = None
    job_id: str | None = None
    channel: str | None = None


class Outcome(StrEnum):
    """What has become of a session; each has exactly one."""

    IN_PROGRESS = "in_progress"
    CONTAINED = "contained"
    HANDED_OVER = "handed_over"
    ABANDONED = "abandoned"


class ByDay(StrEnum):
    """Whether rows are told apart by the day, of UTC."""

    ALL = "all"
    DAY = "day"


class By(StrEnum):
    """How rows are told apart by time. Hours and days are those of UTC."""

    ALL = "all"
    DAY = "day"
    HOUR = "hour"
    HOUR_OF_DAY = "hour_of_day"


def _rate(part: int, whole: int) -> float | None:
    """A share in [0, 1], to four places; None of nothing."""
    return round(part / whole, 4) if whole else None


class FigureRow(Payload):
    """One line of a table."""


class FunnelRow(FigureRow):
    """How far sessions have come: one state of one definition.

    Attributes:
        reached: Sessions that have ever been in the state.
        in_progress: Sessions that are in it, and go on; so far without a human.
        contained: Sessions that have ended in it without a human.
        handed_over: Sessions that are in it or have ended in it, and that a human has had.
        abandoned: Sessions that have ended in it with a question left open.
    """

    definition: str
    state: str
    reached: int
    in_progress: int
    contained: int
    handed_over: int
    abandoned: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def went_on(self) -> int:
        """Sessions that have left it for another state, and have not come back."""
        return self.reached - self.in_progress - self.contained - self.handed_over - self.abandoned

    @computed_field  # type: ignore[prop-decorator]
    @property
    def drop_off_rate(self) -> float | None:
        """The share of those that have reached it that were abandoned in it."""
        return _rate(self.abandoned, self.reached)


class StateTimeRow(FigureRow):
    """How long sessions stay in a state, for each time that they were in it and have left it, in seconds."""

    definition: str
    state: str
    stays: int
    mean_s: float
    p50_s: float
    p95_s: float
    longest_s: float


class SlotRow(FigureRow):
    """How a question fares.

    Attributes:
        asked: How often it was put, the first time and again.
        heard: How often the person said something to it; the six counts below add up to this.
        not_understood: No fitting answer was found in what was said.
        declined: The person would rather not answer what can't be left out.
        asked_again: Something else came in between, and the question was put again.
        left: The conversation went elsewhere.
        re_asked: How often it was put again after something was said to it, for whatever reason.
    """

    definition: str
    slot: str
    asked: int
    heard: int
    answered: int
    not_understood: int
    declined: int
    skipped: int
    asked_again: int
    left: int
    re_asked: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def no_match_rate(self) -> float | None:
        """The share of what was said to the question that was not understood."""
        return _rate(self.not_understood, self.heard)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def re_ask_rate(self) -> float | None:
        """The share of what was said to the question after which it had to be put again."""
        return _rate(self.re_asked, self.heard)


class KnockOutRow(FigureRow):
    """How many applications a must-have turns away.

    Attributes:
        question: What is asked; None where the job has no such question any more.
        screened: The job's applications that have been screened.
        knocked_out: Those of them that do not meet this must-have.
        by_this_alone: Those of them that meet all the other ones.
    """

    job_id: str
    qid: str
    question: str | None
    screened: int
    knocked_out: int
    by_this_alone: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def knock_out_rate(self) -> float | None:
        """The share of those screened that do not meet it."""
        return _rate(self.knocked_out, self.screened)


class ResponseTimeRow(FigureRow):
    """How long people wait, in milliseconds.

    Attributes:
        at: When the row's time begins; None where it is all of it.
        replies: Turns that answered a person.
        first_texts: Answers of providers that came with their time to the first text.
    """

    at: AwareDatetime | None
    replies: int
    p50_ms: int | None
    p95_ms: int | None
    first_texts: int
    first_text_p50_ms: float | None
    first_text_p95_ms: float | None


class VolumeRow(FigureRow):
    """How much is said on a channel.

    Attributes:
        at: When the row's hour or day begins; None where rows are hours of the day, or all of the time.
        hour: The hour of the day, 0 to 23; None where rows are no hours of the day.
        sessions: Sessions opened.
        turns: Turns ended.
    """

    at: AwareDatetime | None
    hour: int | None
    channel: str
    sessions: int
    turns: int
    from_person: int
    from_assistant: int
    from_operator: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def messages(self) -> int:
        """All messages together."""
        return self.from_person + self.from_assistant + self.from_operator


class OutcomeRow(FigureRow):
    """What has become of sessions.

    Attributes:
        at: The day on which they were opened; None where it is all of the time.
        sessions: All that were opened; the four counts behind it add up to this.
        completed: Those that have come to their end, with or without a human.
    """

    at: AwareDatetime | None
    definition: str
    channel: str
    sessions: int
    in_progress: int
    contained: int
    handed_over: int
    abandoned: int
    completed: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def containment_rate(self) -> float | None:
        """The share contained of those that no longer go on."""
        return _rate(self.contained, self.sessions - self.in_progress)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def completion_rate(self) -> float | None:
        """The share of all that have come to their end."""
        return _rate(self.completed, self.sessions)


class CostRow(FigureRow):
    """What sessions have cost at providers, in USD.

    Attributes:
        sessions: All that were opened.
        completed: Those that have come to their end.
        cost_usd: What all of them have cost so far.
        completed_cost_usd: What the completed ones have cost.
        unpriced: Attempts whose cost nobody knows; they are in no sum.
    """

    definition: str
    sessions: int
    completed: int
    cost_usd: Decimal
    completed_cost_usd: Decimal
    unpriced: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def usd_per_completed(self) -> Decimal | None:
        """What a completed session has cost on average."""
        return _usd_each(self.completed_cost_usd, self.completed)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def usd_spent_per_completed(self) -> Decimal | None:
        """What all sessions have cost, over the completed ones: what it takes to get one."""
        return _usd_each(self.cost_usd, self.completed)


class ProviderRow(FigureRow):
    """How a provider does.

    Attributes:
        attempts: All that have ended.
        failures: Those that failed, by class.
        first_text_p50_ms: Until the first text of an answer; `latency_…` is until its end.
    """

    provider: str
    attempts: int
    answered: int
    failures: dict[str, int]
    cost_usd: Decimal
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    first_text_p50_ms: float | None
    first_text_p95_ms: float | None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def success_rate(self) -> float | None:
        """The share of the attempts that was answered."""
        return _rate(self.answered, self.attempts)


def _usd_each(usd: Decimal, count: int) -> Decimal | None:
    return round(usd / count, 6) if count else None
