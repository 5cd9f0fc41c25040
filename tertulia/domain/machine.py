"""The state machine: what follows from an event. Pure and total: no event is an error, nothing collected is lost."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, assert_never

from tertulia.domain.conversation import Attachment, NextAction
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.definitions.lifecycle import ERROR
from tertulia.domain.dialogue import Dialogue
from tertulia.domain.events import (
    Effect,
    ErrandDone,
    ErrandFailed,
    Event,
    PersonSaid,
    ProviderAnswered,
    ProvidersFailed,
    Purpose,
    RejectTransition,
    ReminderDue,
    ReplyWanted,
    Resumed,
    SessionExpired,
    SessionStarted,
    SlotEdited,
    TransitionRequested,
)
from tertulia.domain.machine_state import MachineState
from tertulia.domain.slots import Reason, choices_of

__all__ = [
    "Advanced",
    "MachineState",
    "Observed",
    "advance",
    "allowed_transitions",
    "initial",
    "keep",
    "next_action",
    "observe",
    "passages",
    "still_to_ask",
]


class Advanced(NamedTuple):
    """The state after an event, and what is to be done, in order."""

    state: MachineState
    effects: tuple[Effect, ...]


class Observed(NamedTuple):
    """What follows from an event, and how it came to that.

    Attributes:
        passages: The states that the event led through: each as the one left and the one entered, in order.
        misses: The slots to which no fitting answer was found, and why.
    """

    state: MachineState
    effects: tuple[Effect, ...]
    passages: tuple[tuple[str, str], ...] = ()
    misses: tuple[tuple[str, Reason], ...] = ()


def initial(definition: Definition) -> MachineState:
    """Return the state before anything has happened; the first event is SessionStarted."""
    return MachineState(state=definition.initial)


def advance(definition: Definition, state: MachineState, event: Event, now: datetime) -> Advanced:
    """Work out what follows from an event.

    Args:
        now: When the event happened, aware.

    Returns:
        The next state and the effects. Never raises: an event that does not fit changes nothing, or is answered by
        RejectTransition. At most one effect is an AskProvider or a RunErrand, and then it is the last.
    """
    observed = observe(definition, state, event, now)
    return Advanced(observed.state, observed.effects)


def observe(definition: Definition, state: MachineState, event: Event, now: datetime) -> Observed:
    """Work out what follows from an event like `advance`, and tell how it came to that."""
    dialogue = Dialogue(definition, state, now)
    if rejected := _happen(definition, state, event, dialogue):
        return Observed(state, (rejected,))
    return Observed(dialogue.state, tuple(dialogue.effects), tuple(dialogue.passages), tuple(dialogue.misses))


def keep(definition: Definition, state: MachineState, file: Attachment, now: datetime) -> MachineState:
    """Take what a file is and says without a word, because a human has the conversation."""
    dialogue = Dialogue(definition, state, now)
    dialogue.keep(file)
    return dialogue.state


def passages(definition: Definition, state: MachineState, event: Event, now: datetime) -> list[tuple[str, str]]:
    """List the states that an event leads through: each as the one left and the one entered, in order."""
    return list(observe(definition, state, event, now).passages)


def _happen(definition: Definition, state: MachineState, event: Event, dialogue: Dialogue) -> RejectTransition | None:
    match event:
        case SessionStarted() if state == initial(definition):
            dialogue.start(event.context, event.channel)
        case SessionStarted():
            pass
        case PersonSaid(attachment=Attachment() as file):
            dialogue.receive(file)
        case PersonSaid():
            dialogue.hear(event.text)
        case ProviderAnswered() if event.ask == state.pending:
            dialogue.take(event.ask, event.text)
        case ProvidersFailed() if event.ask == state.pending:
            dialogue.do_without(event.ask)
        case ErrandDone() if event.errand == state.errand:
            dialogue.learn(event.errand, event.outcome)
        case ErrandFailed() if event.errand == state.errand:
            dialogue.leave_undone(event.errand)
        case ProviderAnswered() | ProvidersFailed() | ErrandDone() | ErrandFailed():
            pass  # An answer that nobody waits for any more.
        case ReminderDue() if next_action(definition, state).kind != "none":
            dialogue.remind()
        case SessionExpired() if not state.ended:
            dialogue.expire()
        case ReminderDue() | SessionExpired():
            pass
        case TransitionRequested():
            return _move(definition, state, event.state, dialogue)
        case ReplyWanted() if not state.ended and event.ask.purpose is Purpose.REPLY:
            dialogue.reply_again(event.ask)
        case SlotEdited() if not state.ended and event.slot in definition.asked:
            dialogue.edit(event.slot, event.value)
        case ReplyWanted() | SlotEdited():
            pass
        case Resumed():
            return _resume(definition, state, event.state, dialogue)
        case _:
            assert_never(event)
    return None


def _move(definition: Definition, state: MachineState, target: str, dialogue: Dialogue) -> RejectTransition | None:
    allowed = allowed_transitions(definition, state)
    if target not in allowed:
        return RejectTransition(reason=_refusal(definition, state, target), allowed=allowed)
    if target == ERROR:
        dialogue.suspend()
    elif state.state == ERROR:
        dialogue.resume()
    else:
        dialogue.go_to(target)
    return None


def _resume(
    definition: Definition, state: MachineState, target: str | None, dialogue: Dialogue
) -> RejectTransition | None:
    if state.ended:
        return None
    if target is not None and target != state.state:
        return _move(definition, state, target, dialogue)
    waits_for_human = state.came_from is None and bool(definition.states[state.state].hand_over)
    if waits_for_human and not dialogue.go_on_without_human():
        reason = f"in {state.state!r} a human answers; say where to go on"
        return RejectTransition(reason=reason, allowed=allowed_transitions(definition, state))
    if not waits_for_human:
        dialogue.resume()
    return None


def _refusal(definition: Definition, state: MachineState, target: str) -> str:
    if target == state.state:
        return f"the conversation is in {target!r} already"
    if target not in definition.states:
        return f"there is no state {target!r}"
    return f"{target!r} may not follow {state.state!r}"


def allowed_transitions(definition: Definition, state: MachineState) -> tuple[str, ...]:
    """Name the states that the conversation may be moved to: `error` from anywhere, and from there back."""
    if state.came_from is not None:
        return (state.came_from,)
    return (*definition.may_follow(state.state), ERROR)


def next_action(definition: Definition, state: MachineState) -> NextAction:
    """Say what is expected of the person."""
    if state.ended:
        return NextAction(kind="none")
    if state.came_from is not None:
        return NextAction(kind="retry")
    if state.confirming is not None:
        return NextAction(kind="answer", type="boolean")
    if state.asking is None:
        spec = definition.states[state.state]
        return NextAction(kind="talk" if spec.reply or spec.hand_over or spec.skills else "none")
    if state.together:
        return NextAction(kind="answer", slot=state.asking, type="text")
    slot = definition.slots[state.asking]
    choices = tuple(choice.value for choice in choices_of(slot))
    return NextAction(kind="answer", slot=state.asking, type=slot.type, choices=choices)


def still_to_ask(definition: Definition, state: MachineState) -> tuple[str, ...]:
    """Name the slots that are still to be asked for, in the order in which they will be."""
    in_order = dict.fromkeys(slot for name in _walk(definition) for slot in definition.states[name].ask)
    return tuple(slot for slot in in_order if state.lacks(slot))


def _walk(definition: Definition) -> Iterator[str]:
    """Name the states, each once, along their steps from the initial one."""
    seen, ahead = set[str](), [definition.initial]
    while ahead:
        name = ahead.pop(0)
        if name not in seen:
            seen.add(name)
            yield name
            ahead += [step.to for step in definition.states[name].next]
