"""The chat as it stands in a browser: what is shown there, and what the browser sends."""

from collections.abc import Callable, Sequence
from typing import Any

from nicegui.element import Element
from nicegui.events import GenericEventArguments
from pydantic import BaseModel, ConfigDict

from tertulia.domain.conversation import Message, NextAction, Owner, SessionStatus
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.progress import Progress, progress
from tertulia.domain.slots.kinds import DateSlot, Slot
from tertulia.domain.turns import Delta, SessionRecord


class Expects(BaseModel):
    """What is expected of the person, as far as a page can help with it.

    Attributes:
        optional: Whether it can be left out.
        earliest: Of a day, the first that is accepted (`YYYY-MM-DD`); so is `latest` the last.
    """

    model_config = ConfigDict(frozen=True)

    kind: str = "talk"
    type: str | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False
    example: str = ""
    earliest: str | None = None
    latest: str | None = None


class Standing(BaseModel):
    """How a conversation stands after its last turn."""

    model_config = ConfigDict(frozen=True)

    expects: Expects
    progress: Progress | None
    closed: bool
    human: bool

    @classmethod
    def of(cls, record: SessionRecord, definition: Definition, today: str) -> "Standing":
        """View a stored session.

        Args:
            definition: The one that the session has opened with.
            today: In the form `YYYY-MM-DD`.
        """
        action = record.next_action or NextAction(kind="talk")
        return cls(
            expects=_expects(action, definition.slots.get(action.slot or ""), today),
            progress=progress(definition, record.state, record.slots, action.slot),
            closed=record.status is SessionStatus.CLOSED,
            human=record.owner is Owner.HUMAN,
        )


def _expects(action: NextAction, slot: Slot | None, today: str) -> Expects:
    known = Expects(kind=action.kind, type=action.type, choices=action.choices)
    if slot is None:
        return known
    days = {"earliest": slot.not_before, "latest": slot.not_after} if isinstance(slot, DateSlot) else {}
    bounds = {name: today if day == "today" else str(day) for name, day in days.items() if day is not None}
    return known.model_copy(update={"optional": not slot.required, "example": slot.example, **bounds})


class ChatView(Element, component="chat.js"):
    """The chat's component. Its methods change what one browser shows; texts are shown as text, whatever they are.

    Args:
        place: Under which name the browser keeps this chat.
        longest: How long a message may be, in characters.
    """

    def __init__(self, *, title: str, language: str, place: str, longest: int) -> None:
        super().__init__()
        self.props["title"] = title
        self.props["language"] = language
        self.props["place"] = place
        self.props["longest"] = longest

    def hears(self, event: str, handler: Callable[[Any], Any]) -> None:
        """Call a handler with what the browser sends along with an event."""

        def hear(event: GenericEventArguments) -> Any:
            return handler(event.args)

        self.on(event, hear)

    def begin(self, ticket: str, messages: Sequence[Message], standing: Standing, *, more: bool) -> None:
        """Show a conversation from its last messages on."""
        begun = {"ticket": ticket, "messages": _shown(messages), "more": more, "standing": _plain(standing)}
        self.run_method("begin", begun)

    def restore(self, messages: Sequence[Message]) -> None:
        """Show the last messages anew, without those that do not count any more."""
        self.run_method("restore", _shown(messages))

    def add(self, messages: Sequence[Message]) -> None:
        """Show messages behind the others; those that are shown already are left out."""
        self.run_method("add", _shown(messages))

    def prepend(self, messages: Sequence[Message], *, more: bool) -> None:
        self.run_method("prepend", _shown(messages), more)

    def taken(self, message_id: str) -> None:
        """Show that a message is safe."""
        self.run_method("taken", message_id)

    def refused(self, message_id: str, problem: str) -> None:
        self.run_method("refused", message_id, problem)

    def think(self) -> None:
        self.run_method("think")

    def write(self, piece: Delta) -> None:
        self.run_method("write", {"attempt": piece.attempt, "offset": piece.offset, "text": piece.text})

    def wait(self) -> None:
        self.run_method("wait")

    def rest(self, standing: Standing) -> None:
        """Show that nobody writes, and how the conversation stands."""
        self.run_method("rest", _plain(standing))

    def tell(self, notice: str) -> None:
        self.run_method("tell", notice)


def _shown(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [message.model_dump(mode="json", exclude={"turn", "withdrawn_in"}) for message in messages]


def _plain(standing: Standing) -> dict[str, Any]:
    return standing.model_dump(mode="json")
