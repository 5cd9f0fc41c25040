"""WhatsApp's wire, against the simulated platform: how things are shown, what refusals mean, what comes in."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tertulia.channels.whatsapp import WhatsAppAccount, WhatsAppMessenger, WhatsAppWebhook, message_name
from tertulia.domain.channels import Attachment, Outgoing
from tertulia.domain.errors import ChannelFailure, ChannelProblem, InvalidInput
from tertulia.embedded.messengers import Refuse, WhatsAppSimulator
from tertulia.embedded.messengers import whatsapp as platform

ANA = "34600000001"


def account(whatsapp: WhatsAppSimulator, **changes: Any) -> WhatsAppAccount:
    known = {
        "phone_number_id": platform.PHONE_NUMBER_ID,
        "access_token": whatsapp.access_token,
        "app_secret": whatsapp.app_secret,
        "verify_token": whatsapp.verify_token,
        "api_url": whatsapp.url,
        "template": platform.TEMPLATE,
    }
    return WhatsAppAccount(**(known | changes))


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


@pytest.fixture
def messenger(whatsapp: WhatsAppSimulator, http: httpx.AsyncClient) -> WhatsAppMessenger:
    whatsapp.receipts = ()
    whatsapp.text(ANA, "Hello")
    return WhatsAppMessenger(account(whatsapp), http)


@pytest.fixture
def webhook(whatsapp: WhatsAppSimulator) -> WhatsAppWebhook:
    return WhatsAppWebhook(account(whatsapp))


def outgoing(text: str = "Hello", **fields: Any) -> Outgoing:
    return Outgoing(**({"delivery_id": "s/1/1", "address": ANA, "text": text} | fields))


@pytest.mark.parametrize(
    ("text", "choices", "shown", "expected"),
    [
        ("Which?", ("remote", "hybrid", "on-site"), ("remote", "hybrid", "on-site"), "Which?"),
        ("Which?", tuple("abcde"), tuple("abcde"), "Which?"),
        ("Which?", tuple("abcdefghijk"), (), "Which?\n\n1. a\n2. b"),
        ("Which?", ("a label that is longer than 24 characters", "b"), (), "Which?\n\n1. a label"),
        ("Which?" * 200, ("a", "b"), (), "Which?Which?"),
        ("Which?", ("same", "same"), (), "Which?\n\n1. same\n2. same"),
    ],
    ids=["buttons", "list", "too-many", "too-long", "long-text", "twice"],
)
async def test_choices_are_shown_as_the_platform_can(
    whatsapp: WhatsAppSimulator,
    messenger: WhatsAppMessenger,
    text: str,
    choices: tuple[str, ...],
    shown: tuple[str, ...],
    expected: str,
) -> None:
    platform_id = await messenger.send(outgoing(text, choices=choices))

    (sent,) = whatsapp.sending.to(ANA)
    assert (message_name(sent.platform_id), sent.choices, sent.reference) == (platform_id, shown, "s/1/1")
    assert sent.text.startswith(expected)


async def test_a_template_gets_the_text_as_one_line_that_fits(
    whatsapp: WhatsAppSimulator, messenger: WhatsAppMessenger
) -> None:
    await messenger.send(outgoing("One\n\ntwo    three " + "x" * 2000, by_template=True))

    (sent,) = whatsapp.sending.to(ANA)
    assert sent.template == platform.TEMPLATE
    assert sent.text.startswith("One two three xxx")
    assert len(sent.text) == 900


@pytest.mark.parametrize(
    ("refusal", "problem", "retry_after"),
    [
        (Refuse(400, 131047), ChannelProblem.LATE, None),
        (Refuse(400, 130429), ChannelProblem.RATE_LIMIT, None),
        (Refuse(429, 4, retry_after=7), ChannelProblem.RATE_LIMIT, timedelta(seconds=7)),
        (Refuse(400, 131056), ChannelProblem.RATE_LIMIT, None),
        (Refuse(400, 131026), ChannelProblem.UNDELIVERABLE, None),
        (Refuse(401, 190), ChannelProblem.ACCOUNT, None),
        (Refuse(403, 200), ChannelProblem.ACCOUNT, None),
        (Refuse(500, 131000), ChannelProblem.SERVER, None),
        (Refuse(503, 99999), ChannelProblem.SERVER, None),
        (Refuse(400, 100), ChannelProblem.REFUSED, None),
        (Refuse(404, 132001), ChannelProblem.REFUSED, None),
    ],
    ids=lambda value: f"{value.status}-{value.code}" if isinstance(value, Refuse) else "",
)
async def test_a_refusal_is_known_by_its_code(
    whatsapp: WhatsAppSimulator,
    messenger: WhatsAppMessenger,
    refusal: Refuse,
    problem: ChannelProblem,
    retry_after: timedelta | None,
) -> None:
    whatsapp.sending.react(refusal)

    with pytest.raises(ChannelFailure) as failure:
        await messenger.send(outgoing("a secret text"))

    assert (failure.value.problem, failure.value.retry_after) == (problem, retry_after)
    told = f"{failure.value}"
    assert ANA not in told
    assert "secret" not in told
    assert whatsapp.access_token not in told


async def test_a_platform_that_is_not_there_was_sent_nothing(http: httpx.AsyncClient) -> None:
    async with WhatsAppSimulator() as gone:
        there = account(gone)

    with pytest.raises(ChannelFailure) as failure:
        await WhatsAppMessenger(there, http).send(outgoing())

    assert failure.value.problem is ChannelProblem.UNREACHABLE


async def test_the_platform_refuses_late_messages_but_templates(whatsapp: WhatsAppSimulator) -> None:
    async with WhatsAppSimulator() as other, httpx.AsyncClient(trust_env=False) as http:
        other.receipts = ()
        other.text(ANA, "Hello", at=datetime.now(UTC) - timedelta(hours=25))
        messenger = WhatsAppMessenger(account(other), http)

        with pytest.raises(ChannelFailure) as failure:
            await messenger.send(outgoing())
        await messenger.send(outgoing(by_template=True))

    assert failure.value.problem is ChannelProblem.LATE
    assert [sent.template for sent in other.sending.sent] == [platform.TEMPLATE]


async def test_a_file_is_fetched_and_a_large_one_is_not(
    whatsapp: WhatsAppSimulator, messenger: WhatsAppMessenger
) -> None:
    whatsapp.files |= {"small": b"content", "large": bytes(2000)}

    assert await messenger.fetch(Attachment(media_id="small", kind="document"), 1000) == b"content"
    with pytest.raises(ChannelFailure) as failure:
        await messenger.fetch(Attachment(media_id="large", kind="document"), 1000)
    assert failure.value.problem is ChannelProblem.UNUSABLE


async def test_the_key_is_shown_to_the_platform_only(whatsapp: WhatsAppSimulator, http: httpx.AsyncClient) -> None:
    async with WhatsAppSimulator() as elsewhere:
        whatsapp.files["m"] = b"content"
        messenger = WhatsAppMessenger(account(whatsapp), http)
        whatsapp._server, honest = elsewhere._server, whatsapp._server
        try:
            with pytest.raises(ChannelFailure) as failure:
                await messenger.fetch(Attachment(media_id="m", kind="document"), 1000)
        finally:
            whatsapp._server = honest

    assert failure.value.problem is ChannelProblem.UNUSABLE


def _delivered(**message: Any) -> bytes:
    told = {"id": "wamid.1", "timestamp": "1773489600", "from": ANA, "from_user_id": "ES.1"} | message
    value = {"metadata": {"phone_number_id": platform.PHONE_NUMBER_ID}, "messages": [told]}
    return json.dumps({"entry": [{"changes": [{"field": "messages", "value": value}]}]}).encode()


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"type": "text", "text": {"body": "Hello"}}, "Hello"),
        ({"type": "interactive", "interactive": {"type": "list_reply", "list_reply": {"title": "hybrid"}}}, "hybrid"),
        ({"type": "button", "button": {"text": "Yes", "payload": "y"}}, "Yes"),
        ({"type": "image", "image": {"id": "m", "caption": "me"}}, "me"),
        ({"type": "document", "document": {"id": "m", "filename": "cv.pdf"}}, ""),
        ({"type": "audio", "audio": {"id": "m"}}, "[audio]"),
        ({"type": "unsupported", "errors": []}, "[unsupported]"),
    ],
    ids=lambda value: value.get("type", "") if isinstance(value, dict) else "",
)
def test_every_kind_of_message_is_read(webhook: WhatsAppWebhook, message: dict[str, Any], text: str) -> None:
    (read,) = webhook.read(_delivered(**message)).messages

    assert (read.text, read.person, read.address) == (text, "ES.1", ANA)
    assert read.sent_at == datetime.fromtimestamp(1773489600, UTC)
    assert (read.attachment is not None) == (message["type"] in {"image", "document"})


@pytest.mark.parametrize(
    "message",
    [
        {"type": "reaction", "reaction": {}},
        {"type": "system", "system": {}},
        {"type": "text", "text": {"body": "?"}, "timestamp": "soon"},
        {"type": "document", "document": {}},
        {"type": "text", "text": {"body": "?"}, "from": "", "from_user_id": ""},
    ],
    ids=["reaction", "system", "broken", "no-file", "nobody"],
)
def test_what_is_no_message_is_passed_over(webhook: WhatsAppWebhook, message: dict[str, Any]) -> None:
    assert webhook.read(_delivered(**message)).messages == ()


def test_messages_to_another_number_of_the_business_are_passed_over(webhook: WhatsAppWebhook) -> None:
    body = _delivered(type="text", text={"body": "Hello"}).replace(platform.PHONE_NUMBER_ID.encode(), b"1")

    assert webhook.read(body).messages == ()


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"entry": 1}', b'{"entry": [{"changes": [1]}]}'])
def test_what_is_no_delivery_is_refused(webhook: WhatsAppWebhook, body: bytes) -> None:
    with pytest.raises(InvalidInput):
        webhook.read(body)
