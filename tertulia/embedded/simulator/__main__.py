"""`python -m tertulia.embedded.simulator --port N` serves until it is interrupted."""

import asyncio
import signal

import typer

from tertulia.embedded.simulator.server import ProviderSimulator


def main(port: int = 0) -> None:
    """Play a provider on this machine."""
    asyncio.run(_serve(port))


async def _serve(port: int) -> None:
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    async with ProviderSimulator(port=port) as simulator:
        typer.echo(f"serving at {simulator.url}")
        await stop.wait()


if __name__ == "__main__":
    typer.run(main)
