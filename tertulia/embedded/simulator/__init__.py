"""A provider of our own: a real HTTP server that speaks the providers' wires, and misbehaves on request."""

from tertulia.embedded.simulator.behaviours import (
    Answer,
    Behaviour,
    BlackHole,
    CutStream,
    ErrorBody,
    ErrorEvent,
    Garbage,
    MalformedChunks,
    Quota,
    Raw,
    Reset,
    Stall,
    Status,
)
from tertulia.embedded.simulator.scripts import Exchange
from tertulia.embedded.simulator.server import ProviderSimulator

__all__ = [
    "Answer",
    "Behaviour",
    "BlackHole",
    "CutStream",
    "ErrorBody",
    "ErrorEvent",
    "Exchange",
    "Garbage",
    "MalformedChunks",
    "ProviderSimulator",
    "Quota",
    "Raw",
    "Reset",
    "Stall",
    "Status",
]
