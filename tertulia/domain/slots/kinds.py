"""The kinds of slot that a definition can declare, and how an answer counts."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tertulia.domain.compact import Compact


class Criterion(Compact):
    """How much an answer counts, and what a good one is. `scoring.py` says how it is used.

    Attributes:
        weight: Share of the score relative to the other weights, in [0, 1].
        must_have: Without a fitting answer the whole screening fails.
        best: For numbers, money and dates (days from the day of scoring): what is worth everything.
        worst: What is worth nothing. Lower than `best`: more is better; higher: less is better.
        worth: For choices: what each is worth, in [0, 1]; one that is not listed is worth nothing.
        expected: For yes or no: the answer that is worth everything.
    """

    weight: float = Field(default=0.0, ge=0, le=1)
    must_have: bool = False
    best: float | None = None
    worst: float | None = None
    worth: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    expected: bool = True


class EverySlot(Compact):
    """What all kinds of slots have in common.

    Attributes:
        ask: The question.
        label: What people call it, for corrections ("my notice period is …"); the slot's name where empty.
        help: Said when somebody asks for help, or would rather not answer.
        required: Asked until it is answered; otherwise it can be skipped, and is after three misunderstandings.
        example: A good answer, for reprompts.
        thanks: Said after an answer.
        reprompts: Said after the first, second and every further answer that was not understood.
        reminder: Said after a long silence instead of the application's own reminder.
        give_up_to: The state to go to after three answers that were not understood.
        depends_on: Slots without whose answers this one means nothing: asked anew when one of them is corrected.
        use_provider: Whether a provider may be asked to understand what the rules did not.
        score: How the answer counts; None where it doesn't.
    """

    ask: str = Field(min_length=1)
    label: str = ""
    help: str = ""
    required: bool = True
    example: str = ""
    thanks: str = ""
    reprompts: tuple[str, ...] = Field(default=(), max_length=3)
    reminder: str = ""
    give_up_to: str = ""
    depends_on: tuple[str, ...] = ()
    use_provider: bool = False
    score: Criterion | None = None


class TextSlot(EverySlot):
    """Words as they were written.

    Attributes:
        min_length: In characters.
        max_length: In characters.
        pattern: A regular expression that the whole text must match.
        may_ask: Whether the answer may be a question itself; otherwise a question is one that comes up in between.
    """

    type: Literal["text"]
    min_length: int = Field(default=1, ge=1)
    max_length: int = Field(default=1000, ge=1, le=4000)
    pattern: str | None = None
    may_ask: bool = False


class NameSlot(EverySlot):
    """What a person is called."""

    type: Literal["name"]


class LocationSlot(EverySlot):
    """A place, as it was written."""

    type: Literal["location"]


class DocumentSlot(EverySlot):
    """A long text, such as a résumé, or a file. The slot keeps the length and the beginning of a text.

    The text itself is in the transcript; a file and its text are in storage.

    Attributes:
        min_length: In characters.
        reads: What kind of document it is, where what it says is not to be asked any more: a `resume` tells `name`,
            `email`, `phone` and `experience_years`, as far as there are slots of these names.
    """

    type: Literal["document"]
    min_length: int = Field(default=40, ge=1)
    reads: Literal["resume"] | None = None


class NumberSlot(EverySlot):
    """A number.

    Attributes:
        unit: What is counted; others are converted to a unit of time ("days", "weeks", "months", "years").
        min: The smallest that is accepted.
        max: The largest that is accepted.
        integer: Whether it has to be whole.
    """

    type: Literal["number"]
    unit: str = ""
    min: float | None = None
    max: float | None = None
    integer: bool = False


class MoneySlot(EverySlot):
    """An amount of money.

    Attributes:
        currency: Three capital letters, such as EUR.
        per: What it is paid for: `month` or `year`.
        min: The smallest that is accepted.
        max: The largest that is accepted.
    """

    type: Literal["money"]
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    per: Literal["month", "year"] | None = None
    min: float | None = None
    max: float | None = None


class DateSlot(EverySlot):
    """A day.

    Attributes:
        order: How 03/04/2026 is read: `DMY`, `MDY` or `YMD`; it is asked about again where this is left out.
        not_before: `today`, or the first day that is accepted; a day without a year then lies ahead.
        not_after: `today`, or the last day that is accepted.
    """

    type: Literal["date"]
    order: Literal["DMY", "MDY", "YMD"] | None = None
    not_before: Literal["today"] | date | None = None
    not_after: Literal["today"] | date | None = None


class BooleanSlot(EverySlot):
    """Yes or no."""

    type: Literal["boolean"]


class Choice(Compact):
    """One of the answers on offer.

    Attributes:
        value: What is shown and kept.
        also: What else people call it.
    """

    value: str = Field(min_length=1)
    also: tuple[str, ...] = ()


def _choice(given: Any) -> Any:
    return {"value": given} if isinstance(given, str) else given


_OneChoice = Annotated[Choice, BeforeValidator(_choice, json_schema_input_type=str | Choice)]
Choices = Annotated[tuple[_OneChoice, ...], Field(min_length=2, max_length=50)]


class ChoiceSlot(EverySlot):
    """One of several.

    Attributes:
        choices: The answers on offer, each by its name or with what else people call it.
    """

    type: Literal["choice"]
    choices: Choices


class MultiChoiceSlot(EverySlot):
    """Any number of several.

    Attributes:
        choices: The answers on offer, each by its name or with what else people call it.
        min_choices: How many there have to be.
    """

    type: Literal["multi_choice"]
    choices: Choices
    min_choices: int = Field(default=1, ge=0)


class EmailSlot(EverySlot):
    """An e-mail address."""

    type: Literal["email"]


class PhoneSlot(EverySlot):
    """A phone number, kept in the international form (E.164).

    Attributes:
        region: The country whose numbers need no country code, two capital letters.
    """

    type: Literal["phone"]
    region: str | None = Field(default=None, pattern=r"^[A-Z]{2}$")


Slot = Annotated[
    TextSlot
    | NameSlot
    | LocationSlot
    | DocumentSlot
    | NumberSlot
    | MoneySlot
    | DateSlot
    | BooleanSlot
    | ChoiceSlot
    | MultiChoiceSlot
    | EmailSlot
    | PhoneSlot,
    Field(discriminator="type"),
]


def choices_of(slot: Slot) -> tuple[Choice, ...]:
    """Return what a slot offers to choose from; nothing for most kinds."""
    return slot.choices if isinstance(slot, ChoiceSlot | MultiChoiceSlot) else ()


def label_of(slot: Slot, name: str) -> str:
    """Return what people call a slot."""
    return slot.label or name.replace("_", " ")
