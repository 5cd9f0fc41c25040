"""Reads one file: its bytes come in, and its text, or what is wrong with it, goes out as JSON.

`IsolatedReader` starts this, so that a file that was made to break readers breaks a process that holds nothing else.
"""

import json
import resource
import sys
from contextlib import suppress

from tertulia.resumes.files import text_of
from tertulia.resumes.unreadable import Problem, Unreadable

# Enough for the largest file that is taken, unpacked.
_MEMORY_BYTES = 1024**3


def main() -> None:
    """Read the file on standard input."""
    with suppress(ValueError, OSError):  # some systems know no such limit
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    json.dump(_answer(sys.stdin.buffer.read()), sys.stdout)


def _answer(content: bytes) -> dict[str, str]:
    try:
        media_type, text = text_of(content)
    except Unreadable as error:
        return {"problem": error.problem}
    except MemoryError:
        return {"problem": Problem.UNPACKS_TOO_LARGE}
    except Exception:  # noqa: BLE001 the process's edge: the libraries raise anything at a damaged file
        return {"problem": Problem.DAMAGED}
    return {"media_type": media_type, "text": text}


main()
