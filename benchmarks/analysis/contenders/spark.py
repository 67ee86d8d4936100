"""Ours on Spark over the archive."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.analysis.answers import Ask
from benchmarks.analysis.world import Data

ENVIRONMENT = Path(__file__).parents[3] / ".venv-spark"


class OnSpark:
    """Ours on Spark."""

    name = "ours, Spark"
    ours = True
    told = "The same expressions on Spark in one process with two threads, which divides the users by itself."

    def absent(self) -> str | None:
        """Say why there is no Spark."""
        if not ENVIRONMENT.exists():
            return "pyspark has an environment of its own, .venv-spark, which is not made"
        return "the archive is not read by Spark yet"

    def prepare(self, data: Data) -> None:
        """Do nothing: the files are there."""

    def opened(self, data: Data) -> AbstractContextManager[Ask]:
        """Refuse."""
        raise NotImplementedError(self.absent())

    def servers(self, data: Data) -> Sequence[int]:
        """Return none."""
        return ()


CONTENDER = OnSpark()
