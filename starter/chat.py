"""A conversation in the terminal, over the HTTP API."""

import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from starter.api_client import ApiRefusal
from starter.options import API_URL
from starter.session_client import SessionClient
from tertulia.api.ids import new_id
from tertulia.domain.conversation import Message, NextAction, Role, TurnStatus
from tertulia.domain.errors import Unavailable
from tertulia.domain.ids import MessageId, SessionId
from tertulia.domain.session_events import TurnEnded
from tertulia.domain.turns import Delta, TurnWaits

# A restart of the API takes a few seconds; the message goes out again under its id, so it counts once.
_PAUSES_SECONDS = (0.5, 1, 2, 4, 8, 16)


class Screen(Protocol):
    """Where a conversation is shown, and where the person's words come from."""

    def read(self) -> str | None:
        """Read what the person says next; None at the end."""
        ...

    def show(self, role: Role, text: str) -> None: ...

    def ask(self, next_action: NextAction) -> None:
        """Show what is expected next."""
        ...

    def partial(self) -> AbstractContextManager["PartialText"]:
        """Show a reply while it is written; what was shown is gone at the end of the block."""
        ...

    def note(self, text: str) -> None:
        """Say something that is no part of the conversation."""
        ...


class PartialText(Protocol):
    def show(self, text: str) -> None: ...


class Plain:
    """Lines in, replies out, the rest on standard error: for pipes and scripts."""

    def read(self) -> str | None:
        line = sys.stdin.readline()
        return line.rstrip("\r\n") if line else None

    def show(self, role: Role, text: str) -> None:
        if role is not Role.USER:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    def ask(self, next_action: NextAction) -> None:
        """A script knows what it was asked."""

    def partial(self) -> AbstractContextManager[PartialText]:
        return nullcontext(_Unseen())

    def note(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")


class _Unseen:
    def show(self, text: str) -> None:
        """A script wants whole replies."""


class Terminal:
    """Colours, and text as it streams."""

    _STYLES = {Role.USER: "bold", Role.ASSISTANT: "cyan", Role.OPERATOR: "green", Role.SYSTEM: "dim"}

    def __init__(self, console: Console) -> None:
        self._console = console

    def read(self) -> str | None:
        try:
            return self._console.input("[bold]> [/bold]")
        except EOFError:
            return None

    def show(self, role: Role, text: str) -> None:
        prefix = "> " if role is Role.USER else ""
        self._console.print(Text(f"{prefix}{text}", style=self._STYLES[role]))

    def ask(self, next_action: NextAction) -> None:
        if next_action.choices:
            self._console.print(Text(f"({' / '.join(next_action.choices)})", style="dim"))

    def partial(self) -> AbstractContextManager[PartialText]:
        return _LiveText(self._console)

    def note(self, text: str) -> None:
        self._console.print(Text(text, style="dim"))


class _LiveText:
    def __init__(self, console: Console) -> None:
        # What scrolls out of the window can't be erased, so only the end of a long reply is shown while it grows.
        self._live = Live(console=console, transient=True, vertical_overflow="crop", refresh_per_second=20)

    def show(self, text: str) -> None:
        self._live.update(Text(text, style="cyan"))

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)


def screen() -> Screen:
    """Choose by whether a person sits there."""
    return Terminal(Console()) if sys.stdin.isatty() and sys.stdout.isatty() else Plain()


def chat(
    api: SessionClient,
    on: Screen,
    session_id: SessionId,
    said: Sequence[Message],
    expected: NextAction,
    *,
    url: str = API_URL,
) -> None:
    """Talk until the conversation is over or the person leaves.

    Args:
        said: What to show first.
        expected: What the session expects next.
        url: Where the API listens, for whoever goes on later.
    """
    for message in said:
        on.show(message.role, message.text)
    try:
        _talk(api, on, session_id, expected)
    except KeyboardInterrupt:
        on.note("")
    finally:
        elsewhere = "" if url == API_URL else f" --url {url}"
        on.note(f"session {session_id} · go on with: tertulia chat --session {session_id}{elsewhere}")


def _talk(api: SessionClient, on: Screen, session_id: SessionId, expected: NextAction) -> None:
    while expected.kind != "none":
        on.ask(expected)
        text = on.read()
        if text is None:
            return
        if not text.strip():
            continue
        try:
            reply = _deliver(api, on, session_id, text)
        except ApiRefusal as refusal:
            on.note(str(refusal))
            if refusal.problem.code in {"session_closed", "not_found"}:
                return
            continue
        if reply.status in {TurnStatus.CANCELLED, TurnStatus.INTERRUPTED}:
            on.note(f"({reply.status})")
        else:
            on.show(Role.ASSISTANT, reply.reply)
        expected = reply.next_action


def _deliver(api: SessionClient, on: Screen, session_id: SessionId, text: str) -> TurnEnded:
    message_id = MessageId(new_id())
    for pause in _PAUSES_SECONDS:
        try:
            return _follow(api, on, session_id, text, message_id)
        except Unavailable as error:
            on.note(f"({error}; trying again)")
            time.sleep(pause)
    return _follow(api, on, session_id, text, message_id)


def _follow(api: SessionClient, on: Screen, session_id: SessionId, text: str, message_id: MessageId) -> TurnEnded:
    so_far = ""
    with on.partial() as partial:
        for event in api.stream(session_id, text, message_id):
            match event.event:
                case "text.delta":
                    delta = Delta.model_validate_json(event.data)
                    so_far = so_far[: delta.offset] + delta.text
                    partial.show(so_far)
                case "turn.superseded":
                    so_far = ""
                    partial.show(so_far)
                case "turn.waiting":
                    resumes_at = TurnWaits.model_validate_json(event.data).resumes_at.astimezone()
                    on.note(f"(no provider can be asked now; going on at {resumes_at:%H:%M:%S})")
                case "turn.completed" | "turn.failed":
                    return TurnEnded.model_validate_json(event.data)
                case _:
                    pass
    raise Unavailable("the reply", "the stream ended before it")
