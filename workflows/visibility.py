"""What the Temporal UI shows of a session: search attributes and current details, with nothing personal in them."""

from collections.abc import Sequence

from temporalio import workflow
from temporalio.common import SearchAttributeKey

with workflow.unsafe.imports_passed_through():
    from tertulia.domain.conversation import OpenSession, Owner, SessionStatus
    from tertulia.domain.ids import SEARCH_ATTRIBUTES

_KEYS = {name: SearchAttributeKey.for_keyword(name) for name in SEARCH_ATTRIBUTES}


def show_opening(opening: OpenSession) -> None:
    """Make a session findable by what it was opened with."""
    _upsert(TertuliaDefinition=opening.definition, TertuliaChannel=opening.channel, TertuliaTenant=opening.tenant)


def show_state(
    *, state: str, owner: Owner, status: SessionStatus, turn: int, still_to_ask: Sequence[str], outcome: str = ""
) -> None:
    """Show where a session stands. Costs a history event only where an attribute has changed."""
    _upsert(TertuliaState=state, TertuliaOwner=owner)
    asks = ", ".join(still_to_ask) or "nothing"
    workflow.set_current_details(
        f"**State** {state} · **owner** {owner} · **{status}**\n\n"
        f"**Still to ask** {asks}\n\n**Last turn** {turn} {outcome}"
    )


def _upsert(**values: str) -> None:
    current = workflow.info().typed_search_attributes
    changed = [_KEYS[name].value_set(value) for name, value in values.items() if current.get(_KEYS[name]) != value]
    if changed:
        workflow.upsert_search_attributes(changed)
