"""What people in the loop may do with a session: it depends on who has it."""

from tertulia.domain.conversation import Action, Owner
from tertulia.domain.errors import ActionRefused

# By who has the session. What a human may not do is what would make the bot speak.
ALLOWED: dict[Owner, tuple[Action, ...]] = {
    Owner.BOT: (Action.TRANSITION, Action.HAND_OVER),
    Owner.HUMAN: (Action.TRANSITION, Action.TAKE_BACK, Action.OPERATOR_MESSAGE),
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
