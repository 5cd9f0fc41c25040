"""`tertulia channels …`: what a messenger's platform has to be told, with the settings of the worker and the API."""

import asyncio
from typing import Annotated
from urllib.parse import urlsplit

import httpx
import typer

from tertulia.channels.telegram import TelegramMessenger
from tertulia.composition import telegram_account
from tertulia.config import load_settings
from tertulia.domain.channels import ChannelName
from tertulia.domain.errors import InvalidInput

commands = typer.Typer(no_args_is_help=True, help="Tell a messenger's platform where this is.")


@commands.command()
def register(
    channel: Annotated[ChannelName, typer.Argument(help="Only Telegram is told so; Meta's dashboard has a form.")],
    url: Annotated[str, typer.Argument(help="Where the API can be reached, such as https://chat.example.org.")],
) -> None:
    """Have a platform deliver here what people write."""
    if channel is not ChannelName.TELEGRAM:
        raise InvalidInput("give the webhook's address in the app's settings in Meta's dashboard (docs/channels.md)")
    asyncio.run(_register_telegram(_checked(url)))
    typer.echo("Telegram delivers here from now on.")


async def _register_telegram(url: str) -> None:
    account = telegram_account(load_settings())
    if account is None:
        raise InvalidInput("needed here, and with it TELEGRAM_WEBHOOK_SECRET", field="TELEGRAM_BOT_TOKEN")
    async with httpx.AsyncClient() as http:
        await TelegramMessenger(account, http).register(url)


def _checked(url: str) -> str:
    address = urlsplit(url)
    if address.scheme != "https" or not address.hostname or address.query or address.fragment:
        raise InvalidInput("must begin with https:// and name a host; platforms deliver to nothing else", field="URL")
    return url.rstrip("/")
