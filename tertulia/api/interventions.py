"""People in the loop: they take a session over, talk to the person, give it back, and put right what went wrong."""

from typing import Annotated, Any

from fastapi import APIRouter, Header

from tertulia.api.access import allow
from tertulia.api.ids import new_id
from tertulia.api.inputs import (
    Asked,
    GiveToHuman,
    NewValue,
    SayAsOperator,
    SessionInPath,
    SlotInPath,
    TakeBackSession,
    chosen_id,
)
from tertulia.api.ports import ApiPorts, Ports
from tertulia.api.problems import documented
from tertulia.api.views import OrderOutcome
from tertulia.domain.access import Scope
from tertulia.domain.conversation import (
    EditSlot,
    HandOverToHuman,
    OperatorMessage,
    Order,
    Regenerate,
    TakeBack,
    Undo,
)
from tertulia.domain.ids import MessageId, SessionId

router = APIRouter(prefix="/v1/sessions/{session_id}", tags=["people in the loop"], dependencies=[allow(Scope.CHAT)])

Key = Annotated[str | None, Header(alias="Idempotency-Key", description="The order's id, chosen by the client")]

_NOTHING = Asked()
_OPERATORS = [allow(Scope.OPERATE)]


def _refusals(*codes: str) -> dict[int | str, dict[str, Any]]:
    return documented("not_found", "session_closed", "action_refused", "too_many_waiting", *codes, body=True)


@router.post("/hand-over", responses=_refusals())
async def hand_over(session_id: SessionInPath, body: GiveToHuman, ports: Ports, key: Key = None) -> OrderOutcome:
    """Let a human have the session. The bot is silent from here on, and its timers stand still.

    A reply that a provider is writing is dropped. What the person writes is kept, in turns that end as `handed_over`.
    """
    order_id = chosen_id(body.request_id, key)
    order = HandOverToHuman(reason=body.reason, operator=body.operator, request_id=order_id)
    return await _carried_out(ports, session_id, order)


@router.post("/take-back", dependencies=_OPERATORS, responses=_refusals("transition_refused"))
async def take_back(session_id: SessionInPath, body: TakeBackSession, ports: Ports, key: Key = None) -> OrderOutcome:
    """Let the bot have the session again: it puts its open question again, or goes on in another state."""
    order_id = chosen_id(body.request_id, key)
    order = TakeBack(state=body.state, reason=body.reason, operator=body.operator, request_id=order_id)
    return await _carried_out(ports, session_id, order)


@router.post("/operator-messages", dependencies=_OPERATORS, responses=_refusals())
async def say_as_operator(
    session_id: SessionInPath, body: SayAsOperator, ports: Ports, key: Key = None
) -> OrderOutcome:
    """Say something to the person, as the human who has the session."""
    order_id = chosen_id(body.message_id, key)
    order = OperatorMessage(text=body.text, operator=body.operator, request_id=order_id)
    return await _carried_out(ports, session_id, order)


@router.post("/undo", responses=_refusals())
async def undo(session_id: SessionInPath, ports: Ports, body: Asked = _NOTHING, key: Key = None) -> OrderOutcome:
    """Go back to before the person's last turn: its state, its slots, its open question.

    What was said since then stays in the transcript, marked by `withdrawn_in`, and no provider is sent it any more.
    """
    order = Undo(operator=body.operator, request_id=chosen_id(body.request_id, key))
    return await _carried_out(ports, session_id, order)


@router.post("/regenerate", responses=_refusals())
async def regenerate(session_id: SessionInPath, ports: Ports, body: Asked = _NOTHING, key: Key = None) -> OrderOutcome:
    """Have the last reply that a provider wrote freely written anew. The earlier one is marked by `withdrawn_in`.

    With the status `failed` nobody could write one, and the earlier one stands.
    """
    order = Regenerate(operator=body.operator, request_id=chosen_id(body.request_id, key))
    return await _carried_out(ports, session_id, order)


@router.put("/slots/{slot}", dependencies=_OPERATORS, responses=_refusals())
async def edit_slot(
    session_id: SessionInPath, slot: SlotInPath, body: NewValue, ports: Ports, key: Key = None
) -> OrderOutcome:
    """Give a slot a value. It is held to the slot's own rules, and what depends on it is asked anew."""
    order_id = chosen_id(body.request_id, key)
    order = EditSlot(slot=slot, value=body.value, operator=body.operator, request_id=order_id)
    return await _carried_out(ports, session_id, order)


async def _carried_out(ports: ApiPorts, session_id: SessionId, order: Order) -> OrderOutcome:
    request_id = MessageId(order.request_id or new_id())
    order = order.model_copy(update={"request_id": request_id})
    reply = await ports.after_the_turn(ports.sessions.order(session_id, order))
    return OrderOutcome.of(reply, session_id, request_id)
