"""Users' days straight into an archive: one experiment's by the simulation, those of many in the same days drawn here.

A simulation wants its days for itself. Many experiments are drawn as the simulation's events would be counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import date
from functools import partial
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ab_platform.events import Surface
from ab_platform.simulation.archived import simulate_into
from ab_platform.simulation.visits import Slates, draw_slates, draw_users
from ab_platform.simulation.worlds import World
from ab_platform.storage.archive import ArchivedFile, Part, TableName, arrow_schema, shards_of
from ab_platform.storage.archive.numbering import Numbering
from ab_platform.storage.store import open_store
from benchmarks.analysis.world import DAYS, END, PLAN, Data, Week, launch, weeks

USERS_AT_ONCE = 50_000
NUMBERS_AT_ONCE = 1_000_000

Ints = NDArray[np.int64]
Parts = Mapping[tuple[TableName, date], Part]


def make(data: Data, *, processes: int = 1) -> None:
    """Draw the users where they are not there yet, launch the experiments, and number users as archiving does.

    Args:
        data: what is wanted.
        processes: that draw shards side by side; the files are the same however many.
    """
    done = data.folder / f"drawn-{data.users}-{data.experiments}-{data.seed}"
    if not done.exists():
        _draw_anew(data, processes)
        done.touch()
    Numbering(data.archive).number(file for day in data.days for file in day.files)


def _draw_anew(data: Data, processes: int) -> None:
    with closing(open_store(data.launches, migrate=True)) as store:
        if data.experiments == 1:
            plan = replace(PLAN, users=data.users, seed=data.seed, archived="user_days")
            simulate_into(data.archive, store, plan, at=END, processes=processes)
        else:
            launch(store, data)
            _draw_all(data, processes)


def _draw_all(data: Data, processes: int) -> None:
    archive = data.archive
    shard_of = _shards(data, archive.shards)
    draw = partial(_draw, data)
    wanted = [(shard, np.flatnonzero(shard_of == shard)) for shard in range(archive.shards)]
    if processes == 1:
        files = [each for shard in wanted for each in draw(shard)]
    else:
        with ProcessPoolExecutor(processes) as pool:
            files = [each for found in pool.map(draw, wanted) for each in found]
    for day in sorted({day for week in _all(data) for day in week.dates}):
        archive.publish(day, [each for each in files if f"/day={day.isoformat()}/" in each.path], at=END)


def user_ids(numbers: Ints) -> list[str]:
    """Return the ids of users by their numbers, in the same order."""
    return [f"u{number:09d}" for number in numbers.tolist()]


def _all(data: Data) -> tuple[Week, ...]:
    return (*weeks(data, before=True), *weeks(data, before=False))


def _shards(data: Data, shards: int) -> NDArray[np.int16]:
    """Return the shard of each user, a block at a time: their ids would not all fit into memory."""
    blocks = (
        np.arange(first, min(first + NUMBERS_AT_ONCE, data.users)) for first in range(0, data.users, NUMBERS_AT_ONCE)
    )
    return np.concatenate([shards_of(user_ids(block), shards).astype(np.int16) for block in blocks])


def _draw(data: Data, shard_and_numbers: tuple[int, Ints]) -> list[ArchivedFile]:
    """Draw the users of one shard, whose numbers are given in order."""
    shard, numbers = shard_and_numbers
    both = _all(data)
    with ExitStack() as stack:
        parts: Parts = {
            (table, day): stack.enter_context(data.archive.part(table, day, shard))
            for day in {day for week in both for day in week.dates}
            for table in cast(tuple[TableName, ...], ("exposures", "user_days"))
        }
        for place, experiment in enumerate(zip(both[: data.experiments], both[data.experiments :], strict=True)):
            block = experiment[0].numbers
            mine = numbers[np.searchsorted(numbers, block.start) : np.searchsorted(numbers, block.stop)]
            for first in range(0, len(mine), USERS_AT_ONCE):
                rng = np.random.default_rng([data.seed, shard, place, first])
                _visits(parts, PLAN.made, experiment, user_ids(mine[first : first + USERS_AT_ONCE]), rng)
    return [part.file for part in parts.values() if part.file is not None]


def _visits(parts: Parts, world: World, both: Sequence[Week], ids: list[str], rng: np.random.Generator) -> None:
    """Let users come for both weeks, on every surface, and write what they did."""
    users = draw_users(world, ids, rng)
    names = pa.array(ids)
    for week in both:
        arms = week.experiment.place_all(ids, week.experiment.ranges())
        arm_names = pa.array([week.experiment.arms[place].name for place in arms.tolist()])
        behaviours = (world.control, world.control if week.before else world.treatment)
        seen = {
            surface: draw_slates(users, surface, [each[surface] for each in behaviours], arms, days=DAYS, rng=rng)
            for surface in week.experiment.surfaces
        }
        for number, day in enumerate(week.dates):
            for table, rows in _rows(week, day, number, seen):
                whole = rows.set_column(1, "user_id", names.take(rows["user_id"]))
                columns = {
                    "arm": arm_names.take(rows["user_id"]),
                    "experiment": pa.repeat(week.experiment.key, len(rows)),
                }
                parts[table, day].add(_complete(table, whole, columns))


def _complete(table: TableName, rows: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    for name, values in columns.items():
        rows = rows.append_column(name, values)
    return rows.select(arrow_schema(table).names)


def _rows(week: Week, day: date, number: int, seen: Mapping[Surface, Slates]) -> Iterator[tuple[TableName, pa.Table]]:
    """Give the exposures and user-days of one day, by place of the user, in the archive's order."""
    midnight = int(week.starts_at.timestamp()) + number * 86_400
    found: dict[TableName, list[pa.Table]] = {"exposures": [], "user_days": []}
    for surface, slates in seen.items():
        among = np.flatnonzero(slates.day == number)
        first = np.flatnonzero(np.diff(slates.user, prepend=-1))
        new = np.intersect1d(among, first, assume_unique=True)
        found["exposures"].append(_exposures(surface, slates, new, midnight))
        found["user_days"].append(_user_days(surface, slates, among, day, midnight))
    for table, both in found.items():
        rows = pa.concat_tables(both)
        order = np.argsort(rows["user_id"].to_numpy(), kind="stable")  # surfaces come in the order of their names
        yield table, rows.take(order)


