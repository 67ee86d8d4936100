"""Running totals in files, and the sums through each day: made once, and anew only from a day that changed on.

    running/EXPERIMENT/day=2026-11-30/SS-VERSION.arrow    the `Totals` of one shard through a day
    running/EXPERIMENT/sums-FAMILIES.json                 by version: the sums through the day, by surface and arm

A version is a hash of all that the totals are made from: the archive's files of the shard up to the day, who left, when
the experiment ended, and how it looks back. What has the right name is right; nothing has to be told of a change.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, timedelta
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from threading import Lock
from time import time
from typing import Any, Protocol

import pyarrow as pa

from ab_platform.lineage import Launch
from ab_platform.metrics import Measure
from ab_platform.storage import running_totals
from ab_platform.storage.archive import Archive, TableName, shards_of
from ab_platform.storage.archive.exporting import split
from ab_platform.storage.archive.manifest import replace as write_file
from ab_platform.storage.per_user import PerUser
from ab_platform.storage.population import Population
from ab_platform.storage.warehouse.engine import Engine, Source
from ab_platform.storage.warehouse.grouping import grouped
from ab_platform.storage.warehouse.totals import Day, Sums, Totals

FORMAT = 4
"""Of the files; another number makes all of them anew."""

DAYS_KEPT = 3
"""Days through which totals are kept, up to the one that is asked for: an event that is a day late costs two days."""

ROWS_TOGETHER = 500_000
"""Rows, of all days, of shards that are read together: to divide a day's rows costs more than a question does."""

TABLES: tuple[TableName, ...] = ("exposures", "user_days")
"""That totals are made from."""

UNREAD_AFTER = 86_400.0
"""Seconds after which nobody reads totals any more that have another version now."""

Row = Mapping[str, Any]
Families = Sequence[Sequence[PerUser]]


