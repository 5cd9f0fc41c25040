"""Everything between a simulated messenger and the sessions of its people, inside the test's process."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import SecretStr
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from starter.channel_intake import DurableIntake
from starter.couriers import TemporalCouriers
from starter.http_server import listen, serve_app
from tertulia.api.app import create_app
from tertulia.api.doorkeeper import Doorkeeper
from tertulia.api.ports import ApiPorts, ChannelPorts
from tertulia.api.session_tokens import SessionTokens
from tertulia.composition import purposes, webhooks
from tertulia.domain.conversation import Message
from tertulia.domain.errors import TertuliaError
from tertulia.domain.ids import SessionId
from tertulia.embedded.messengers import TelegramSimulator, WhatsAppSimulator
from tertulia.embedded.messengers import whatsapp as whatsapp_platform
from tertulia.embedded.simulator import ProviderSimulator
from tertulia.storage.analytics import PostgresAnalytics
from tertulia.storage.api_keys import PostgresApiKeys
from tertulia.storage.channel_inbox import PostgresChannelInbox
from tertulia.storage.definition_files import DefinitionFiles
from tertulia.storage.outbox import PostgresOutbox
from tertulia.storage.session_events import PostgresSessionEvents
from tertulia.storage.sessions import PostgresSessionRecords
from tertulia.storage.tallies import PostgresTallies
from tests.engine import DEFINITIONS, Engine, running_engine, simulated

_ON_THE_WAY = """
SELECT FROM channel_messages WHERE settled_at IS NULL
UNION ALL
SELECT FROM turns WHERE status = 'running'
UNION ALL
SELECT FROM messages JOIN channel_sessions USING (session_id)
WHERE role <> 'user' AND NOT EXISTS (SELECT FROM deliveries WHERE (deliveries.session_id, deliveries.seq)
                                                                = (messages.session_id, messages.seq))
UNION ALL
SELECT FROM deliveries WHERE status IN ('waiting', 'sending')
"""


@dataclass
class World:
    """What a test sees of it."""

    engine: Engine
    telegram: TelegramSimulator
    whatsapp: WhatsAppSimulator
    provider: ProviderSimulator
    http: httpx.AsyncClient

    async def sessions(self) -> Sequence[SessionId]:
        """Return the sessions that there are, oldest first."""
        rows = await self.engine.rows("SELECT session_id FROM sessions ORDER BY created_at, session_id")
        return [row["session_id"] for row in rows]

    async def transcript(self, session_id: SessionId) -> Sequence[Message]:
        return await self.engine.transcripts.messages(session_id, limit=1000)

    async def said(self, session_id: SessionId) -> list[str]:
        """Return what the person has said, in the order of the turns."""
        return [message.text for message in await self.transcript(session_id) if message.role == "user"]

    async def shown(self, session_id: SessionId) -> list[str]:
        return [message.text for message in await self.transcript(session_id) if message.role != "user"]

    async def deliveries(self, session_id: SessionId) -> list[dict[str, object]]:
        """Read what became of the session's messages, as clients do."""
        answer = await self.http.get(f"/v1/sessions/{session_id}/deliveries")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, object]] = answer.json()["deliveries"]
        return found

    async def answered(self, turns: int) -> SessionId:
        """Wait until the one session that there is has come to the end of a turn."""
        while True:
            for row in await self.engine.rows("SELECT session_id FROM sessions WHERE turn >= $1", turns):
                return SessionId(row["session_id"])
            await asyncio.sleep(0.02)

    async def intake_tried(self, times: int) -> None:
        """Wait until handing over a message has been tried so often."""
        while True:
            for row in await self.engine.rows("SELECT chat_id FROM channel_messages WHERE settled_at IS NULL"):
                described = await self.engine.client.get_workflow_handle(f"intake/{row['chat_id']}").describe()
                if any(pending.attempt >= times for pending in described.raw_description.pending_activities):
                    return
            await asyncio.sleep(0.02)

    async def handed_over(self) -> None:
        """Wait until sessions have all that was taken in."""
        while await self.engine.rows("SELECT FROM channel_messages WHERE settled_at IS NULL"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    async def carried(self) -> None:
        """Wait until all that was taken in is handed over, and all that may go has gone."""
        while await self._is_busy():  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    async def _is_busy(self) -> bool:
        """Look at every place where something may be on its way, from the first one to the last."""
        if await self.engine.rows(_ON_THE_WAY):
            return True
        rows = await self.engine.rows("SELECT session_id, chat_id FROM channel_sessions")
        carriers = [f"intake/{row['chat_id']}" for row in rows] + [f"delivery/{row['session_id']}" for row in rows]
        return (
            any([await self._is_talking(row["session_id"]) for row in rows])
            or any([await self._is_running(carrier) for carrier in carriers])
            or bool(await self.engine.rows(_ON_THE_WAY))
        )

    async def _is_talking(self, session_id: SessionId) -> bool:
        with suppress(TertuliaError):
            view = await self.engine.sessions.view(session_id)
            return view.waiting > 0 or view.running is not None
        return False

    async def _is_running(self, workflow_id: str) -> bool:
        with suppress(RPCError):
            described = await self.engine.client.get_workflow_handle(workflow_id).describe()
            return described.status is WorkflowExecutionStatus.RUNNING
        return False


@asynccontextmanager
async def channel_world(
    client: Client,
    database: str,
    task_queue: str,
    telegram: TelegramSimulator,
    whatsapp: WhatsAppSimulator,
    settings: Mapping[str, object],
    definitions: Path = DEFINITIONS,
) -> AsyncIterator[World]:
    """Run a worker and an API, and let the platforms know where the webhooks are."""
    given = platform_settings(telegram, whatsapp) | dict(settings)
    async with AsyncExitStack() as running:
        provider = await running.enter_async_context(ProviderSimulator())
        engine = await running.enter_async_context(
            running_engine(client, database, task_queue, [simulated(provider, "only")], definitions, **given)
        )
        url = await running.enter_async_context(_served(engine, database))
        http = await running.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))
        telegram.webhook.url = f"{url}/v1/webhooks/telegram/{telegram.webhook_secret}"
        whatsapp.webhook.url = f"{url}/v1/webhooks/whatsapp"
        yield World(engine, telegram, whatsapp, provider, http)