def _exposures(surface: Surface, slates: Slates, among: Ints, midnight: int) -> pa.Table:
    return pa.table(
        {
            "surface": pa.repeat(surface, len(among)),
            "user_id": slates.user[among],
            "at": _moments(midnight + slates.second[among]),
        }
    ).select(["surface", "user_id", "at"])


def _user_days(surface: Surface, slates: Slates, among: Ints, day: date, midnight: int) -> pa.Table:
    """Count each slate as a user-day: a user is shown one a day."""
    clicked = slates.clicked[among]
    places = np.arange(clicked.shape[1])
    clicks, some = clicked.sum(axis=1), clicked.any(axis=1)
    last = np.where(some, 2 + 3 * (places * clicked).max(axis=1), 0)
    ones, none = np.ones(len(among), dtype=np.int64), np.zeros(len(among), dtype=np.int64)
    return pa.table(
        {
            "surface": pa.repeat(surface, len(among)),
            "user_id": slates.user[among],
            "day": pa.repeat(pa.scalar(day, pa.date32()), len(among)),
            "impressions": ones * clicked.shape[1],
            "slates": ones,
            "visits": ones,
            "clicks": clicks,
            "clicked_slates": some.astype(np.int64),
            "titles_watched": clicks,
            "watch_seconds": slates.watch_seconds[among].sum(axis=1).round(3),
            "first_click_seconds": np.where(some, 2.0 + 3.0 * clicked.argmax(axis=1), 0.0),
            "reciprocal_ranks": (clicked / (places + 1.0)).sum(axis=1),
            "fallback_slates": none,
            "timed_slates": none,
            "latency_ms": none.astype(np.float64),
            "last_at": _moments(midnight + slates.second[among] + last),
        }
    )


def _moments(seconds: Ints) -> pa.Array:
    return pa.array(seconds * 1_000_000).cast(pa.timestamp("us", tz="UTC"))
