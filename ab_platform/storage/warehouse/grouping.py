"""Shards that an engine is given together: as many as fit, since each query costs something whatever it reads."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np
import pyarrow.parquet as pq

ROWS_AT_ONCE = 4_000_000
"""User-days and exposures of a query, unless one shard has more: what an engine holds of them is about a gigabyte."""


def grouped(rows: Sequence[int], *, at_most: int = ROWS_AT_ONCE) -> Iterator[range]:
    """Group shards that follow each other, so that no group of several has more rows than there may be.

    Args:
        rows: of each shard.
        at_most: of a group.
    """
    first = total = 0
    for shard, count in enumerate(rows):
        if shard > first and total + count > at_most:
            yield range(first, shard)
            first, total = shard, 0
        total += count
    yield range(first, len(rows))


def rows_of(path: str, experiments: Collection[str]) -> int:
    """Return how many rows of a file an engine reads for some experiments: of row groups that may have some."""
    return sum(rows for rows, low, high in row_groups(path) if any(low <= each <= high for each in experiments))


def shared(paths: Iterable[str], experiments: Iterable[str]) -> dict[str, float]:
    """Estimate how many rows of some files each experiment has: those that a row group may be of share it equally.

    Args:
        paths: of files.
        experiments: every one that may have rows in them.
    """
    ordered = sorted(experiments)
    change = np.zeros(len(ordered) + 1)
    for path in paths:
        for rows, low, high in row_groups(path):
            first, end = bisect_left(ordered, low), bisect_right(ordered, high)
            if first < end:
                change[first] += rows / (end - first)
                change[end] -= rows / (end - first)
    return dict(zip(ordered, np.cumsum(change).tolist(), strict=False))


@lru_cache(maxsize=100_000)  # a file of the archive never changes
def row_groups(path: str) -> tuple[tuple[int, str, str], ...]:
    """Return rows, first and last experiment of each row group, which are sorted by experiment."""
    metadata = pq.read_metadata(path)
    place = metadata.schema.to_arrow_schema().get_field_index("experiment")
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    return tuple((group.num_rows, *_span(group.column(place).statistics)) for group in groups)


def _span(statistics: pq.Statistics | None) -> tuple[str, str]:
    if statistics is None or not statistics.has_min_max:
        return "", "\U0010ffff"
    return statistics.min, statistics.max
