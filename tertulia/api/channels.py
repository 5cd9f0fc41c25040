"""Messengers: what their platforms call us with, and what became of what was sent there.

A webhook's calls are authenticated by the platform's signature or secret, and by nothing else.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.responses import PlainTextResponse

from tertulia.api.access import allow, signed
from tertulia.api.inputs import MAX_NUMBER, SessionInPath
from tertulia.api.ports import ApiPorts, ChannelPorts, Ports
from tertulia.api.problems import documented, problem, response
from tertulia.api.views import Deliveries
from tertulia.domain.access import Scope
from tertulia.domain.channels import ChannelName
from tertulia.domain.errors import NotFound
from tertulia.ports import Webhook

router = APIRouter(prefix="/v1", tags=["channels"])

_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
}
_REFUSALS = documented("not_authentic", "not_found", "body_too_large")


@router.get(
    "/webhooks/whatsapp",
    dependencies=[signed()],
    response_class=PlainTextResponse,
    responses=documented("not_authentic", "not_found"),
)
async def verify_whatsapp(request: Request, ports: Ports) -> Response:
    """Answer Meta's question, as the webhook is set up, whether it is ours (`hub.challenge`)."""
    _, webhook = _set_up(ports, ChannelName.WHATSAPP)
    answer = webhook.handshake(request.query_params)
    if answer is None:
        return response(problem("not_authentic"))
    return PlainTextResponse(answer)


@router.post("/webhooks/whatsapp", dependencies=[signed()], responses=_REFUSALS, openapi_extra=_BODY)
async def receive_from_whatsapp(request: Request, ports: Ports) -> Response:
    """Take in messages and receipts, signed in `X-Hub-Signature-256`. 200 says that they are durably taken."""
    return await _take(request, ports, ChannelName.WHATSAPP)


@router.post("/webhooks/telegram/{secret}", dependencies=[signed()], responses=_REFUSALS, openapi_extra=_BODY)
async def receive_from_telegram(
    request: Request,
    ports: Ports,
    secret: Annotated[str, Path(max_length=256, description="As given to `setWebhook`, here and as `secret_token`")],
) -> Response:
    """Take in an update; `X-Telegram-Bot-Api-Secret-Token` must be right, too. 200 says that it is durably taken."""
    return await _take(request, ports, ChannelName.TELEGRAM, secret)


@router.get("/sessions/{session_id}/deliveries", dependencies=[allow(Scope.OPERATE)], responses=documented("not_found"))
async def list_deliveries(
    session_id: SessionInPath,
    ports: Ports,
    after: Annotated[int, Query(ge=0, le=MAX_NUMBER, description="The message's `seq` behind which to begin")] = 0,
    limit: Annotated[int, Query(ge=1, le=500, description="The most messages")] = 100,
) -> Deliveries:
    """Read what became of the session's messages on its messenger; empty for sessions that have none."""
    if ports.channels is None:
        return Deliveries(deliveries=())
    # One message more than asked for tells whether there is a next page.
    found = await ports.channels.deliveries.of_session(session_id, after=after, limit=limit + 1)
    return Deliveries.of(found, limit)


async def _take(request: Request, ports: ApiPorts, channel: ChannelName, path_secret: str = "") -> Response:
    channels, webhook = _set_up(ports, channel)
    body = await request.body()
    if not webhook.is_authentic(body, request.headers, path_secret):
        return response(problem("not_authentic"))
    await ports.taken(channels.intake.take(webhook, webhook.read(body)))
    return Response()


def _set_up(ports: ApiPorts, channel: ChannelName) -> tuple[ChannelPorts, Webhook]:
    if ports.channels is None or channel not in ports.channels.webhooks:
        raise NotFound("channel", channel)
    return ports.channels, ports.channels.webhooks[channel]
