"""Programs as a newcomer runs them from a shell."""

import asyncio
from collections.abc import Mapping

from tertulia.embedded.temporal import temporal_binary
from tests.e2e.cluster import ROOT, Cluster


async def run(*command: str, environment: Mapping[str, str] | None = None) -> str:
    """Run a program to its end, and return what it printed; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    printed, complaint = await process.communicate()
    assert process.returncode == 0, f"{printed.decode()}\n{complaint.decode()}"
    return printed.decode()


async def temporal(cluster: Cluster, *arguments: str) -> str:
    """Run Temporal's own command line against the cluster."""
    return await run(str(temporal_binary()), *arguments, "--address", cluster.temporal.address)


async def curl(url: str, *options: str) -> str:
    """Ask as the README does."""
    return await run("curl", "-sS", url, *options)
