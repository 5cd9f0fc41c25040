"""What comes from clients in any language without a type: decoded, or refused with a reason that repeats nothing."""

from collections.abc import Sequence
from typing import TypeVar

from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from tertulia.domain.conversation import ORDERS, CancelTurn, Close, IncomingMessage, Order
    from tertulia.domain.errors import InvalidInput

Decoded = TypeVar("Decoded")


def decode_signal(name: str, payloads: Sequence[RawValue]) -> IncomingMessage | Order | Close | CancelTurn:
    """Read a signal.

    Raises:
        InvalidInput: Nothing can be made of it.
    """
    match name:
        case "message":
            return _decode(payloads, IncomingMessage)
        case "close":
            return _decode(payloads, Close) if payloads else Close()
        case "cancel_turn":
            return CancelTurn()
        case _ if name in ORDERS:
            return decode_order(name, payloads)
        case _:
            raise InvalidInput("there is no signal of this name")


def decode_order(name: str, payloads: Sequence[RawValue]) -> Order:
    """Read what a person in the loop asks for, sent by signal or update. One that can do without may have no payload.

    Raises:
        InvalidInput: Nothing can be made of it.
    """
    kind = ORDERS.get(name)
    if kind is None:
        raise InvalidInput("there is no update of this name")
    needs_payload = any(field.is_required() for field in kind.model_fields.values())
    return _decode(payloads, kind) if payloads or needs_payload else kind()


def _decode(payloads: Sequence[RawValue], kind: type[Decoded]) -> Decoded:
    if len(payloads) != 1:
        raise InvalidInput(f"takes one payload, got {len(payloads)}")
    try:
        decoded = workflow.payload_converter().from_payload(payloads[0].payload, kind)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        told = (f"{'.'.join(map(str, problem['loc'])) or 'payload'}: {problem['msg']}" for problem in problems)
        raise InvalidInput("; ".join(told)) from error
    except Exception as error:
        # Whatever a client has encoded: another encoding, no encoding, bytes.
        raise InvalidInput(f"the payload can't be decoded ({type(error).__name__})") from error
    if not isinstance(decoded, kind):
        raise InvalidInput("the payload is empty")
    return decoded