@dataclass(frozen=True)
class Span:
    """What of an experiment its running totals depend on, apart from the archive's files.

    Attributes:
        first: its first day.
        last: the day on which it ended or will end.
        ends: when that is, in words.
        left: users who left, since a second arm was seen, by day.
    """

    first: date
    last: date
    ends: str
    left: Mapping[date, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Shard:
    """The versions of one shard's days.

    Attributes:
        number: of the shard.
        versions: by day, in order.
    """

    number: int
    versions: Mapping[date, str]


class Sources(Protocol):
    """Gives what an engine reads of some shards on some days: exposures, user-days, and the small tables."""

    def __call__(self, shards: Sequence[int], since: date, until: date) -> Sequence[Source]:
        """Return the tables, their files of these shards and days."""


class RunningTotals:
    """The running totals of one experiment.

    Args:
        archive: whose days they are of.
        engine: that reads a day.
        population: of the experiment, and the last day.
        families: columns whose sums and products are wanted.
        span: of the experiment.
    """

    def __init__(
        self, archive: Archive, engine: Engine, population: Population, families: Families, span: Span
    ) -> None:
        self._archive, self._engine, self._population, self._families = archive, engine, population, families
        self._span = span
        self._folder = archive.folder / "running" / population.experiment
        told = json.dumps([sorted({f"{each.source}.{each.name}" for each in family}) for family in families])
        self._sums = self._folder / f"sums-{_hashed(told)}.json"
        self._measures: tuple[Measure, ...] = running_totals.measures_of(families)
        self._looks_back = any(each.source == "before" for family in families for each in family)
        self._known: dict[str, dict[str, Any]] = _read(self._sums)
        self._lock = Lock()
        since = span.first - timedelta(days=population.covariate_days)
        self._published = {each.day: each for each in archive.days(since=since, until=population.as_of)}
        self._left = {day: _by_shard(users, archive.shards) for day, users in span.left.items()}
        self.shards = tuple(self._shard(number) for number in range(archive.shards))

    def missing(self) -> int:
        """Return the most days that have to be gone through, of any shard."""
        return max(map(len, self._steps.values()), default=0)

    def make(self, sources: Sources) -> list[Row]:
        """Go through the days that are missing, and return the sums of each shard through the last day.

        Cut short, the next time goes on with the shards that were not done.

        Args:
            sources: gives what an engine reads.
        """
        groups = list(self._groups())
        if groups:
            # An engine answers one question at a time, with as many threads as it has; the rest goes on beside it.
            with ThreadPoolExecutor(min(len(groups), os.cpu_count() or 1)) as pool:
                list(pool.map(lambda shards: self._make(shards, sources), groups))
            self._sweep()
        return [cell for shard in self.shards if shard.versions for cell in self._known[self._last(shard)]["cells"]]

    def _last(self, shard: Shard) -> str:
        return shard.versions[self._population.as_of]

    def _shard(self, number: int) -> Shard:
        """Name the versions of a shard's days, each by all that it is made from."""
        population = self._population
        begun = [FORMAT, population.experiment, population.earlier, population.covariate_days, self._measures]
        begun += [population.ended_before, self._looks_back]
        version, versions = _hashed(json.dumps(begun)), {}
        day = self._span.first - timedelta(days=population.covariate_days)
        while day <= population.as_of:
            version = _hashed("\n".join([version, *self._made_from(day, number)]))
            if day >= self._span.first:
                versions[day] = version
            day += timedelta(days=1)
        return Shard(number, versions)

    def _made_from(self, day: date, shard: int) -> Iterable[str]:
        """Say what a day adds to what the totals are made from."""
        published = self._published.get(day)
        for table in TABLES:
            yield from (file.sha256 for file in (published.of(table, shard) if published else ()))
        yield from self._left.get(day, {}).get(shard, ())
        if day == self._span.last:
            yield self._span.ends

    @cached_property
    def _steps(self) -> Mapping[int, tuple[date, ...]]:
        """The days that have to be gone through, of each shard whose sums are not known."""
        return {
            shard.number: self._steps_of(shard)
            for shard in self.shards
            if shard.versions and self._last(shard) not in self._known
        }

    def _steps_of(self, shard: Shard) -> tuple[date, ...]:
        """Return the days since the totals that stand."""
        days = list(shard.versions)
        standing = next((place for place in reversed(range(len(days))) if self._stands(shard, days[place])), -1)
        return tuple(days[standing + 1 :])

    def _stands(self, shard: Shard, day: date) -> bool:
        """Tell whether the totals through a day can be read; what was cut short goes."""
        path = self._path(shard, day)
        with suppress(FileNotFoundError):
            try:
                Totals.read(path)
            except (OSError, ValueError):
                path.unlink()
            else:
                return True
        return False

    def _groups(self) -> Iterator[Sequence[Shard]]:
        """Group the shards that go through the same days, as many as an engine is given at a time."""
        lacking: dict[tuple[date, ...], list[Shard]] = defaultdict(list)
        for shard in self.shards:
            if shard.number in self._steps:
                lacking[self._steps[shard.number]].append(shard)
        for alike in lacking.values():
            for places in grouped([self._rows(shard) for shard in alike], at_most=ROWS_TOGETHER):
                yield alike[places.start : places.stop]

    def _rows(self, shard: Shard) -> int:
        """Return how many rows the files of a shard have on all days, those of other experiments included."""
        files = (each.of(table, shard.number) for each in self._published.values() for table in TABLES)
        return sum(file.rows for of in files for file in of)

    def _make(self, shards: Sequence[Shard], sources: Sources) -> None:
        """Bring some shards up to the last day."""
        steps = self._steps[shards[0].number]
        standing = {shard.number: self._standing(shard, steps) for shard in shards}
        sums: dict[int, Sums | None] = {shard.number: self._sums_before(shard, steps) for shard in shards}
        for day in steps:
            added = self._day(day, shards, sources)
            for shard in shards:
                totals, change = standing[shard.number].stepped(
                    added[shard.number], self._families if sums[shard.number] is not None else ()
                )
                standing[shard.number] = totals
                if (before := sums[shard.number]) is not None:
                    before.update(change)
                if day > self._population.as_of - timedelta(days=DAYS_KEPT):
                    _write(self._path(shard, day), totals)
        for shard in shards:
            if sums[shard.number] is None:
                sums[shard.number] = standing[shard.number].sums(self._families)
        with self._lock:
            through = {self._last(shard): _cells(sums[shard.number] or Sums()) for shard in shards}
            last = self._population.as_of.isoformat()
            self._known |= {version: {"day": last, "cells": cells} for version, cells in through.items()}
            self._keep()

    def _standing(self, shard: Shard, steps: Sequence[date]) -> Totals:
        """Return the totals before some days."""
        before = [day for day in shard.versions if not steps or day < steps[0]]
        return Totals.read(self._path(shard, before[-1])) if before else Totals.of_nobody(self._measures)

    def _sums_before(self, shard: Shard, steps: Sequence[date]) -> Sums | None:
        """Return the sums before a single day; of several, all users are added up after the last."""
        if len(steps) != 1:
            return None
        before = [day for day in shard.versions if day < steps[0]]
        if not before:
            return Sums()
        known = self._known.get(shard.versions[before[-1]])
        return None if known is None else _sums(known["cells"])

    def _day(self, day: date, shards: Sequence[Shard], sources: Sources) -> Mapping[int, Day]:
        """Read what a day adds to some shards."""
        numbers = [shard.number for shard in shards]
        population = replace(self._population, as_of=day)
        dialect, measures = self._engine.dialect, self._measures
        with self._lock:
            of_day = sources(numbers, day, day)
            entered = self._answer(running_totals.entered(population, dialect=dialect), of_day)
            deeds = self._answer(running_totals.deeds(population, measures, dialect=dialect), of_day)
            before = None
            if self._looks_back and (day == self._span.first or not population.ended_before):
                reach = self._span.first if population.ended_before else day
                back = sources(numbers, reach - timedelta(days=population.covariate_days), day)
                before = self._answer(running_totals.before(population, measures, dialect=dialect), back)
        parts = [_divided(rows, numbers, self._archive.shards) for rows in (entered, deeds)]
        known = None if before is None else _divided(before, numbers, self._archive.shards)
        return {
            shard: Day(
                parts[0][shard],
                parts[1][shard],
                None if known is None else known[shard],
                self._left.get(day, {}).get(shard, ()),
            )
            for shard in numbers
        }

    def _answer(self, query: str, sources: Sequence[Source]) -> pa.Table:
        found = self._engine.answer(query, sources)
        names = {"user_id", "surface", "arm"}
        return found.cast(
            pa.schema([(each, pa.string() if each in names else pa.int64()) for each in found.schema.names])
        )

    def _keep(self) -> None:
        """Write the sums down, but for versions that are no more; those of later days are not judged now."""
        current = {version for shard in self.shards for version in shard.versions.values()}
        last = self._population.as_of.isoformat()
        kept = {version: each for version, each in self._known.items() if version in current or each["day"] > last}
        write_file(self._sums, json.dumps(kept).encode())

    def _sweep(self) -> None:
        """Delete totals of days gone by, and of versions that are no more once nobody can be reading them."""
        named = {self._path(shard, day) for shard in self.shards for day in list(shard.versions)[-DAYS_KEPT:]}
        last = self._population.as_of.isoformat()
        for path in self._folder.glob("day=*/*"):
            day = path.parent.name.removeprefix("day=")
            with suppress(FileNotFoundError):  # another analysis took it away
                if path not in named and day <= last and time() - path.stat().st_mtime > UNREAD_AFTER:
                    path.unlink()

    def _path(self, shard: Shard, day: date) -> Path:
        return self._folder / f"day={day.isoformat()}" / f"{shard.number:02d}-{shard.versions[day]}.arrow"


def span_of(launch: Launch, mixed: pa.Table) -> Span:
    """Say what running totals depend on of an experiment and its mixed users, (user_id, at)."""
    end = min(launch.ends_at, launch.stopped_at or launch.ends_at).astimezone(UTC)
    left: dict[date, list[str]] = defaultdict(list)
    for user, at in zip(mixed["user_id"].to_pylist(), mixed["at"].to_pylist(), strict=True):
        left[at.astimezone(UTC).date()].append(user)
    # The end is exclusive: an experiment that ends at midnight has its last day before.
    last = (end - timedelta(microseconds=1)).date()
    ordered = {day: sorted(users) for day, users in left.items()}
    return Span(launch.starts_at.astimezone(UTC).date(), last, end.isoformat(), ordered)


def _by_shard(users: Sequence[str], shards: int) -> Mapping[int, Sequence[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    for user, shard in zip(users, shards_of(users, shards).tolist(), strict=True):
        found[shard].append(user)
    return found


def _divided(rows: pa.Table, numbers: Sequence[int], shards: int) -> Mapping[int, pa.Table]:
    """Divide rows by the shard of their users, all of which are given."""
    if len(numbers) == 1:
        return {numbers[0]: rows}
    nobody = rows.slice(0, 0)
    return dict.fromkeys(numbers, nobody) | (dict(split(rows, shards)) if rows.num_rows else {})


def _write(path: Path, totals: Totals) -> None:
    """Write totals under their final name only when all of them are there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    totals.write(beside)
    beside.replace(path)


def _cells(sums: Sums) -> list[dict[str, Any]]:
    """Return sums as JSON has them: one object a surface and arm."""
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    for (surface, arm, name), value in sums.items():
        cells.setdefault((surface, arm), {"surface": surface, "arm": arm})[name] = value
    return [cells[key] for key in sorted(cells)]


def _sums(cells: Iterable[Mapping[str, Any]]) -> Sums:
    """Return what `_cells` wrote."""
    words = {"surface", "arm"}
    return Sums(
        {(each["surface"], each["arm"], name): each[name] for each in cells for name in each if name not in words}
    )


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Read sums; where they cannot be read there are none, and they are made again."""
    with suppress(OSError, ValueError):
        return dict(json.loads(path.read_bytes()))
    return {}


def _hashed(told: str) -> str:
    return sha256(told.encode()).hexdigest()[:20]
