"""What a published day holds, read from its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from ab_platform.storage.archive.archive import Archive
from ab_platform.storage.archive.manifest import ArchivedDay

_EXPERIMENT = "experiment"


def experiments_in(archive: Archive, day: ArchivedDay) -> frozenset[str]:
    """Return the keys of the experiments that have rows on a day."""
    return frozenset(key for file in day.files for key in _experiments(archive.folder / file.path))


def _experiments(path: Path) -> Iterator[str]:
    """Give the keys in a file, from what it says of its row groups, which nearly always hold one experiment each."""
    file = pq.ParquetFile(path)
    column = file.schema_arrow.get_field_index(_EXPERIMENT)
    for number in range(file.num_row_groups):
        told = file.metadata.row_group(number).column(column).statistics
        if told is not None and told.has_min_max and told.min == told.max:
            yield told.min
        else:
            yield from file.read_row_group(number, columns=[_EXPERIMENT])[_EXPERIMENT].unique().to_pylist()
