"""Ours on DuckDB over the archive, a shard at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from ab_platform.storage import per_user
from ab_platform.storage.exact_sums import ExactSums
from ab_platform.storage.per_user import Population
from ab_platform.storage.per_user_statements import Cell
from ab_platform.storage.store import Store, open_store
from benchmarks.analysis import files, ours
from benchmarks.analysis.answers import Ask
from benchmarks.analysis.ours import Families
from benchmarks.analysis.world import Data

LAUNCHES = "CREATE TABLE experiments (experiment VARCHAR, ends_at TIMESTAMPTZ, stopped_at TIMESTAMPTZ)"
MIXED = 'CREATE TABLE mixed_users (experiment VARCHAR, user_id VARCHAR, "at" TIMESTAMPTZ)'


class OnDuckDB:
    """Ours on DuckDB."""

    name = "ours, DuckDB"
    ours = True
    told = "The expressions of the analysis on DuckDB over the archive, a shard at a time; the exact sums are added up."

    def absent(self) -> str | None:
        """Return None: DuckDB is installed."""
        return None

    def prepare(self, data: Data) -> None:
        """Do nothing: the files are there."""

    @contextmanager
    def opened(self, data: Data) -> Iterator[Ask]:
        """Open the files and the launches."""
        with (
            closing(open_store(data.launches, migrate=False)) as launches,
            closing(files.connected(data)) as connection,
        ):
            _launched(connection, launches)

            def read(population: Population, families: Families) -> Sequence[Cell]:
                return _cells(connection, data, population, families)

            yield lambda: ours.answer(launches, data, read)

    def servers(self, data: Data) -> Sequence[int]:
        """Return none."""
        return ()


def _launched(connection: Any, launches: Store) -> None:
    connection.execute(LAUNCHES)
    connection.execute(MIXED)
    for each in launches.experiments():
        row = (each.experiment.key, each.ends_at, each.stopped_at)
        connection.execute("INSERT INTO experiments VALUES (?, ?, ?)", row)


def _cells(connection: Any, data: Data, population: Population, families: Families) -> Sequence[Cell]:
    query = per_user.sums(population, families, (), dialect="duckdb")
    implied = {f"{one}_x_{other}": f"sum_{limb}" for (one, other), limb in per_user.implied(families).items()}
    found = []
    days = data.days
    for shard in range(data.archive.shards):
        files.show(connection, data, days, shard)
        rows = connection.execute(query)
        names = [each[0] for each in rows.description]
        for values in rows.fetchall():
            row = dict(zip(names, values, strict=True))
            whole = {**row, **{product: row[total] for product, total in implied.items()}}
            found.append(Cell(row["surface"], row["arm"], (), ExactSums.of(whole, families)))
    return found


CONTENDER = OnDuckDB()
