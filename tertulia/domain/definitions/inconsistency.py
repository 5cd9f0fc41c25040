"""What the checks of a definition find."""

from typing import NamedTuple

Path = tuple[str | int, ...]


class Inconsistency(NamedTuple):
    """What is wrong and what to do about it, and where: keys and positions from the top of the definition."""

    path: Path
    what: str
