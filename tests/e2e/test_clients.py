"""Every example of docs/clients.md and docs/api.md, run as it stands there, against the running engine."""

import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tertulia.embedded.simulator import ProviderSimulator
from tertulia.embedded.temporal import temporal_binary
from tests.e2e.cluster import ROOT, Cluster
from tests.e2e.commands import run

# Browsers have it; Node 20 does not.
_EVENT_SOURCE = """\
globalThis.EventSource ??= class {
  constructor(url) { this.listeners = {}; this.read(url); }
  addEventListener(name, listener) { (this.listeners[name] ??= []).push(listener); }
  close() { this.closed = true; }
  async read(url) {
    let last;
    while (!this.closed) {
      const response = await fetch(url, { headers: last ? { "Last-Event-ID": last } : {} });
      if (response.status === 204) return;
      for await (const { id, name, data } of events(response)) {
        last = id;
        for (const listener of this.listeners[name] ?? []) listener({ data: JSON.stringify(data) });
      }
    }
  }
};
"""

# What docs/clients.md says of the end of such a program.
_WAY_OUT = """
import os, sys
sys.stdout.flush()
os._exit(0)
"""


@pytest.fixture(scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with ProviderSimulator() as simulator:
        environment = {"PRIMARY_PROVIDER": "first", "FIRST_BASE_URL": simulator.url, "FIRST_MODEL": "first"}
        async with Cluster(tmp_path_factory.mktemp("clients"), environment) as running:
            yield running


def example(cluster: Cluster, heading: str, page: str = "clients") -> str:
    """The first block under a heading, at the cluster's addresses."""
    text = (ROOT / f"docs/{page}.md").read_text()
    found = re.search(rf"^##+ {re.escape(heading)}\n.*?^```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found, heading
    here = cluster.url.removeprefix("http://")
    return found[1].replace("localhost:8080", here).replace("localhost:7233", cluster.temporal.address)


async def sh(cluster: Cluster, script: str) -> str:
    path = f"{temporal_binary().parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TEMPORAL_ADDRESS": cluster.temporal.address}
    return await run("sh", "-ec", script, environment=environment)


async def python(tmp_path: Path, program: str) -> str:
    file = tmp_path / "example.py"
    file.write_text(program + _WAY_OUT)
    return await run(sys.executable, str(file), environment={**os.environ, "PYTHONPATH": str(ROOT)})


async def test_curl(cluster: Cluster) -> None:
    printed = await sh(cluster, example(cluster, "curl"))

    assert '"reply":"You said: Hello"' in printed.replace('": ', '":')
    assert printed.count("event: turn.completed") == 5  # of the stream of m2; the greeting, m1, m2 and the close
    assert "event: session.closed" in printed


async def test_python_over_temporal(cluster: Cluster, tmp_path: Path) -> None:
    printed = await python(tmp_path, example(cluster, "Python, over Temporal"))

    assert printed.startswith("1 answered You said: Hello\n")
    assert "You said: Are you still there?" in printed
    assert printed.rstrip().endswith("the session is closed; start another one")


async def test_python_over_http(cluster: Cluster, tmp_path: Path) -> None:
    printed = (await python(tmp_path, example(cluster, "Python, over HTTP"))).splitlines()

    assert "202 /v1/sessions/from-http/messages/m1" in printed
    assert "answered" in printed
    assert [line for line in printed if re.match(r"\d user|\d assistant", line)][-2:] == [
        "2 user Hello",
        "3 assistant You said: Hello",
    ]


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")
async def test_javascript(cluster: Cluster, tmp_path: Path) -> None:
    script = example(cluster, "JavaScript")
    file = tmp_path / "example.mjs"
    # What is hoisted (`events`) can be used ahead of the example itself.
    file.write_text(_EVENT_SOURCE + script)

    printed = (await run("node", str(file))).splitlines()

    assert "reply: You said: Hello true" in printed
    assert [line for line in printed if line.startswith("transcript:")][-2:] == [
        "transcript: Hello",
        "transcript: You said: Hello",
    ]


async def test_temporals_command_line(cluster: Cluster) -> None:
    printed = await sh(cluster, example(cluster, "Temporal's command line"))

    assert "You said: Are you still there?" in printed
    assert '"status": "closed"' not in printed


async def test_openais_protocol(cluster: Cluster, tmp_path: Path) -> None:
    printed = await python(
        tmp_path, example(cluster, "OpenAI's protocol", "api") + "\nprint(answer.choices[0].message.content)\n"
    )

    assert printed == "You said: Hello\n"
