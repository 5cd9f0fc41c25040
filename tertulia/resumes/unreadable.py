"""Why a file can't be read. What is said here, the person who sent the file reads."""

from enum import StrEnum


class Problem(StrEnum):
    """A reason, and what to do about it."""

    EMPTY = "is empty"
    TOO_LARGE = "is larger than 5 MiB"
    TOO_LONG = "has more than 50 pages"
    UNKNOWN = "is neither PDF nor Word (.docx) nor plain text"
    OLD_WORD = "is a Word file of the old kind (.doc); save it as .docx or PDF"
    LOCKED = "is locked with a password; save it without one"
    DAMAGED = "is damaged and can't be read"
    UNPACKS_TOO_LARGE = "unpacks to far more than a résumé holds"
    NO_TEXT = "has no text in it, as a scan has none; send the text itself"
    TOO_SLOW = "takes too long to read; send the text itself"


class Unreadable(Exception):
    """Raised where a file can't be read."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem
