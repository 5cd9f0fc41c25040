"""A worker killed between a platform's taking a message and our writing that down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tertulia.embedded.messengers import StaySilent, TelegramSimulator, WhatsAppSimulator
from tertulia.embedded.messengers.whatsapp import PHONE_NUMBER_ID
from tests.e2e.cluster import Cluster

ANA = 7001
PHONE = "34600000001"


@asynccontextmanager
async def _cluster(directory: Path, telegram: TelegramSimulator, whatsapp: WhatsAppSimulator) -> AsyncIterator[Cluster]:
    environment = {
        "TELEGRAM_BOT_TOKEN": telegram.bot_token,
        "TELEGRAM_WEBHOOK_SECRET": telegram.webhook_secret,
        "TELEGRAM_API_URL": telegram.url,
        "TELEGRAM_DEFINITION": "assistant",
        "WHATSAPP_PHONE_NUMBER_ID": PHONE_NUMBER_ID,
        "WHATSAPP_ACCESS_TOKEN": whatsapp.access_token,
        "WHATSAPP_APP_SECRET": whatsapp.app_secret,
        "WHATSAPP_VERIFY_TOKEN": whatsapp.verify_token,
        "WHATSAPP_API_URL": whatsapp.url,
        "WHATSAPP_DEFINITION": "assistant",
        "CHANNEL_SETTLE_SECONDS": "0",
    }
    async with Cluster(directory, environment) as cluster:
        telegram.webhook.url = f"{cluster.url}/v1/webhooks/telegram/{telegram.webhook_secret}"
        whatsapp.webhook.url = f"{cluster.url}/v1/webhooks/whatsapp"
        yield cluster


# Twice the time limit of an attempt, for a machine that has much else to do.
@pytest.mark.timeout(400)
async def test_a_worker_killed_while_it_sends_loses_no_message_and_doubles_none_that_can_be_recognised(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o755)
    async with (
        TelegramSimulator() as telegram,
        WhatsAppSimulator() as whatsapp,
        _cluster(tmp_path, telegram, whatsapp) as cluster,
    ):
        # Both take the first message and never say so.
        telegram.sending.react(StaySilent())
        whatsapp.sending.react(StaySilent())
        await telegram.deliver(telegram.text(ANA, "Hello"))
        await whatsapp.deliver(whatsapp.text(PHONE, "Hello"))
        await telegram.sending.until(lambda: bool(telegram.sending.sent))
        await whatsapp.sending.until(lambda: bool(whatsapp.sending.sent))

        await cluster.kill_worker()
        await cluster.start_worker()
        await telegram.sending.until(lambda: len(telegram.sending.sent) >= 3)
        await whatsapp.sending.until(lambda: len(whatsapp.sending.sent) >= 2)
        await until_written_down(cluster)

        # Telegram has no way to tell, so the person sees the greeting twice, and that is on record.
        assert len({sent.text for sent in telegram.sending.sent[:2]}) == 1
        assert len(telegram.sending.sent) == 3
        # WhatsApp's receipt has told.
        assert len({sent.text for sent in whatsapp.sending.sent}) == len(whatsapp.sending.sent) == 2
        rows = await cluster.rows(
            "SELECT session_id, seq, attempts, uncertain FROM deliveries ORDER BY session_id, seq"
        )
        told = [(row["session_id"].partition("-")[0], row["attempts"], row["uncertain"]) for row in rows]
        assert told == [("telegram", 2, 1), ("telegram", 1, 0), ("whatsapp", 1, 0), ("whatsapp", 1, 0)]


async def until_written_down(cluster: Cluster) -> None:
    """Wait until nothing is on its way."""
    while await cluster.rows("SELECT FROM deliveries WHERE status IN ('waiting', 'sending')"):  # noqa: ASYNC110
        await asyncio.sleep(0.1)
