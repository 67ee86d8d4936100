"""A folder of the archive for as long as a query takes; what a process that was killed left there goes a day later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from time import time

PREFIX = ".query-"

LEFT_AFTER = 86_400.0
"""Seconds after which no query is at it any more."""


@contextmanager
def temporary(beside: Path) -> Iterator[Path]:
    """Make an empty folder, and delete it at the end.

    Args:
        beside: the folder that it is made in.
    """
    for left in beside.glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError):  # another query took it away
            if time() - left.stat().st_mtime > LEFT_AFTER:
                rmtree(left, ignore_errors=True)
    with TemporaryDirectory(dir=beside, prefix=PREFIX) as folder:
        yield Path(folder)
