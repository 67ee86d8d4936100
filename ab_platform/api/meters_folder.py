"""Where the workers of one service put their meters together: apart from other services, and in memory if there is any.

On a disk, a full one would kill the worker that writes to its mapped file, and a busy one would keep it waiting.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir, mkdtemp

IN_MEMORY = Path("/dev/shm")
PREFIX = "abp-meters-"
LOCK = "lock"
"""File that the service holds: who is killed lets go of it, and the next service removes the folder."""


@contextmanager
def meters_folder(beside: Path | None = None) -> Iterator[Path]:
    """Make the folder, and remove it at the end.

    Args:
        beside: folder to make it in; None for the best that there is.
    """
    place = beside or (IN_MEMORY if IN_MEMORY.is_dir() else Path(gettempdir()))
    for left in place.glob(f"{PREFIX}*"):
        _remove_unless_held(left)
    folder = Path(mkdtemp(prefix=PREFIX, dir=place))
    try:
        with (folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_unless_held(folder: Path) -> None:
    try:
        with (folder / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:  # held, or another user's
        return
