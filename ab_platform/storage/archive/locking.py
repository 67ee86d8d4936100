"""One writer of an archive at a time, on one machine or on a disk that several share."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from ab_platform.errors import StoreAwayError

WAIT_SECONDS = 60.0
"""How long a writer waits for another by default."""

_TURN_SECONDS = 0.1


@contextmanager
def alone(folder: Path, *, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Keep other writers out of an archive; the end of the process, however it comes, lets them in.

    Args:
        folder: of the archive.
        wait_seconds: for another writer to end.

    Raises:
        StoreAwayError: where another one is still at it then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as file:
        deadline = monotonic() + wait_seconds
        while not _taken(file.fileno()):
            if monotonic() >= deadline:
                file.seek(0)
                raise StoreAwayError(
                    f"the archive {folder} is being written by process {file.read() or 'unknown'} for over "
                    f"{wait_seconds:g} s; wait until it ends, then repeat"
                )
            sleep(_TURN_SECONDS)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
