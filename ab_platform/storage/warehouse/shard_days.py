"""What days add to the totals of one experiment's users in one shard, read from the archive's files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ab_platform.metrics import Measure
from ab_platform.storage.archive import Archive, ArchivedDay, TableName
from ab_platform.storage.archive.numbering import NUMBERED, Numbering
from ab_platform.storage.days import each_day
from ab_platform.storage.population import Population
from ab_platform.storage.warehouse.numbered import Deeds, Entered, Ints, NumberedFile
from ab_platform.storage.warehouse.totals import Day, Totals


@dataclass(frozen=True, eq=False)
class ShardDays:
    """The days of a shard.

    Attributes:
        archive: that has the files.
        numbering: of its users.
        published: the days that there are, with those that are looked back to.
        shard: whose users.
        population: the experiment, and how it looks back.
        first: day of the experiment.
        ends: when exposures stop to count.
        left: users who were seen in a second arm, by day.
    """

    archive: Archive
    numbering: Numbering
    published: Mapping[date, ArchivedDay]
    shard: int
    population: Population
    first: date
    ends: datetime
    left: Mapping[date, Sequence[str]]

    def ready(self, totals: Totals, days: Sequence[date]) -> Totals:
        """Return a copy that takes some days one by one, and has what their new users did before.

        Args:
            totals: through the day before these.
            days: that follow each other, at least one.
        """
        own = [file for day in days for table in NUMBERED for file in self._files(table, day)]
        past = list(self._past(days))
        users = (file.users for file in (*own, *(file for _, file in past if self.population.ended_before)))
        ready = totals.with_room(users, users=self.numbering.users(self.shard))
        if self.population.ended_before:
            for _, file in past:
                ready.remember(file.deeds(ready.measures))
        elif past:
            exposed = self._exposed(days, ready)
            for day, file in past:
                done = file.deeds(ready.measures)
                ready.remember(done.among(self._shortly_before(exposed, done, day)))
        return ready

    def day(self, day: date, totals: Totals) -> Day:
        """Read what a day adds.

        Args:
            day: which.
            totals: that will take it.
        """
        entered = next((file.entered(self.ends) for file in self._files("exposures", day)), Entered.nobody())
        left = self.numbering.find(self.shard, self.left.get(day, ())).values()
        return Day(entered, self.deeds(day, totals.needed), np.array(list(left), dtype=np.int32))

    def deeds(self, day: date, measures: Sequence[Measure]) -> Deeds:
        """Read what users did on a day."""
        return next((file.deeds(measures) for file in self._files("user_days", day)), Deeds.none(measures))

    def counts(self, day: date) -> list[dict[str, Any]]:
        """Count the user-days of a day."""
        return [{**row, "day": day.isoformat()} for file in self._files("user_days", day) for row in file.counts()]

    def _past(self, days: Sequence[date]) -> Iterator[tuple[date, NumberedFile]]:
        """Give the user-days of earlier experiments that new users of some days are looked back to.

        Where all of these lie before every exposure, the first day takes them, of everybody.
        """
        if not self.population.earlier or (self.population.ended_before and days[0] != self.first):
            return
        for day in each_day(days[0] - self._reach, self.first if self.population.ended_before else days[-1]):
            yield from ((day, file) for key in self.population.earlier for file in self._files("user_days", day, key))

    @property
    def _reach(self) -> timedelta:
        return timedelta(days=self.population.covariate_days)

    def _exposed(self, days: Sequence[date], totals: Totals) -> Mapping[str, Ints]:
        """Return on which of some days the users entered, ordinals by surface and number; totals forget their past."""
        found: dict[str, Ints] = {}
        for day in days:
            for file in self._files("exposures", day):
                entered = file.entered(self.ends)
                totals.forget_before(entered)
                for code, surface in enumerate(entered.surfaces.words):
                    on = found.setdefault(surface, np.zeros(len(totals.places), dtype=np.int32))
                    on[entered.users[entered.surfaces.codes == code]] = day.toordinal()
        return found

    def _shortly_before(self, exposed: Mapping[str, Ints], done: Deeds, day: date) -> NDArray[np.bool_]:
        """Tell of each row whether its day is before the user entered, and within reach."""
        found = np.zeros(len(done.users), dtype=np.bool_)
        for code, surface in enumerate(done.surfaces.words):
            if surface in exposed:
                after = exposed[surface][done.users] - day.toordinal()
                found |= (done.surfaces.codes == code) & (after > 0) & (after <= self._reach.days)
        return found

    def _files(self, table: TableName, day: date, experiment: str | None = None) -> list[NumberedFile]:
        """Return what a day has of an experiment, by default this one: in one file, or in none."""
        published, key = self.published.get(day), experiment or self.population.experiment
        files = published.of(table, self.shard) if published else ()
        return [NumberedFile(self.archive, self.numbering, file, key) for file in files]
