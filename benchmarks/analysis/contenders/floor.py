"""The floor: read the columns that an analysis needs, and do nothing with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from benchmarks.analysis import files
from benchmarks.analysis.answers import Ask, Contender, Row
from benchmarks.analysis.world import Data

READ = {
    "exposures": 'max(experiment), max(user_id), max(surface), max(arm), max("at")',
    "user_days": "max(experiment), max(user_id), max(surface), max(day), sum(impressions), sum(clicks), "
    "sum(watch_seconds)",
}


class Floor(Contender):
    """A bare scan."""

    name = "bare scan"
    told = "DuckDB takes the largest or the sum of each column that ours reads, of the same files, without a group."

    @contextmanager
    def opened(self, data: Data) -> Iterator[Ask]:
        """Open the files."""
        with closing(files.connected(data)) as connection:

            def ask() -> Sequence[Row]:
                files.show(connection, data, data.days)
                for table, columns in READ.items():
                    connection.execute(f"SELECT {columns} FROM {table}").fetchall()
                return ()

            yield ask


CONTENDER = Floor()
