"""Telegram's wire, against the simulated platform: how things are shown, what refusals mean, what comes in."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tertulia.channels.telegram import TelegramAccount, TelegramMessenger, TelegramWebhook
from tertulia.domain.channels import Attachment, Outgoing
from tertulia.domain.errors import ChannelFailure, ChannelProblem, InvalidInput
from tertulia.embedded.messengers import Refuse, TelegramSimulator

ANA = 7001


def account(telegram: TelegramSimulator) -> TelegramAccount:
    return TelegramAccount(telegram.bot_token, telegram.webhook_secret, telegram.url)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


@pytest.fixture
def messenger(telegram: TelegramSimulator, http: httpx.AsyncClient) -> TelegramMessenger:
    return TelegramMessenger(account(telegram), http)


@pytest.fixture
def webhook(telegram: TelegramSimulator) -> TelegramWebhook:
    return TelegramWebhook(account(telegram))


def outgoing(text: str = "Hello", **fields: Any) -> Outgoing:
    return Outgoing(**({"delivery_id": "s/1/1", "address": str(ANA), "text": text} | fields))


@pytest.mark.parametrize(
    ("choices", "shown", "expected"),
    [
        (("remote", "hybrid"), ("remote", "hybrid"), "Which?"),
        (tuple("abcdefghijklmn"), (), "Which?\n\n1. a\n2. b\n"),
        ((), (), "Which?"),
    ],
    ids=["keys", "too-many", "none"],
)
async def test_choices_are_shown_as_keys(
    telegram: TelegramSimulator,
    messenger: TelegramMessenger,
    choices: tuple[str, ...],
    shown: tuple[str, ...],
    expected: str,
) -> None:
    platform_id = await messenger.send(outgoing("Which?", choices=choices))

    (sent,) = telegram.sending.to(str(ANA))
    assert (sent.platform_id, sent.choices) == (platform_id, shown)
    assert sent.text.startswith(expected)


@pytest.mark.parametrize(
    ("refusal", "problem", "retry_after"),
    [
        (Refuse(429, message="Too Many Requests", retry_after=35), ChannelProblem.RATE_LIMIT, timedelta(seconds=35)),
        (Refuse(429, retry_after=10**9), ChannelProblem.RATE_LIMIT, timedelta(hours=1)),
        (Refuse(403, message="Forbidden: bot was blocked by the user"), ChannelProblem.UNDELIVERABLE, None),
        (Refuse(400, message="Bad Request: chat not found"), ChannelProblem.UNDELIVERABLE, None),
        (Refuse(400, message="Bad Request: message text is empty"), ChannelProblem.REFUSED, None),
        (Refuse(401, message="Unauthorized"), ChannelProblem.ACCOUNT, None),
        (Refuse(404, message="Not Found"), ChannelProblem.ACCOUNT, None),
        (Refuse(502, message="Bad Gateway"), ChannelProblem.SERVER, None),
    ],
    ids=lambda value: f"{value.status} {value.message}" if isinstance(value, Refuse) else "",
)
async def test_a_refusal_is_known_by_its_status_and_words(
    telegram: TelegramSimulator,
    messenger: TelegramMessenger,
    refusal: Refuse,
    problem: ChannelProblem,
    retry_after: timedelta | None,
) -> None:
    telegram.sending.react(refusal)

    with pytest.raises(ChannelFailure) as failure:
        await messenger.send(outgoing("a secret text"))

    assert (failure.value.problem, failure.value.retry_after) == (problem, retry_after)
    told = f"{failure.value}"
    assert telegram.bot_token not in told
    assert "secret" not in told


async def test_no_failure_shows_the_token_that_stands_in_the_address(http: httpx.AsyncClient) -> None:
    async with TelegramSimulator() as gone:
        there = account(gone)

    with pytest.raises(ChannelFailure) as failure:
        await TelegramMessenger(there, http).send(outgoing())

    assert failure.value.problem is ChannelProblem.UNREACHABLE
    assert gone.bot_token not in f"{failure.value!r} {failure.value.detail} {there!r}"
    assert failure.value.__suppress_context__


async def test_a_file_is_fetched_and_a_large_one_is_not(
    telegram: TelegramSimulator, messenger: TelegramMessenger
) -> None:
    telegram.files |= {"small": b"content", "large": bytes(2000)}

    assert await messenger.fetch(Attachment(media_id="small", kind="document"), 1000) == b"content"
    for size in (None, 2000):
        with pytest.raises(ChannelFailure) as failure:
            await messenger.fetch(Attachment(media_id="large", kind="document", size_bytes=size), 1000)
        assert failure.value.problem is ChannelProblem.UNUSABLE


def _update(**message: Any) -> bytes:
    told = {"message_id": 5, "date": 1773489600, "chat": {"id": ANA, "type": "private"}, "from": {"id": ANA}} | message
    return json.dumps({"update_id": 42, "message": told}).encode()


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"text": "Hello"}, "Hello"),
        ({"caption": "me", "photo": [{"file_id": "s", "file_size": 1}, {"file_id": "l", "file_size": 9}]}, "me"),
        ({"document": {"file_id": "d", "file_name": "cv.pdf"}}, ""),
        ({"contact": {"phone_number": "+34600000001"}}, "+34600000001"),
        ({"voice": {"file_id": "v"}}, "[voice]"),
        ({"dice": {}}, "[message]"),
    ],
    ids=["text", "photo", "document", "contact", "voice", "unknown"],
)
def test_every_kind_of_message_is_read(webhook: TelegramWebhook, message: dict[str, Any], text: str) -> None:
    (read,) = webhook.read(_update(**message)).messages

    assert (read.text, read.address, read.position, read.message_id) == (text, str(ANA), 42, "tg-42")
    assert (read.attachment.media_id if read.attachment else None) == (
        "l" if "photo" in message else "d" if "document" in message else None
    )


def test_the_key_of_a_keyboard_in_a_message_is_what_the_person_says(webhook: TelegramWebhook) -> None:
    pressed = {"id": "1", "data": "hybrid", "from": {"id": ANA}, "message": json.loads(_update(text="?"))["message"]}

    (read,) = webhook.read(json.dumps({"update_id": 43, "callback_query": pressed}).encode()).messages

    assert (read.text, read.only_opens) == ("hybrid", False)


@pytest.mark.parametrize(
    ("text", "opens", "job_id"),
    [
        ("/start", True, None),
        ("/start job-17", True, "job-17"),
        ("/start@some_bot job-17", True, "job-17"),
        ("/start b\u00e4d", True, None),
        ("/starting", False, None),
        ("Hello /start", False, None),
    ],
)
def test_a_start_says_only_that_a_conversation_begins_and_what_about(
    webhook: TelegramWebhook, text: str, opens: bool, job_id: str | None
) -> None:
    (read,) = webhook.read(_update(text=text)).messages

    assert (read.only_opens, read.job_id) == (opens, job_id)


@pytest.mark.parametrize(
    "body",
    [
        b'{"update_id": 1}',
        json.dumps({"update_id": 1, "edited_message": json.loads(_update(text="?"))["message"]}).encode(),
        _update(text="?", chat={"id": -5, "type": "group"}),
        _update(text="?", date="soon"),
    ],
    ids=["nothing", "edit", "group", "broken"],
)
def test_what_is_no_message_is_passed_over(webhook: TelegramWebhook, body: bytes) -> None:
    assert webhook.read(body).messages == ()


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"{}", b'{"update_id": "soon"}'])
def test_what_is_no_update_is_refused(webhook: TelegramWebhook, body: bytes) -> None:
    with pytest.raises(InvalidInput):
        webhook.read(body)
