import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from typer import Context
from typer.core import TyperGroup
from typer.main import get_command

from starter.cli import app
from tertulia.api.provider_inputs import ChangeProvider
from tertulia.domain.errors import FailureClass
from tertulia.domain.ids import ProviderName
from tertulia.domain.providers.health import ProbeResult
from tertulia.domain.providers.state import Breaker, Gate, GateKind, Known, Probe, ProviderState, Sample
from tertulia.embedded.tcp import free_port
from tests.api.conftest import World
from tests.api.providers import GROQ, KEY
from tests.cli.conftest import Cli, terminal
from tests.fakes import NOON

OURS = ProviderName("ours")
ADDRESS = "http://127.0.0.1:8000/v1"
OTHER_KEY = "sk-canary-9876543210-AbCdEf"
EVERY_OPTION = {
    "--kind": ("openrouter", "openrouter"),
    "--base-url": (ADDRESS, ADDRESS),
    "--model": ("auto", "auto"),
    "--timeout-s": ("12.5", 12.5),
    "--max-retries": ("0", 0),
    "--disabled": (None, False),
    "--priority": ("7", 7),
    "--weight": ("2.5", 2.5),
    "--cost-per-token": ("0.000001", "0.000001"),
    "--input-price": ("0.15", "0.15"),
    "--output-price": ("0.60", "0.60"),
    "--cached-input-price": ("0.015", "0.015"),
    "--max-concurrent": ("4", 4),
    "--context-window": ("8192", 8192),
    "--feature": ("tools", ["tools"]),
    "--daily-budget-usd": ("5.50", "5.50"),
}


def options() -> list[str]:
    return [part for option, (value, _) in EVERY_OPTION.items() for part in (option, value) if part is not None]


def assert_as_given(shown: dict[str, Any]) -> None:
    fields = {option[2:].replace("-", "_"): value for option, (_, value) in EVERY_OPTION.items()}
    fields["enabled"], fields["features"] = fields.pop("disabled"), fields.pop("feature")
    assert {field: shown[field] for field in fields} == fields


def out_of_order() -> Known:
    """Of a provider whose breaker is open, and that has refused a probe and a rate."""
    past, soon = NOON - timedelta(seconds=2), NOON + timedelta(seconds=8)
    state = ProviderState(
        breaker=Breaker(opened_at=past, open_until=soon, openings=1, reason=FailureClass.SERVER),
        gates={GateKind.QUOTA: Gate(until=soon)},
        probe=Probe(at=past, reachable=False, latency_ms=12.5, detail="refused [red]", failed_in_a_row=2),
        limit=4,
    )
    sample = Sample("a-1", GROQ, past, past, failure=None, ttft_ms=80.5, latency_ms=410.0)
    return Known(state=state, samples=(sample,), in_flight=3)


def test_both_commands_take_every_field() -> None:
    program = get_command(app)
    assert isinstance(program, TyperGroup)
    group = program.get_command(Context(program), "providers")
    assert isinstance(group, TyperGroup)
    fields = ChangeProvider.model_fields.keys() - {"api_key"}

    for command in ("add", "update"):
        assert fields <= {parameter.name for parameter in group.commands[command].params}


async def test_the_providers_are_listed_each_on_a_line(tertulia: Cli) -> None:
    outcome = await tertulia("providers", "list")

    assert outcome.code == 0
    head, groq, gemini = outcome.out.splitlines()
    assert head.split()[:5] == ["provider", "kind", "model", "priority", "weight"]
    assert groq.split()[:8] == ["groq", "groq", "llama", "1", "1", "30", "s", "3"]
    assert gemini.split()[-2:] == ["no", "key"]


async def test_the_providers_are_listed_for_machines(tertulia: Cli) -> None:
    lines = (await tertulia("providers", "list", "--json")).out.splitlines()

    assert [json.loads(line)["name"] for line in lines] == ["groq", "gemini"]


