"""Simulate a world straight into the archive: launch its experiments, make all shards, publish the days.

The database holds the launches and the change log; events, exposures and user-days are in the archive alone. A
simulation that was cut short makes only the shards that are not finished, and ends the same; one that was done changes
nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from ab_platform.analysis.plan import BEFORE, PREDICTION
from ab_platform.errors import ExperimentError, StoreError
from ab_platform.lineage import Change
from ab_platform.simulation.archived.shard import DayFiles, Shard, days_of
from ab_platform.simulation.archived.staged import Staged
from ab_platform.simulation.archived.tables import USERS_AT_MOST, user_ids
from ab_platform.simulation.archived.workers import make_all
from ab_platform.simulation.launches import finished, launched, require_same, standing, starts_at
from ab_platform.simulation.plan import BEFORE_DAYS, Plan
from ab_platform.simulation.sending import Period
from ab_platform.simulation.worlds import WORLDS, World, world
from ab_platform.storage.archive import TABLES, Archive, ArchivedDay, TableName, experiments_in, shards_of
from ab_platform.storage.archive.locking import alone
from ab_platform.storage.archive.numbering import Numbering
from ab_platform.storage.store import Store

USERS_PER_PROCESS = 50_000
"""For fewer it is not worth while to start another process."""

USERS_AT_ONCE = 100_000


@dataclass(frozen=True)
class ArchivedSimulation:
    """What a simulation has in the archive.

    Attributes:
        key: of the experiment.
        days: published, in order.
        made: users whose rows were made now; fewer than all after one that was cut short, none where it was done.
    """

    key: str
    days: tuple[ArchivedDay, ...]
    made: int

    def rows(self, table: TableName) -> int:
        """Return how many rows of a table there are."""
        return sum(day.rows(table) for day in self.days)

    @property
    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(file.size for day in self.days for file in day.files)


def simulate_into(
    archive: Archive,
    store: Store,
    plan: Plan,
    *,
    at: datetime,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ArchivedSimulation:
    """Simulate a world into the archive; the very same again changes nothing.

    Args:
        archive: takes events, exposures and user-days.
        store: takes the launches and the change log.
        plan: what is asked for, `archived` among it.
        at: now; the experiment ends at the midnight before it.
        processes: at once; one a core by default.
        progress: called with users done and users in all.

    Raises:
        ExperimentError: for a world, or settings, that need the database; for a key under which something else was
            launched or simulated; for days that hold other experiments.
    """
    _require_archivable(plan)
    require_same(store, plan)
    first = starts_at(store, plan, at).date()
    span = (first - timedelta(days=BEFORE_DAYS if plan.before else 0), first + timedelta(days=plan.days - 1))
    if finished(store, plan.key):
        return ArchivedSimulation(plan.key, archive.days(since=span[0], until=span[1]), made=0)
    _require_free(archive, span, () if standing(store, plan.key) is None else _keys(plan))
    periods = launched(store, plan, at)
    for key in _keys(plan):
        # Of the archive alone: no event is recorded in the database, and archiving takes the rows over as they are.
        store.give_up_events(key, stored=0, at=at, reason="its events go straight into the archive")
    staged = Staged(archive, plan, periods)
    made = _make(archive, plan, periods, staged, processes=processes, progress=progress)
    days = _publish(archive, staged, periods, at)
    Numbering(archive).number(file for day in days for file in day.files)
    for key in _keys(plan):
        store.note(Change(key, at, "simulate", None, _told(plan, days), "every visit is in the archive"))
    staged.forget()
    return ArchivedSimulation(plan.key, days, made)


def archivable_worlds() -> tuple[str, ...]:
    """List the worlds whose events arrive once, in time, as they happened."""
    return tuple(name for name, make in WORLDS.items() if _is_archivable(make(BEFORE_DAYS)))


def _is_archivable(made: World) -> bool:
    return made.fault == "none" and made.delivery == "punctual"


def _require_archivable(plan: Plan) -> None:
    """Refuse what only the database can hold or show."""
    if not _is_archivable(world(plan.world, days=plan.days)):
        raise ExperimentError(
            f"the world is '{plan.world}', whose events must go through the database; into the archive go "
            f"{', '.join(archivable_worlds())}: choose one of them, or leave out --archive"
        )
    if plan.users >= USERS_AT_MOST:
        raise ExperimentError(f"users is {plan.users:,}; in the archive there may be fewer than {USERS_AT_MOST:,}")
    attributes = [*(plan.segments or ()), *(each for each in plan.covariates if each not in (BEFORE, PREDICTION))]
    if attributes:
        raise ExperimentError(
            f"{', '.join(attributes)} is asked for; users simulated into the archive have no attributes: leave out "
            f"--segments, and give no covariates but {BEFORE} and {PREDICTION}, or leave out --archive"
        )


def _require_free(archive: Archive, span: tuple[date, date], ours: Sequence[str]) -> None:
    """Refuse days that hold the rows of other experiments, since a day is published as a whole."""
    for day in archive.days(since=span[0], until=span[1]):
        strangers = sorted(experiments_in(archive, day) - set(ours))
        if strangers:
            raise ExperimentError(
                f"{day.day} is in the archive already, with '{strangers[0]}'; a simulation needs the days from "
                f"{span[0]} to {span[1]} for itself: set ABP_ARCHIVE to another folder"
            )


def _make(
    archive: Archive,
    plan: Plan,
    periods: tuple[Period, ...],
    staged: Staged,
    *,
    processes: int | None,
    progress: Callable[[int, int], None] | None,
) -> int:
    """Make the shards that are not finished, and return how many users that were."""
    in_shard = _shards(plan.users, archive.shards)
    missing = [number for number in range(archive.shards) if staged.get(number) is None]
    tables: tuple[TableName, ...] = TABLES if plan.archived == "events" else ("exposures", "user_days")
    todo = [
        Shard(archive.folder, number, np.flatnonzero(in_shard == number).astype(np.int32), periods, tables)
        for number in missing
    ]
    made = sum(len(shard.users) for shard in todo)
    most = max(1, min(processes or os.cpu_count() or 1, len(todo), made // USERS_PER_PROCESS))

    def tell(done: int) -> None:
        if progress:
            progress(plan.users - made + done, plan.users)

    for number, files in make_all(todo, processes=most, progress=tell):
        staged.put(number, files)
    return made


def _shards(users: int, shards: int) -> NDArray[np.int16]:
    """Return the shard of each user, (users,)."""
    found = np.empty(users, dtype=np.int16)
    for first in range(0, users, USERS_AT_ONCE):
        number = np.arange(first, min(first + USERS_AT_ONCE, users))
        found[number] = shards_of(user_ids(number).astype(np.str_), shards)
    return found


def _publish(archive: Archive, staged: Staged, periods: Sequence[Period], at: datetime) -> tuple[ArchivedDay, ...]:
    """Publish all days, and delete what writers that were killed have left."""
    shards = [_finished(staged, number) for number in range(archive.shards)]
    published = []
    with alone(archive.folder):
        for day in (day for period in periods for day in days_of(period)):
            published.append(archive.publish(day, (file for files in shards for file in files[day]), at=at))
            archive.sweep(day)
    return tuple(published)


def _finished(staged: Staged, shard: int) -> DayFiles:
    files = staged.get(shard)
    if files is None:
        raise StoreError(f"shard {shard} was made, and its files are not there now; run the same again to make it anew")
    return files


def _keys(plan: Plan) -> tuple[str, ...]:
    return (plan.experiment_before.key, plan.key) if plan.before else (plan.key,)


def _told(plan: Plan, days: Sequence[ArchivedDay]) -> dict[str, object]:
    return {
        "archived_users": plan.users,
        "archived": plan.archived,
        "archived_days": {day.day.isoformat(): day.version for day in days},
    }
