"""Running totals in files, and the sums that each day added: made once, and anew only from a day that changed on.

    running/EXPERIMENT/day=2026-11-30/SS-VERSION.parquet    rows of `running_totals`, of one shard
    running/EXPERIMENT/sums-FAMILIES.json                   by version: what the day changed, see `running_totals.sums`

A version is a hash of all that the rows are made from: the archive's files of the shard up to the day, who left, when
the experiment ended, and how it looks back. What has the right name is right; nothing has to be told of a change.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, timedelta
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ab_platform.lineage import Launch
from ab_platform.metrics import Measure
from ab_platform.storage import running_totals
from ab_platform.storage.archive import Archive
from ab_platform.storage.archive.exporting import split
from ab_platform.storage.archive.manifest import replace
from ab_platform.storage.per_user import PerUser
from ab_platform.storage.population import Population
from ab_platform.storage.warehouse.engine import Engine, Source
from ab_platform.storage.warehouse.grouping import grouped

FORMAT = 2
"""Of the rows; another number makes all of them anew."""

UNREAD_AFTER = 86_400.0
"""Seconds after which nobody reads rows any more that have another version now."""

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


class RunningTotals:
    """The running totals of one experiment.

    Args:
        archive: whose days they are of.
        engine: that makes and adds them up.
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
        self._measures: Sequence[Measure] = running_totals.measures_of(families)
        self._known: dict[str, list[dict[str, Any]]] = _read(self._sums)
        since = span.first - timedelta(days=population.covariate_days)
        self._published = {each.day: each for each in archive.days(since=since, until=population.as_of)}
        self.shards = tuple(self._shard(number) for number in range(archive.shards))

    def missing(self) -> frozenset[date]:
        """Return the days whose rows have to be made, in any shard."""
        return frozenset(
            day
            for shard in self.shards
            for day, version in shard.versions.items()
            if version not in self._known and not self._path(shard, day).exists()
        )

    def make(self, sources: Callable[[Sequence[int]], Sequence[Source]], sizes: Sequence[int]) -> list[Row]:
        """Make the rows that are missing, add up the days that are not added up, and return the sums of all days.

        Cut short, the next time goes on with the shards that were not done.

        Args:
            sources: gives what an engine reads of some shards: exposures, user-days, and the small tables.
            sizes: rows of each shard in these.
        """
        for shards in self._groups(sizes):
            new = self._new(shards[0])
            self._make_rows(shards, new, sources)
            self._add_up(shards, new)
            self._sweep()
        return [row for shard in self.shards for version in shard.versions.values() for row in self._known[version]]

    def _sweep(self) -> None:
        """Delete the rows of versions that are no more, and what was cut short, once nobody can be reading them."""
        named = {self._path(shard, day) for shard in self.shards for day in shard.versions}
        days = {path.parent for path in named}
        for path in self._folder.glob("day=*/*"):
            if path.parent in days and path not in named and time() - path.stat().st_mtime > UNREAD_AFTER:
                path.unlink(missing_ok=True)

    def _shard(self, number: int) -> Shard:
        """Name the versions of a shard's days, each by all that it is made from."""
        population = self._population
        begun = [FORMAT, population.experiment, population.earlier, population.covariate_days, self._measures]
        version, versions = _hashed(json.dumps(begun)), {}
        day = self._span.first - timedelta(days=population.covariate_days)
        while day <= population.as_of:
            version = _hashed("\n".join([version, *self._made_from(day, number)]))
            if day >= self._span.first:
                versions[day] = version
            day += timedelta(days=1)
        return Shard(number, versions)

    def _made_from(self, day: date, shard: int) -> Iterable[str]:
        """Say what a day adds to what the rows are made from."""
        published = self._published.get(day)
        for table in ("exposures", "user_days"):
            yield from (file.sha256 for file in (published.of(table, shard) if published else ()))
        yield from self._span.left.get(day, ())
        if day == self._span.last:
            yield self._span.ends

    def _groups(self, sizes: Sequence[int]) -> Iterator[Sequence[Shard]]:
        """Group the shards with something to do that lack the same days, as many as an engine is given at a time."""
        lacking: dict[tuple[tuple[date, ...], tuple[date, ...]], list[Shard]] = defaultdict(list)
        for shard in self.shards:
            if self._new(shard):
                lacking[self._new(shard), self._lacking(shard)].append(shard)
        for alike in lacking.values():
            for places in grouped([sizes[shard.number] for shard in alike]):
                yield alike[places.start : places.stop]

    def _new(self, shard: Shard) -> tuple[date, ...]:
        """Return the days that are not added up."""
        return tuple(day for day, version in shard.versions.items() if version not in self._known)

    def _lacking(self, shard: Shard) -> tuple[date, ...]:
        """Return those of them whose rows are not made."""
        return tuple(day for day in self._new(shard) if not self._path(shard, day).exists())

    def _make_rows(
        self, shards: Sequence[Shard], days: Sequence[date], sources: Callable[[Sequence[int]], Sequence[Source]]
    ) -> None:
        lacking = self._lacking(shards[0])
        if not lacking:
            return
        since = None if lacking[0] == self._span.first else lacking[0]
        query = running_totals.rows(self._population, self._measures, since=since, dialect=self._engine.dialect)
        made = self._engine.answer(query, sources([shard.number for shard in shards]))
        made = made.cast(running_totals.columns(self._measures))
        parts = dict(split(made, self._archive.shards)) if len(shards) > 1 else {shards[0].number: made}
        for shard in shards:
            theirs = parts.get(shard.number, made.slice(0, 0))
            kept = theirs.append_column("shard", pa.repeat(pa.scalar(shard.number, pa.int64()), theirs.num_rows))
            for day in lacking:
                _write(self._path(shard, day), kept.filter(pc.equal(kept["day"], pa.scalar(day))))

    def _add_up(self, shards: Sequence[Shard], days: Sequence[date]) -> None:
        files = tuple(self._path(shard, day) for shard in shards for day in days)
        rows = Source(running_totals.NAME, running_totals.kept_columns(self._measures), files)
        found = self._engine.answer(running_totals.sums(self._families, self._engine.dialect), [rows]).to_pylist()
        for shard in shards:
            for day in days:
                of = [_plain(row) for row in found if (row["shard"], row["day"]) == (shard.number, day)]
                self._known[shard.versions[day]] = of
        current = {version for each in self.shards for version in each.versions.values()}
        later = {version: rows for version, rows in self._known.items() if version in current or self._is_later(rows)}
        replace(self._sums, json.dumps(later).encode())

    def _is_later(self, rows: Sequence[Row]) -> bool:
        """Tell whether sums are of days after the one that is asked for; these are not judged now."""
        return any(row["day"] > self._population.as_of.isoformat() for row in rows)

    def _path(self, shard: Shard, day: date) -> Path:
        return self._folder / f"day={day.isoformat()}" / f"{shard.number:02d}-{shard.versions[day]}.parquet"


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


def _write(path: Path, rows: pa.Table) -> None:
    """Write rows under their final name only when all of them are there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(rows, beside, compression="zstd")
    beside.replace(path)


def _plain(row: Row) -> dict[str, Any]:
    """Return a row as JSON has it: whole numbers, and the day in words."""
    words = {"surface", "arm"}
    numbers = {name: int(value) for name, value in row.items() if name not in words | {"day", "shard"}}
    return {"day": row["day"].isoformat(), **{name: row[name] for name in words}, **numbers}


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Read sums; where they cannot be read there are none, and they are made again."""
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError):
        return {}


def _hashed(told: str) -> str:
    return sha256(told.encode()).hexdigest()[:20]