def platform_settings(telegram: TelegramSimulator, whatsapp: WhatsAppSimulator) -> dict[str, object]:
    return {
        "telegram_bot_token": SecretStr(telegram.bot_token),
        "telegram_webhook_secret": SecretStr(telegram.webhook_secret),
        "telegram_api_url": telegram.url,
        "whatsapp_phone_number_id": whatsapp_platform.PHONE_NUMBER_ID,
        "whatsapp_access_token": SecretStr(whatsapp.access_token),
        "whatsapp_app_secret": SecretStr(whatsapp.app_secret),
        "whatsapp_verify_token": SecretStr(whatsapp.verify_token),
        "whatsapp_api_url": whatsapp.url,
        "channel_settle_seconds": 0,
    }


@asynccontextmanager
async def _served(engine: Engine, database: str) -> AsyncIterator[str]:
    outbox = PostgresOutbox(engine.pool)
    async with PostgresSessionEvents(engine.pool, database) as events:
        ports = ApiPorts(
            sessions=engine.sessions,
            records=PostgresSessionRecords(engine.pool),
            transcripts=engine.transcripts,
            events=events,
            definitions=DefinitionFiles(engine.settings.definitions_dir),
            providers=engine.providers,
            completions=engine.providers,
            recruiting=None,  # type: ignore[arg-type]  # nothing of it is called here
            parts={},
            doorkeeper=Doorkeeper(PostgresApiKeys(engine.pool), SessionTokens(None), required=False),
            analytics=PostgresAnalytics(engine.pool),
            tallies=PostgresTallies(engine.pool),
            channels=ChannelPorts(
                webhooks=webhooks(engine.settings),
                intake=DurableIntake(
                    PostgresChannelInbox(engine.pool),
                    outbox,
                    TemporalCouriers(engine.client, task_queue=engine.task_queue),
                    purposes(engine.settings),
                ),
                deliveries=outbox,
            ),
        )
        listener, ready = listen("127.0.0.1", 0), asyncio.Event()
        server = asyncio.create_task(serve_app(create_app(ports), listener, ready=ready))
        await ready.wait()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)
