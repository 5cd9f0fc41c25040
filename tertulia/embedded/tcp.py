"""TCP ports to listen on."""

import socket
from contextlib import suppress

from tertulia.domain.errors import CannotStart

LOOPBACK = "127.0.0.1"


def free_port(preferred: int = 0) -> int:
    """Return the preferred port of the loopback interface if nobody listens there, else any free one.

    Raises:
        CannotStart: Every port is taken.
    """
    for wanted in (preferred, 0):
        with suppress(OSError):
            return _bindable(LOOPBACK, wanted)
    raise CannotStart("a server", f"no port of {LOOPBACK} is free")


def given_port(part: str, port: int, host: str = LOOPBACK) -> int:
    """Return the port if nobody listens there; 0 takes any free one.

    Raises:
        CannotStart: Somebody listens there, or it is not ours to take.
    """
    try:
        return _bindable(host, port)
    except OSError as error:
        raise CannotStart(part, f"port {port} of {host} can't be used ({error.strerror}); choose another") from error


def _bindable(host: str, port: int) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that just ended don't count
        probe.bind((host, port))
        return int(probe.getsockname()[1])
