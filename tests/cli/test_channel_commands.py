"""`tertulia channels …` and what `tertulia doctor` says of messengers, against the simulated platforms."""

from collections.abc import AsyncIterator

import pytest

from tertulia.embedded.messengers import TelegramSimulator, WhatsAppSimulator
from tertulia.embedded.messengers import whatsapp as whatsapp_platform
from tests.cli.conftest import Cli

URL = "https://chat.example.org"


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramSimulator]:
    async with TelegramSimulator() as platform:
        yield platform


@pytest.fixture
async def whatsapp() -> AsyncIterator[WhatsAppSimulator]:
    async with WhatsAppSimulator() as platform:
        yield platform


def of_telegram(telegram: TelegramSimulator) -> dict[str, str]:
    return {
        "TELEGRAM_BOT_TOKEN": telegram.bot_token,
        "TELEGRAM_WEBHOOK_SECRET": telegram.webhook_secret,
        "TELEGRAM_API_URL": telegram.url,
    }


def of_whatsapp(whatsapp: WhatsAppSimulator) -> dict[str, str]:
    return {
        "WHATSAPP_PHONE_NUMBER_ID": whatsapp_platform.PHONE_NUMBER_ID,
        "WHATSAPP_ACCESS_TOKEN": whatsapp.access_token,
        "WHATSAPP_APP_SECRET": whatsapp.app_secret,
        "WHATSAPP_VERIFY_TOKEN": whatsapp.verify_token,
        "WHATSAPP_API_URL": whatsapp.url,
    }


async def test_telegram_is_told_where_to_deliver_and_by_which_secret_it_is_known(
    tertulia: Cli, telegram: TelegramSimulator
) -> None:
    outcome = await tertulia("channels", "register", "telegram", f"{URL}/", **of_telegram(telegram))

    assert (outcome.code, outcome.err) == (0, "")
    assert telegram.registered == {
        "url": f"{URL}/v1/webhooks/telegram/{telegram.webhook_secret}",
        "secret_token": telegram.webhook_secret,
        "allowed_updates": ["message", "callback_query"],
    }
    assert telegram.webhook_secret not in outcome.out


async def test_what_telegram_refuses_is_said_without_a_secret(tertulia: Cli, telegram: TelegramSimulator) -> None:
    settings = of_telegram(telegram) | {"TELEGRAM_BOT_TOKEN": "1:wrong"}

    outcome = await tertulia("channels", "register", "telegram", URL, **settings)

    assert outcome.code == 1
    assert "404: Not Found" in outcome.err
    assert not [secret for secret in ("1:wrong", telegram.webhook_secret) if secret in outcome.out + outcome.err]
    assert telegram.registered is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("telegram", "http://chat.example.org"), "URL: must begin with https://"),
        (("telegram", URL), "TELEGRAM_BOT_TOKEN: needed here"),
        (("whatsapp", URL), "Meta's dashboard"),
    ],
)
async def test_what_cannot_be_registered_is_refused_with_the_reason(
    tertulia: Cli, arguments: tuple[str, str], told: str
) -> None:
    outcome = await tertulia("channels", "register", *arguments)

    assert outcome.code == 2
    assert told in outcome.err


async def test_the_doctor_says_whether_channels_that_are_set_up_work(
    tertulia: Cli, telegram: TelegramSimulator, whatsapp: WhatsAppSimulator
) -> None:
    settings = of_telegram(telegram) | of_whatsapp(whatsapp)
    before = await tertulia("doctor", **settings)
    await tertulia("channels", "register", "telegram", URL, **settings)
    after = await tertulia("doctor", **settings)
    without = await tertulia("doctor", **settings | {"WHATSAPP_ACCESS_TOKEN": "expired"})

    assert "✗ telegram             its webhook leads elsewhere or nowhere" in before.out
    assert "tertulia channels register telegram" in before.out
    assert "✓ telegram             @simulated_bot" in after.out
    assert "✓ whatsapp             +1 555 0100" in after.out
    assert "✗ whatsapp             190" in without.out
    assert not [secret for secret in settings.values() if secret in before.out + after.out and len(secret) > 20]


async def test_the_doctor_is_silent_about_channels_that_are_not_set_up(tertulia: Cli) -> None:
    outcome = await tertulia("doctor")

    assert "telegram" not in outcome.out
    assert "whatsapp" not in outcome.out