async def test_a_provider_is_shown_with_how_it_is(tertulia: Cli, world: World) -> None:
    world.providers.known[GROQ] = out_of_order()

    outcome = await tertulia("providers", "show", "groq")

    facts = dict(line.strip().split("  ", 1) for line in outcome.out.splitlines()[1:])
    told = {fact: value.strip() for fact, value in facts.items()}
    assert told["model"] == "llama"
    assert told["features"] == "json_schema, tools"
    assert told["daily budget usd"] == "-"
    assert told["breaker"] == "open, until 2026-03-14 12:00:08 (server)"
    assert told["gates"] == "open"
    assert told["in flight"] == "3 of 4"
    assert told["last probe"] == "failed (refused [red])"
    assert told["status"].startswith("unhealthy, score")


async def test_a_provider_is_shown_to_machines(tertulia: Cli) -> None:
    config, status = (await tertulia("providers", "show", "groq", "--json")).out.splitlines()

    assert (json.loads(config)["name"], json.loads(status)["provider"]) == ("groq", "groq")


class TestChanges:
    async def test_a_provider_is_added_with_a_key_from_a_pipe(self, tertulia: Cli, world: World) -> None:
        outcome = await tertulia(
            "providers", "add", "ours", *options(), "--key-stdin", "--json", said=f"{OTHER_KEY}\nmore\n"
        )

        assert outcome.code == 0, outcome.err
        assert_as_given(json.loads(outcome.out))
        assert world.providers.key(OURS) == OTHER_KEY
        assert "canary" not in outcome.out + outcome.err

    async def test_a_key_is_taken_from_the_variable_that_is_named(self, tertulia: Cli, world: World) -> None:
        outcome = await tertulia("providers", "add", "ours", "--kind", "groq", "--key-env", "MY_KEY", MY_KEY=OTHER_KEY)

        assert (outcome.code, outcome.out) == (
            0,
            "added: ours (groq, openai/gpt-oss-120b, https://api.groq.com/openai/v1)\n",
        )
        assert world.providers.key(OURS) == OTHER_KEY

    async def test_on_a_terminal_the_key_is_asked_for_and_not_shown(self, tertulia: Cli, world: World) -> None:
        async with terminal(tertulia, "providers", "add", "ours", "--base-url", ADDRESS) as person:
            assert person.process.stderr is not None
            # The blank comes when the terminal has stopped to show what is typed.
            await person.process.stderr.readuntil(b"Key (empty: none): ")
            person.types(f"{OTHER_KEY}\n")
            shown = await person.shows("added: ours")

        assert "canary" not in shown
        assert world.providers.key(OURS) == OTHER_KEY

    async def test_a_terminal_can_be_asked_for_a_new_key(self, tertulia: Cli, world: World) -> None:
        async with terminal(tertulia, "providers", "update", "groq", "--ask-key") as person:
            assert person.process.stderr is not None
            await person.process.stderr.readuntil(b"Key (empty: none): ")
            person.types(f"{OTHER_KEY}\n")
            await person.shows("changed: groq")

        assert world.providers.key(GROQ) == OTHER_KEY

    async def test_who_needs_no_key_is_not_asked_for_one(self, tertulia: Cli, world: World) -> None:
        async with terminal(tertulia, "providers", "add", "ours", "--kind", "ollama") as person:
            await person.shows("added: ours")

        assert world.providers.key(OURS) is None

    async def test_without_a_terminal_nobody_is_asked(self, tertulia: Cli, world: World) -> None:
        outcome = await tertulia("providers", "add", "ours", "--base-url", ADDRESS, "--model", "m", said=OTHER_KEY)

        assert (outcome.code, world.providers.key(OURS)) == (0, None)

    @pytest.mark.parametrize("option", ["--key", "--api-key"])
    async def test_no_option_takes_a_key(self, tertulia: Cli, option: str) -> None:
        for given in ((option, OTHER_KEY), (f"{option}={OTHER_KEY}",)):
            outcome = await tertulia("providers", "add", "ours", "--base-url", ADDRESS, *given)

            assert outcome.code == 2
            assert "No such option" in outcome.err
            assert "canary" not in outcome.out + outcome.err

    @pytest.mark.parametrize(
        ("arguments", "said", "environment"),
        [
            (["--key-env", OTHER_KEY], "", {}),
            (["--key-env", "MY_KEY"], "", {"MY_KEY": ""}),
            (["--key-env", "MY_KEY"], "", {"MY_KEY": "canary\u00e7"}),
            (["--key-env", "MY_KEY"], "", {"MY_KEY": "can ary\u0007"}),
            (["--key-stdin"], "", {}),
            (["--key-stdin"], "\ncanary\n", {}),
            (["--key-stdin"], "canary\u00e7\n", {}),
            (["--key-stdin", "--key-env", "MY_KEY"], OTHER_KEY, {"MY_KEY": OTHER_KEY}),
        ],
    )
    async def test_a_key_that_can_not_be_one_is_not_sent(
        self, tertulia: Cli, world: World, arguments: list[str], said: str, environment: dict[str, str]
    ) -> None:
        outcome = await tertulia("providers", "update", "groq", *arguments, said=said, **environment)

        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith("tertulia: ")
        assert "canary" not in outcome.err
        assert world.providers.key(GROQ) == KEY

    async def test_every_field_can_be_changed(self, tertulia: Cli, world: World) -> None:
        outcome = await tertulia("providers", "update", "groq", *options(), "--key-stdin", "--json", said=OTHER_KEY)

        assert_as_given(json.loads(outcome.out))
        assert world.providers.key(GROQ) == OTHER_KEY

    async def test_what_is_not_named_stays(self, tertulia: Cli, world: World, api: httpx.AsyncClient) -> None:
        before = (await api.get("/v1/providers")).json()["providers"][0]

        outcome = await tertulia("providers", "update", "groq", "--weight", "3", "--json")

        assert json.loads(outcome.out) == {**before, "weight": 3.0, "origin": "runtime"}
        assert world.providers.key(GROQ) == KEY

    async def test_a_field_is_put_back_to_its_default(self, tertulia: Cli) -> None:
        await tertulia("providers", "update", "groq", "--weight", "3", "--max-retries", "0")

        outcome = await tertulia("providers", "update", "groq", "--unset", "weight", "--unset", "max-retries", "--json")

        shown = json.loads(outcome.out)
        assert (shown["weight"], shown["max_retries"]) == (1.0, 3)

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [([], "say what to change"), (["--unset", "name"], "there is no field name; there are kind, base_url")],
    )
    async def test_a_change_that_says_nothing_is_misuse(self, tertulia: Cli, arguments: list[str], told: str) -> None:
        outcome = await tertulia("providers", "update", "groq", *arguments)

        assert (outcome.code, outcome.out) == (2, "")
        assert told in outcome.err

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["add", "groq", "--base-url", ADDRESS], "a provider 'groq' exists already"),
            (["add", "ours", "--kind", "groq"], "body.api_key: is needed"),
            (["add", "Ours", "--base-url", ADDRESS], "body.name"),
            (["add", "ours", "--base-url", "canary"], "body.base_url: must begin with http"),
            (["update", "groq", "--input-price", "-1"], "body.input_price: Input should be greater than or equal to 0"),
            (["update", "groq", "--input-price", "canary"], "body.input_price: Input should be a valid decimal"),
            (["update", "groq", "--max-concurrent", "0"], "body.max_concurrent"),
            (["update", "groq", "--timeout-s", "nan"], "body.timeout_s"),
            (["update", "groq", "--base-url", "https://elsewhere.example"], "give its api_key as well"),
            (["update", "nobody", "--weight", "2"], "there is no such provider"),
            (["update", "../sessions", "--weight", "2"], "a provider's name: begins with a-z"),
            (["remove", "groq/maintenance"], "a provider's name: begins with a-z"),
            (["remove", "nobody"], "there is no such provider"),
            (["remove", "groq"], "the last provider that can be asked"),
            (["show", "nobody"], "there is no provider 'nobody'"),
            (["history", "nobody"], "there is no such provider"),
            (["maintenance", "nobody"], "there is no such provider"),
            (["maintenance", "groq", "--note", ""], "body.note"),
            (["check", "nobody"], "there is no such provider"),
            (["metrics", "--window", "1y"], "query.window: must be a span"),
            (["metrics", "--window", "1h", "--since", "1d"], "query.window: give either this or since"),
            (["decision", "--max-tokens", "0"], "query.max_tokens"),
        ],
    )
    async def test_a_refusal_is_told_and_fails(
        self, tertulia: Cli, api: httpx.AsyncClient, arguments: list[str], told: str
    ) -> None:
        before = (await api.get("/v1/providers")).json()

        outcome = await tertulia("providers", *arguments)

        assert outcome.code != 0
        assert outcome.out == ""
        assert told in outcome.err
        assert "canary" not in outcome.err
        assert "Traceback" not in outcome.err
        assert (await api.get("/v1/providers")).json() == before

    async def test_a_provider_is_removed(self, tertulia: Cli, api: httpx.AsyncClient) -> None:
        await tertulia("providers", "add", "ours", "--kind", "ollama")

        outcome = await tertulia("providers", "remove", "groq")

        assert (outcome.code, outcome.out) == (0, "")
        listed = (await api.get("/v1/providers")).json()["providers"]
        assert [each["name"] for each in listed] == ["ours", "gemini"]


