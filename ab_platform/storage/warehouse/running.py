"""Running totals in files: made once, and anew only from a day that changed on.

    running/EXPERIMENT/day=2026-11-30/SS-VERSION.arrow    the `Totals` of one shard through a day

A version is a hash of all that the totals are made from: the archive's files of the shard up to the day, who left, when
the experiment ended, and how it looks back. What has the right name is right; nothing has to be told of a change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from json import dumps
from pathlib import Path
from time import time

from ab_platform.metrics import Measure
from ab_platform.storage.archive import Archive, ArchivedDay, ArchivedFile, shards_of
from ab_platform.storage.archive.numbering import NUMBERED, Numbering
from ab_platform.storage.days import each_day
from ab_platform.storage.population import Population
from ab_platform.storage.warehouse.checked import require_whole
from ab_platform.storage.warehouse.shard_days import ShardDays
from ab_platform.storage.warehouse.temporary import put
from ab_platform.storage.warehouse.totals import Day, Totals

FORMAT = 5
"""Of the files; another number makes all of them anew."""

DAYS_KEPT = 3
"""Days through which totals are kept, up to the one that is asked for: an event that is a day late costs two days."""

UNREAD_AFTER = 86_400.0
"""Seconds after which nobody reads totals any more that have another version now."""


@dataclass(frozen=True)
class Span:
    """What of an experiment its running totals depend on, apart from the archive's files.

    Attributes:
        first: its first day.
        last: the day on which it ended or will end.
        ends: when that is.
        left: users who left, since a second arm was seen, by day.
    """

    first: date
    last: date
    ends: datetime
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

    @property
    def last(self) -> str:
        """The version through the last day."""
        return self.versions[max(self.versions)]


class RunningTotals:
    """The running totals of one experiment.

    Args:
        archive: whose days they are of.
        population: of the experiment, and the last day.
        span: of the experiment.

    Raises:
        StoreError: for a file of the archive that is not as it was published.
    """

    def __init__(self, archive: Archive, population: Population, span: Span) -> None:
        self._archive, self.population, self.span = archive, population, span
        self.folder = archive.folder / "running" / population.experiment
        self._published = self._days()
        self._numbering = Numbering(archive)
        self._numbering.number(file for day in self._published.values() for file in self._needed(day))
        self.left = {day: _by_shard(users, archive.shards) for day, users in span.left.items()}
        self.shards = tuple(self._shard(number) for number in range(archive.shards))

    def standing(
        self, shard: Shard, measures: Collection[Measure] = (), returns: Collection[int] = ()
    ) -> tuple[Totals, tuple[date, ...]]:
        """Return the newest totals of a shard that have some measures and returns, and the days since."""
        days, measures, returns = list(shard.versions), set(measures), set(returns)
        for place in reversed(range(len(days))):
            totals = self._read(shard, days[place])
            if totals is not None and totals.tell(measures, returns):
                return totals, tuple(days[place + 1 :])
            if totals is not None:  # made anew with more; who asked for the others may ask again
                measures |= set(totals.measures)
                returns |= set(totals.returns)
        return Totals.of_nobody(measures, returns), tuple(days)

    def gone_through(
        self, shard: Shard, totals: Totals, days: Sequence[date], take: Callable[[Totals, Day], object] = Totals.take
    ) -> Totals:
        """Return totals that took some days, and keep those of the last ones.

        Args:
            shard: whose.
            totals: through the day before these.
            days: that follow each other.
            take: what takes a day on.
        """
        if not days:
            return totals
        of_shard = self.days_of(shard)
        totals = of_shard.ready(totals, days)
        for day in days:
            take(totals, of_shard.day(day, totals))
            if day in self._kept_days:
                put(self._path(shard, day), totals.write)
        return totals

    def days_of(self, shard: Shard) -> ShardDays:
        """Return what reads the days of a shard."""
        left = {day: of[shard.number] for day, of in self.left.items() if shard.number in of}
        ends = self.span.ends
        return ShardDays(
            self._archive, self._numbering, self._published, shard.number, self.population, self.span.first, ends, left
        )

    def users(self, shard: Shard) -> int:
        """Return how many users of a shard have numbers."""
        return self._numbering.users(shard.number)

    def sweep(self) -> None:
        """Delete totals of days gone by, and of versions that are no more once nobody can be reading them."""
        named = {self._path(shard, day) for shard in self.shards for day in self._kept_days}
        last = self.population.as_of.isoformat()
        for path in self.folder.glob("day=*/*"):
            day = path.parent.name.removeprefix("day=")
            with suppress(FileNotFoundError):  # another analysis took it away
                if path not in named and day <= last and time() - path.stat().st_mtime > UNREAD_AFTER:
                    path.unlink()

    @property
    def _kept_days(self) -> frozenset[date]:
        """Days through which totals are kept; where no day comes any more, the last one."""
        kept = DAYS_KEPT if self.population.as_of < self.span.last else 1
        return frozenset(list(self.shards[0].versions)[-kept:])

    def _read(self, shard: Shard, day: date) -> Totals | None:
        """Return the totals through a day, where they can be read; what was cut short goes."""
        path = self._path(shard, day)
        with suppress(FileNotFoundError):
            try:
                return Totals.read(path)
            except (OSError, ValueError):
                path.unlink()
        return None

    def _path(self, shard: Shard, day: date) -> Path:
        return self.folder / f"day={day.isoformat()}" / f"{shard.number:02d}-{shard.versions[day]}.arrow"

    def _days(self) -> Mapping[date, ArchivedDay]:
        """Return the published days, whose files are as they were published."""
        days = self._archive.days(since=self._since, until=self.population.as_of)
        require_whole(self._archive, [file for day in days for file in self._needed(day)])
        return {each.day: each for each in days}

    def _needed(self, day: ArchivedDay) -> Iterator[ArchivedFile]:
        """Give the files of a day that are read: before the experiment it is what users did."""
        tables = NUMBERED if day.day >= self.span.first else ("user_days",)
        return (file for file in day.files if file.table in tables)

    @property
    def _since(self) -> date:
        """The first day that is looked back to."""
        return self.span.first - timedelta(days=self.population.covariate_days if self.population.earlier else 0)

    def _shard(self, number: int) -> Shard:
        """Name the versions of a shard's days, each by all that it is made from."""
        population = self.population
        begun = [FORMAT, population.experiment, population.earlier, population.covariate_days, population.ended_before]
        version, versions = _hashed(dumps([*begun, self._numbering.lineage(number)])), {}
        for day in each_day(self._since, population.as_of):
            version = _hashed("\n".join([version, *self._made_from(day, number)]))
            if day >= self.span.first:
                versions[day] = version
        return Shard(number, versions)

    def _made_from(self, day: date, shard: int) -> Iterable[str]:
        """Say what a day adds to what the totals are made from."""
        published = self._published.get(day)
        yield from (file.sha256 for file in (self._needed(published) if published else ()) if file.shard == shard)
        yield from self.left.get(day, {}).get(shard, ())
        if day == self.span.last:
            yield self.span.ends.isoformat()


def span_of(begin: datetime, end: datetime, mixed: Iterable[tuple[str, datetime]]) -> Span:
    """Say what running totals depend on of an experiment, its mixed users with when a second arm was seen."""
    left: dict[date, list[str]] = defaultdict(list)
    for user, at in mixed:
        left[at.astimezone(UTC).date()].append(user)
    # The end is exclusive: an experiment that ends at midnight has its last day before.
    last = (end.astimezone(UTC) - timedelta(microseconds=1)).date()
    ordered = {day: sorted(users) for day, users in left.items()}
    return Span(begin.astimezone(UTC).date(), last, end.astimezone(UTC), ordered)


def _by_shard(users: Sequence[str], shards: int) -> Mapping[int, Sequence[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    for user, shard in zip(users, shards_of(users, shards).tolist(), strict=True):
        found[shard].append(user)
    return found


def _hashed(told: str) -> str:
    return sha256(told.encode()).hexdigest()[:20]
