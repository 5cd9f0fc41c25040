"""Simulators of messengers' platforms: real HTTP, with people who write, read, and can't be reached.

Source: the platforms' public documentation. What they accept, and how they refuse, is theirs; when they refuse, fall
silent, repeat or mix up what they deliver is for the test to say.
"""

from tertulia.embedded.messengers.platform import Refuse, SendingScript, Sent, StaySilent, WebhookCaller
from tertulia.embedded.messengers.telegram import TelegramSimulator
from tertulia.embedded.messengers.whatsapp import WhatsAppSimulator

__all__ = [
    "Refuse",
    "SendingScript",
    "Sent",
    "StaySilent",
    "TelegramSimulator",
    "WebhookCaller",
    "WhatsAppSimulator",
]
