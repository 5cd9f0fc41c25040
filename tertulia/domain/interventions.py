"""What people in the loop may do with a session: it depends on who has it."""

from datetime import datetime

from tertulia.domain.conversation import Action, EditSlot, Owner
from tertulia.domain.definitions.definition import Definition
from tertulia.domain.errors import ActionRefused, InvalidInput, NotFound
from tertulia.domain.slots import NotUnderstood, accept

# By who has the session. What a human may not do is what would make the bot speak.
ALLOWED: dict[Owner, tuple[Action, ...]] = {
    Owner.BOT: (Action.TRANSITION, Action.HAND_OVER, Action.UNDO, Action.REGENERATE, Action.EDIT_SLOT),
    Owner.HUMAN: (Action.TRANSITION, Action.TAKE_BACK, Action.OPERATOR_MESSAGE, Action.EDIT_SLOT),
}
_WHY = {
    Owner.BOT: "the bot has the session",
    Owner.HUMAN: "a human has the session",
}


def check(action: Action, owner: Owner) -> None:
    """Let through what may be done now.

    Raises:
        ActionRefused: Why not, and what may be done instead.
    """
    if action not in ALLOWED[owner]:
        raise ActionRefused(_WHY[owner], ALLOWED[owner])


def check_edit(definition: Definition, edit: EditSlot, now: datetime) -> None:
    """Let through a value that its slot can take.

    Args:
        definition: In the words that the session is held in.

    Raises:
        NotFound: There is no such slot.
        ActionRefused: It is worked out by rules; only those that are asked for can be edited.
        InvalidInput: The slot can't take the value.
    """
    if edit.slot not in definition.slots:
        raise NotFound("slot", edit.slot)
    if edit.slot not in definition.asked:
        raise ActionRefused("the slot is worked out and never asked for", sorted(definition.asked))
    outcome = accept(definition.slots[edit.slot], edit.value, now, definition.language)
    if isinstance(outcome, NotUnderstood):
        raise InvalidInput(f"can't be taken by the slot ({outcome.reason})", field="value")


def nothing_to(action: Action, owner: Owner) -> ActionRefused:
    """Say that there is nothing to do it with, and what may be done instead."""
    reasons = {
        Action.UNDO: "there is nothing to undo: since the session was opened, or a human had it, no turn is left",
        Action.REGENERATE: "the last turn has no reply that a provider wrote freely",
    }
    return ActionRefused(reasons[action], tuple(each for each in ALLOWED[owner] if each is not action))
