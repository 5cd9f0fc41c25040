"""What the Temporal UI shows of a session: search attributes and current details, with nothing personal in them."""

from collections.abc import Sequence

from temporalio import workflow
from temporalio.common import SearchAttributeKey

with workflow.unsafe.imports_passed_through():
    from tertulia.domain.conversation import OpenSession, TurnStatus
    from tertulia.domain.ids import SEARCH_ATTRIBUTES
    from tertulia.domain.turns import SessionProjection

_KEYS = {name: SearchAttributeKey.for_keyword(name) for name in SEARCH_ATTRIBUTES}


def show_opening(opening: OpenSession) -> None:
    """Make a session findable by what it was opened with."""
    _upsert(TertuliaDefinition=opening.definition, TertuliaChannel=opening.channel, TertuliaTenant=opening.tenant)


def show_turn(session: SessionProjection, still_to_ask: Sequence[str], outcome: TurnStatus) -> None:
    """Show where a session stands after a turn. Costs a history event only where an attribute has changed."""
    _upsert(TertuliaState=session.state, TertuliaOwner=session.owner)
    asks = ", ".join(still_to_ask) or "nothing"
    workflow.set_current_details(
        f"**State** {session.state} · **owner** {session.owner} · **{session.status}**\n\n"
        f"**Still to ask** {asks}\n\n**Last turn** {session.turn}: {outcome}"
    )


def _upsert(**values: str) -> None:
    current = workflow.info().typed_search_attributes
    changed = [_KEYS[name].value_set(value) for name, value in values.items() if current.get(_KEYS[name]) != value]
    if changed:
        workflow.upsert_search_attributes(changed)
