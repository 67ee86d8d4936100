"""What an engine needs besides the archive: spans of experiments, mixed users, attributes, who was before whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, func, select

from ab_platform.errors import NotFoundError
from ab_platform.storage.archive import shards_of
from ab_platform.storage.population import EARLIER
from ab_platform.storage.schema import experiments, mixed_users, user_attributes
from ab_platform.storage.warehouse.engine import Source

USERS_AT_ONCE = 100_000

_MOMENT = pa.timestamp("us", tz="UTC")
_SPANS = pa.schema([("experiment", pa.string()), ("ends_at", _MOMENT), ("stopped_at", _MOMENT)])
_MIXED = pa.schema([("experiment", pa.string()), ("user_id", pa.string()), ("at", _MOMENT)])
_EARLIER = pa.schema([("experiment", pa.string()), ("earlier", pa.string())])
_ATTRIBUTES = pa.schema([(name, pa.string()) for name in ("dataset", "name", "user_id", "value")])


def spans(connection: Connection, *named: str) -> Source:
    """Return when experiments end."""
    query = select(*(experiments.c[name] for name in _SPANS.names)).where(experiments.c.experiment.in_(named))
    return Source(experiments.name, _SPANS, rows=_table(_SPANS, connection.execute(query).all()))


def mixed(connection: Connection, *named: str) -> Source:
    """Return the users of experiments who were seen in several arms."""
    query = select(*(mixed_users.c[name] for name in _MIXED.names)).where(mixed_users.c.experiment.in_(named))
    return Source(mixed_users.name, _MIXED, rows=_table(_MIXED, connection.execute(query).all()))


def lasting(connection: Connection, *named: str) -> dict[str, tuple[datetime, datetime]]:
    """Return when experiments begin and end, by their keys."""
    of = experiments.c
    query = select(of.experiment, of.starts_at, of.ends_at, of.stopped_at).where(of.experiment.in_(named))
    return {key: (begin, min(end, stopped or end)) for key, begin, end, stopped in connection.execute(query)}


def left(connection: Connection, *named: str) -> dict[str, list[tuple[str, datetime]]]:
    """Return the users of experiments who were seen in several arms, and when they were first, by the keys."""
    of, found = mixed_users.c, defaultdict(list)
    query = select(of.experiment, of.user_id, of.at).where(of.experiment.in_(named))
    for key, user, at in connection.execute(query):
        found[key].append((user, at))
    return found


def earlier(pairs: Sequence[tuple[str, str]]) -> Source:
    """Return which experiments tell what the users of each did before."""
    return Source(EARLIER, _EARLIER, rows=_table(_EARLIER, pairs))


def keys(connection: Connection) -> tuple[str, ...]:
    """List the experiments."""
    return tuple(connection.execute(select(experiments.c.experiment)).scalars())


def first_day(connection: Connection, *named: str) -> date:
    """Return the day on which the first of some experiments begins.

    Raises:
        NotFoundError: where none of them is launched.
    """
    query = select(func.min(experiments.c.starts_at)).where(experiments.c.experiment.in_(named))
    begins: datetime | None = connection.execute(query).scalar_one()
    if begins is None:
        raise NotFoundError(f"experiment '{named[0]}' is not launched; see those that are: `abp status`")
    return begins.astimezone(UTC).date()


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
