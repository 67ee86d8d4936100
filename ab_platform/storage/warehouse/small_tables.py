"""What an engine needs of the database besides the archive: spans of experiments, mixed users, user attributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, select

from ab_platform.storage.archive import shards_of
from ab_platform.storage.schema import experiments, mixed_users, user_attributes
from ab_platform.storage.warehouse.engine import Source

USERS_AT_ONCE = 100_000

_MOMENT = pa.timestamp("us", tz="UTC")
_SPANS = pa.schema([("experiment", pa.string()), ("ends_at", _MOMENT), ("stopped_at", _MOMENT)])
_MIXED = pa.schema([("experiment", pa.string()), ("user_id", pa.string()), ("at", _MOMENT)])
_ATTRIBUTES = pa.schema([(name, pa.string()) for name in ("dataset", "name", "user_id", "value")])


def spans(connection: Connection, experiment: str) -> Source:
    """Return when an experiment ends."""
    query = select(*(experiments.c[name] for name in _SPANS.names)).where(experiments.c.experiment == experiment)
    return Source(experiments.name, _SPANS, rows=_table(_SPANS, connection.execute(query).all()))


def mixed(connection: Connection, experiment: str) -> Source:
    """Return the users of an experiment who were seen in several arms."""
    query = select(*(mixed_users.c[name] for name in _MIXED.names)).where(mixed_users.c.experiment == experiment)
    return Source(mixed_users.name, _MIXED, rows=_table(_MIXED, connection.execute(query).all()))


def attributes(
    connection: Connection, dataset: str, names: Sequence[str], *, shards: int, folder: Path
) -> tuple[Source, ...]:
    """Write some attributes of users into files, one a shard, and return them in the order of the shards.

    Args:
        connection: that reads.
        dataset: whose users.
        names: of the attributes.
        shards: that users are divided into.
        folder: empty.
    """
    files = tuple(folder / f"{shard:02d}.parquet" for shard in range(shards))
    with ExitStack() as stack:
        writers = [stack.enter_context(pq.ParquetWriter(path, _ATTRIBUTES)) for path in files]
        for rows in _streamed(connection, dataset, names):
            of = shards_of(rows["user_id"].to_pylist(), shards)
            for shard in np.unique(of).tolist():
                writers[shard].write_table(rows.filter(pa.array(of == shard)))
    return tuple(Source(user_attributes.name, _ATTRIBUTES, (path,)) for path in files)


def _streamed(connection: Connection, dataset: str, names: Sequence[str]) -> Iterator[pa.Table]:
    query = select(*(user_attributes.c[name] for name in _ATTRIBUTES.names))
    wanted = query.where(user_attributes.c.dataset == dataset, user_attributes.c.name.in_(names))
    streamed = connection.execution_options(yield_per=USERS_AT_ONCE).execute(wanted)
    for rows in streamed.partitions():
        yield _table(_ATTRIBUTES, rows)


def _table(columns: pa.Schema, rows: Sequence[Sequence[object]]) -> pa.Table:
    found = zip(*rows, strict=True) if rows else ((),) * len(columns)
    return pa.table([pa.array(values, each.type) for values, each in zip(found, columns, strict=True)], columns)
