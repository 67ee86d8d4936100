"""Ours on Spark over the archive."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.analysis.answers import Ask, Contender
from benchmarks.analysis.contenders.warehouse import asked
from benchmarks.analysis.world import Data

ENVIRONMENT = Path(__file__).parents[3] / ".venv-spark"


class OnSpark(Contender):
    """Ours on Spark."""

    name = "ours, Spark"
    ours = True
    told = "The same expressions on Spark on this machine, which divides the users between its threads by itself."
    python = ENVIRONMENT / "bin" / "python"

    def absent(self) -> str | None:
        """Say where there is no Spark."""
        return None if self.python.exists() else "pyspark has an environment of its own, .venv-spark: `make spark`"

    def opened(self, data: Data) -> AbstractContextManager[Ask]:
        """Start Spark, and open the launches."""
        from ab_platform.storage.warehouse.spark import Spark

        return asked(data, Spark(f"local[{data.threads}]"), data.archive)


CONTENDER = OnSpark()
