"""Rows that only the archive holds: found in a day's files, and taken over into its next version."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from ab_platform.storage.archive.layout import TableName, arrow_schema


def experiments_of(paths: Iterable[Path]) -> set[str]:
    """Return the experiments that files have rows of; a file that cannot be read has none."""
    found: set[str] = set()
    for path in paths:
        try:
            column = pq.read_table(path, columns=["experiment"], read_dictionary=["experiment"])["experiment"]
        except (OSError, pa.ArrowInvalid):
            continue
        found.update(column.unique().to_pylist())
    return found


def count(paths: Iterable[Path], experiment: str) -> int:
    """Count the rows of an experiment in files."""
    of = ds.field("experiment") == experiment
    return sum(int(ds.dataset(path, format="parquet").count_rows(filter=of)) for path in paths)


def rows_of(paths: Iterable[Path], table: TableName, experiment: str) -> Iterator[pa.Table]:
    """Stream the rows of an experiment, file by file, in their order there."""
    of = ds.field("experiment") == experiment
    for path in paths:
        for batch in ds.dataset(path, format="parquet").to_batches(filter=of, use_threads=False):
            if batch.num_rows:
                yield pa.Table.from_batches([batch]).cast(arrow_schema(table))


def woven(
    batches: Iterable[pa.Table], paths: Collection[Path], table: TableName, carried: Collection[str]
) -> Iterator[pa.Table]:
    """Put the rows of carried experiments between those of others, so that experiments stay in order.

    Args:
        batches: of other experiments, in order.
        paths: files with the carried ones.
        table: of the files.
        carried: keys.
    """
    waiting, take = sorted(carried), partial(rows_of, paths, table)
    for batch in batches:
        for run in _runs(batch) if waiting else (batch,):
            while waiting and waiting[0] < run["experiment"][0].as_py():
                yield from take(waiting.pop(0))
            yield run
    for key in waiting:
        yield from take(key)


def _runs(batch: pa.Table) -> Iterator[pa.Table]:
    """Cut a batch where another experiment begins."""
    at = 0
    for counted in pc.run_end_encode(batch["experiment"].combine_chunks()).run_ends.to_pylist():
        yield batch.slice(at, counted - at)
        at = counted
