"""The database's days into the archive: those that changed, in order; and what is damaged there, made again.

A day is stale from the transaction that changes its rows until it is archived, so a run does what is due and nothing
else. Cut short anywhere, the next run goes on; a repetition changes nothing. One run at a time writes an archive.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from time import monotonic
from typing import Literal

from ab_platform.errors import StoreError
from ab_platform.storage.archive import TABLES, Archive, ArchivedDay, TableName
from ab_platform.storage.archive.carrying import count
from ab_platform.storage.archive.exporting import export
from ab_platform.storage.archive.locking import WAIT_SECONDS, alone
from ab_platform.storage.archive.numbering import Numbering
from ab_platform.storage.store import Store

State = Literal["published", "unchanged", "withdrawn"]

Progress = Callable[[int, int, str], None]
"""Called with the tables that are done, their number in all, and the day and table."""


@dataclass(frozen=True)
class DayDone:
    """What became of one day.

    Attributes:
        day: in UTC.
        state: `published` where it is other than before, `unchanged`, or `withdrawn` where it has no row any more.
        events: rows that it holds.
        exposures: rows that it holds.
        user_days: rows that it holds.
        size: of its files, in bytes.
        seconds: that it took.
    """

    day: date
    state: State
    events: int
    exposures: int
    user_days: int
    size: int
    seconds: float


@dataclass(frozen=True)
class Damaged:
    """A file of the archive that was not as it was published.

    Attributes:
        day: in UTC.
        path: of the file, or of the manifest.
        wrong: what was found.
        mended: whether its day was made again from the database.
        reason: why it was not; None where it was.
    """

    day: date
    path: str
    wrong: str
    mended: bool
    reason: str | None = None


def stale_days(store: Store, archive: Archive) -> tuple[date, ...]:
    """List the days whose rows changed since they were archived, and those that the archive lost, in order."""
    lost = set(store.changed_days()) - set(archive.published())
    return tuple(sorted(lost | set(store.stale_days())))


def archive(
    store: Store,
    into: Archive,
    *,
    at: datetime,
    days: Collection[date] | None = None,
    again: bool = False,
    progress: Progress | None = None,
    wait_seconds: float = WAIT_SECONDS,
) -> tuple[DayDone, ...]:
    """Publish every stale day, in order, over or not, and number the users of its rows.

    Args:
        store: holds the rows.
        into: the archive.
        at: now.
        days: only these; all where None.
        again: also days that are not stale.
        progress: told how far it is.
        wait_seconds: for another process that writes the archive.

    Returns:
        What became of each day.

    Raises:
        StoreAwayError: where another process writes the archive for longer.
        StoreError: for a damaged file with rows that only the archive has.
    """
    with alone(into.folder, wait_seconds=wait_seconds):
        due = (*stale_days(store, into), *(store.changed_days() if again else ()), *((days or ()) if again else ()))
        wanted = sorted(day for day in set(due) if days is None or day in days)
        for lying in set(into.lying()) - set(into.published()) | set(wanted):
            into.sweep(lying)
        return tuple(_done(store, into, day, at, _telling(progress, place, wanted)) for place, day in enumerate(wanted))


def verify(store: Store, of: Archive, *, at: datetime, wait_seconds: float = WAIT_SECONDS) -> tuple[Damaged, ...]:
    """Find every file of the archive that is not as it was published, and make its day again from the database.

    Args:
        store: holds the rows.
        of: the archive.
        at: now.
        wait_seconds: for another process that writes the archive.

    Returns:
        What was damaged, by day; not mended where rows of the day are in the archive only.

    Raises:
        StoreAwayError: where another process writes the archive for longer.
    """
    with alone(of.folder, wait_seconds=wait_seconds):
        found = [each for day in of.published() for each in _damaged(of, day)]
        reasons = {day: _mended(store, of, day, at) for day in sorted({each.day for each in found})}
    return tuple(
        Damaged(each.day, each.path, each.wrong, reasons[each.day] is None, reasons[each.day]) for each in found
    )


def unarchived(store: Store, into: Archive, experiment: str, *, events: int) -> str | None:
    """Say why an experiment's raw events are not safe in the archive yet; None where they are, every one of them.

    Args:
        store: holds the events.
        into: the archive.
        experiment: its key.
        events: how many there are.
    """
    days = store.days_of_events(experiment)
    stale = sorted(set(days) & set(stale_days(store, into)))
    if stale:
        return f"{len(stale)} days of them are not archived, such as {stale[0]}; run `abp archive`"
    files = [file for day in days for file in (_published(into, day).of("events"))]
    damaged = [into.folder / file.path for file in into.damage(files)]
    if damaged:
        return f"{len(damaged)} files of the archive are damaged, such as {damaged[0]}; run `abp archive --verify`"
    held = count((into.folder / file.path for file in files), experiment)
    if held == events:
        return None
    return f"the archive holds {held:,} of them in place of {events:,}; run `abp archive --again`"


def _published(archive: Archive, day: date) -> ArchivedDay:
    found = archive.day(day)
    assert found is not None
    return found


def _telling(progress: Progress | None, place: int, days: Sequence[date]) -> Callable[[TableName], None]:
    def tell(table: TableName) -> None:
        if progress is not None:
            done = place * len(TABLES) + TABLES.index(table) + 1
            progress(done, len(days) * len(TABLES), f"{days[place]} {table}")

    return tell


def _done(store: Store, into: Archive, day: date, at: datetime, tell: Callable[[TableName], None]) -> DayDone:
    begin = monotonic()
    made = export(store, into, day, at=at, on_table=tell)
    if made.day is None:
        return DayDone(day, "withdrawn", 0, 0, 0, 0, monotonic() - begin)
    Numbering(into).number(made.day.files)
    events, exposures, user_days = (made.day.rows(table) for table in TABLES)
    size = sum(file.size for file in made.day.files)
    state: State = "published" if made.changed else "unchanged"
    return DayDone(day, state, events, exposures, user_days, size, monotonic() - begin)


def _damaged(of: Archive, day: date) -> Iterable[Damaged]:
    try:
        files = _published(of, day).files
    except StoreError:
        return [Damaged(day, str(of.manifest_of(day)), "cannot be read", mended=False)]
    found = of.damage(files)
    return [Damaged(day, str(of.folder / file.path), wrong, mended=False) for file, wrong in found.items()]


def _mended(store: Store, of: Archive, day: date, at: datetime) -> str | None:
    """Make a day again; return why that is not possible, None where it is done."""
    try:
        export(store, of, day, at=at)
    except StoreError as error:
        return str(error)
    return None
