"""Files that can be made again: a folder for as long as a query takes, and what is written in one go or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
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
    """Make an empty folder, and delete it at the end; what a process that was killed left there goes a day later.

    Args:
        beside: the folder that it is made in.
    """
    for left in beside.glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError):  # another query took it away
            if time() - left.stat().st_mtime > LEFT_AFTER:
                rmtree(left, ignore_errors=True)
    with TemporaryDirectory(dir=beside, prefix=PREFIX) as folder:
        yield Path(folder)


def put(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under its final name only when all of it is there; what a power cut takes is made again.

    Args:
        path: of the file.
        write: given another name, writes there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    write(beside)
    beside.replace(path)
