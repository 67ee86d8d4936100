"""One shard of a simulation: its users, a block at a time, through all days, into parts of the archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ab_platform.simulation.archived.draws import Source
from ab_platform.simulation.archived.events import events
from ab_platform.simulation.archived.slates import Block, Slates, Whole, draw_block, draw_slates
from ab_platform.simulation.archived.tables import Day, exposures, new_titles, user_days, user_ids
from ab_platform.simulation.sending import Period
from ab_platform.storage.archive import TABLES, Archive, ArchivedFile, Part, TableName

USERS_AT_ONCE = 50_000
"""Of a block: its columns are a few megabytes each."""

DayFiles = Mapping[date, tuple[ArchivedFile, ...]]


@dataclass(frozen=True, eq=False)
class Shard:
    """What is made.

    Attributes:
        folder: of the archive.
        number: of the shard, from 0.
        users: `(users,)` numbers of its users, in order.
        periods: what they go through, one after the other.
        tables: that are written.
    """

    folder: Path
    number: int
    users: NDArray[np.int32]
    periods: tuple[Period, ...]
    tables: tuple[TableName, ...] = TABLES


def make(shard: Shard, *, advance: Callable[[int], None]) -> DayFiles:
    """Write all days of a shard, side by side.

    Args:
        shard: which.
        advance: called with how many users more are done.

    Returns:
        The files of each day; nobody reads them until they are published.
    """
    archive = Archive(shard.folder)
    days = [day for period in shard.periods for day in days_of(period)]
    with ExitStack() as opened:
        parts = {
            (table, day): opened.enter_context(archive.part(table, day, shard.number))
            for table in shard.tables
            for day in days
        }
        for first in range(0, len(shard.users), USERS_AT_ONCE):
            users = shard.users[first : first + USERS_AT_ONCE].astype(np.int64)
            _write(shard.periods, users, parts)
            advance(len(users))
    written = {day: [parts[table, day].file for table in shard.tables] for day in days}
    return {day: tuple(file for file in files if file is not None) for day, files in written.items()}


def days_of(period: Period) -> tuple[date, ...]:
    """List the days of a period, in UTC."""
    first = period.launch.starts_at.date()
    return tuple(first + timedelta(days=each) for each in range(period.launch.experiment.days))


def _write(periods: Sequence[Period], users: Whole, parts: Mapping[tuple[TableName, date], Part]) -> None:
    """Take a block of users through all periods."""
    source = Source(periods[0].seed, periods[0].world.name)
    block = draw_block(periods[0].world, source, users)
    written = user_ids(users)
    for period in periods:
        shared = _shared(period, written)
        slates = _drawn(period, source, block, shared)
        titles = new_titles(slates, len(shared.surfaces))
        for place, day in enumerate(days_of(period)):
            for table, rows in _rows(shared, slates, titles, users, place):
                if (table, day) in parts:
                    parts[table, day].add(rows())


def _shared(period: Period, written: NDArray[np.bytes_]) -> Day:
    experiment = period.launch.experiment
    listed = written.astype(np.str_)
    arms = experiment.place_all(listed, experiment.ranges())
    names = [arm.name for arm in experiment.arms]
    starts_at: datetime = period.launch.starts_at
    return Day(experiment.key, names, sorted(experiment.surfaces), starts_at, _texts(written), arms)


def _drawn(period: Period, source: Source, block: Block, shared: Day) -> Slates:
    behaviours = [[arm[surface] for arm in period.behaviours] for surface in shared.surfaces]
    days = period.launch.experiment.days
    name = str(period.stream)
    return draw_slates(block, shared.surfaces, behaviours, shared.arm, days=days, source=source, period=name)


def _rows(
    shared: Day, slates: Slates, titles: Whole, users: Whole, place: int
) -> Iterator[tuple[TableName, Callable[[], pa.Table]]]:
    """Give what makes the rows of each table of a day; those that nobody wants are not made."""
    rows = np.flatnonzero(slates.day == place)
    today = slates.at(rows)
    yield "events", lambda: events(shared, today, users)
    yield "exposures", lambda: exposures(shared, today)
    yield "user_days", lambda: user_days(shared, today, titles[rows])


def _texts(written: NDArray[np.bytes_]) -> pa.StringArray:
    """Return texts of one length as a column."""
    ends = np.arange(len(written) + 1, dtype=np.int32) * written.itemsize
    return pa.StringArray.from_buffers(len(written), pa.py_buffer(ends), pa.py_buffer(written.tobytes()))