class TestWatching:
    async def test_the_status_of_each_is_on_a_line(self, tertulia: Cli, world: World) -> None:
        world.providers.known[GROQ] = out_of_order()

        outcome = await tertulia("providers", "status")

        assert (outcome.code, outcome.err) == (0, "")
        _, groq, gemini = outcome.out.splitlines()
        assert groq.split()[:2] == ["groq", "unhealthy"]
        for part in (
            "open, until 2026-03-14 12:00:08 (server)",
            "3/4",
            "80 / 80",
            "410 / 410",
            "failed (refused [red])",
        ):
            assert part in groq
        assert gemini.split()[-2:] == ["no", "key"]

    async def test_a_status_that_may_be_old_is_called_so(self, tertulia: Cli, world: World) -> None:
        world.providers.stale = True

        outcome = await tertulia("providers", "status", "--json")

        assert outcome.err == "Storage can't be reached: this is as it was at 2026-03-14 12:00:00 UTC.\n"
        assert [json.loads(line)["provider"] for line in outcome.out.splitlines()] == ["groq", "gemini"]

    async def test_the_metrics_of_each_are_on_a_line(self, tertulia: Cli) -> None:
        outcome = await tertulia("providers", "metrics", "--window", "1d")

        window, _, gemini, groq = outcome.out.splitlines()
        assert window == "2026-03-13 12:00:00 to 2026-03-14 12:00:00 UTC"
        assert gemini.split()[:5] == ["gemini", "0", "0", "-", "-"]
        for part in ("6 (75.0%)", "2 timeout", "80 / 120", "410 / 2210", "2100 → 180", "$0.0031", "$0.0004"):
            assert part in groq

    async def test_the_metrics_of_a_time_are_written_for_machines(self, tertulia: Cli, world: World) -> None:
        outcome = await tertulia(
            "providers", "metrics", "--since", "2026-03-14T00:00:00+01:00", "--until", "1h", "--json"
        )

        assert [json.loads(line)["attempts"] for line in outcome.out.splitlines()] == [0, 8]
        assert world.providers.windows == [(NOON - timedelta(hours=13), NOON - timedelta(hours=1))]

    async def test_all_that_can_be_asked_are_checked(self, tertulia: Cli) -> None:
        outcome = await tertulia("providers", "check")

        assert (outcome.code, outcome.out) == (0, "✓ groq: answers in 42 ms\n")

    async def test_a_check_that_finds_something_wrong_fails(self, tertulia: Cli, world: World) -> None:
        world.providers.probe = ProbeResult(reachable=False, latency_ms=1, detail="not a key of ours")

        told = await tertulia("providers", "check", "groq", "gemini")
        for_machines = await tertulia("providers", "check", "groq", "--json")

        assert (told.code, told.out) == (1, "✗ groq: not a key of ours\n✗ gemini: not a key of ours\n")
        assert (for_machines.code, json.loads(for_machines.out)["reachable"]) == (1, False)

    async def test_maintenance_begins_and_ends_and_is_remembered(self, tertulia: Cli, api: httpx.AsyncClient) -> None:
        began = await tertulia("providers", "maintenance", "groq", "--note", "new key")
        status = (await api.get("/v1/providers/status")).json()["providers"][0]
        ended = await tertulia("providers", "maintenance", "groq", "--end")
        told = await tertulia("providers", "history", "groq")
        for_machines = await tertulia("providers", "history", "groq", "--limit", "1", "--json")

        assert (began.code, ended.code, status["status"]) == (0, 0, "maintenance")
        assert told.out.splitlines() == [
            "[2026-03-14 12:00:00] back in service: in service",
            "[2026-03-14 12:00:00] maintenance: out of service: new key",
        ]
        assert json.loads(for_machines.out)["reason"] == "back in service"

    async def test_a_decision_is_told_with_its_reasons(self, tertulia: Cli, world: World) -> None:
        world.providers.known[GROQ] = replace(out_of_order(), state=ProviderState(maintenance="new key"))

        told = await tertulia("providers", "decision", "--input-tokens", "100", "--need", "json_schema")
        for_machines = await tertulia("providers", "decision", "--json")

        first, *passed_over = told.out.splitlines()
        assert first == "round_robin: nobody"
        assert "passed over: gemini (no key)" in passed_over
        assert len(passed_over) == 2
        assert json.loads(for_machines.out)["order"] == []

    async def test_who_is_asked_is_told_in_order(self, tertulia: Cli) -> None:
        outcome = await tertulia("providers", "decision")

        assert outcome.out == "round_robin: groq\npassed over: gemini (no key)\n"


async def test_what_is_changed_at_runtime_outlives_the_process(
    tertulia: Cli, database: str, temporal_address: str
) -> None:
    port = str(free_port())
    there = {"TERTULIA_URL": f"http://127.0.0.1:{port}"}
    given = {
        "DATABASE_URL": database,
        "TEMPORAL_ADDRESS": temporal_address,
        "TERTULIA_ALLOW_PRIVATE_PROVIDERS": "true",
        "TERTULIA_SECRET_KEY": base64.b64encode(bytes(32)).decode(),
    }

    async with serving(tertulia, port, given):
        added = await tertulia(
            "providers", "add", "ours", "--base-url", ADDRESS, "--key-stdin", "--json", said=OTHER_KEY, **there
        )
        out = await tertulia("providers", "maintenance", "ours", "--note", "not yet", **there)
    async with serving(tertulia, port, given):
        shown = await tertulia("providers", "show", "ours", "--json", **there)
        decided = await tertulia("providers", "decision", "--json", **there)
        history = await tertulia("providers", "history", "ours", "--json", **there)
        removed = await tertulia("providers", "remove", "ours", **there)
        metrics = await tertulia("providers", "metrics", "--json", **there)

    assert (added.code, out.code, removed.code) == (0, 0, 0), added.err + out.err + removed.err
    config, status = map(json.loads, shown.out.splitlines())
    assert config == json.loads(added.out)
    assert (status["status"], status["maintenance"]) == ("maintenance", "not yet")
    assert json.loads(decided.out)["order"] == ["offline"]
    assert json.loads(history.out.splitlines()[0])["after"]["maintenance"] == "not yet"
    assert all(json.loads(line)["attempts"] == 0 for line in metrics.out.splitlines())
    assert "canary" not in "".join(each.out + each.err for each in (added, out, shown, decided, history, metrics))


@asynccontextmanager
async def serving(tertulia: Cli, port: str, environment: Mapping[str, str]) -> AsyncIterator[None]:
    """Serve the API in a process of its own until the block ends; then it stops in order, and has told no key."""
    process = await tertulia.start(
        "serve", "--port", port, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, **environment
    )
    patient = httpx.AsyncHTTPTransport(retries=10)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", transport=patient, timeout=20) as api:
            assert (await api.get("/readyz")).status_code == 200
        yield
    finally:
        process.terminate()
        _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert b"canary" not in errors
