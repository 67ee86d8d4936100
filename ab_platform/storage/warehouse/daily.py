"""Answers that grow from day to day: of running totals and the new days' files, or as they were kept.

running/EXPERIMENT/QUESTION.json    by version of a shard's totals: the answer through the day
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date

from ab_platform.storage.running_totals import measures_of, returns_of, tells
from ab_platform.storage.warehouse import totals_told
from ab_platform.storage.warehouse.answered import Answered, Rows, added_up
from ab_platform.storage.warehouse.questions import ByAge, Cells, DayCounts, ExposedByDay, FirstExposures, Question
from ab_platform.storage.warehouse.running import RunningTotals, Shard
from ab_platform.storage.warehouse.totals import Day, Totals
from ab_platform.storage.warehouse.user_sums import Sums, UserSums, cells_of


def grows(question: Question) -> bool:
    """Tell whether the answer to a question grows from day to day."""
    match question:
        case Cells(families, dimensions):
            return not dimensions and tells(families)
        case ByAge(families):
            return tells(families)
        case FirstExposures(dimensions):
            return not dimensions
    return True


class DailyAnswers:
    """The answers for one experiment, through one day.

    Args:
        running: its totals.
        threads: that go through shards side by side.
    """

    def __init__(self, running: RunningTotals, *, threads: int) -> None:
        self._running, self._threads = running, threads

    def rows(self, question: Question) -> Rows:
        """Return what each shard answers, as the rows of the question's query.

        Cut short, the next time goes on from the totals that were made.
        """
        running, answered = self._running, Answered(self._running.folder, question)
        shards = [shard for shard in running.shards if shard.versions]
        lacking = [shard for shard in shards if shard.last not in answered]
        if lacking:
            with ThreadPoolExecutor(self._threads) as pool:
                found = list(pool.map(lambda shard: self._answer(shard, question, answered), lacking))
            for shard, rows in zip(lacking, found, strict=True):
                answered.put(shard.last, running.population.as_of, rows)
            current = {version for shard in shards for version in shard.versions.values()}
            answered.keep(current, running.population.as_of)
            running.sweep()
        return [row for shard in shards for row in answered[shard.last]]

    def _answer(self, shard: Shard, question: Question, answered: Answered) -> Rows:
        """Answer for the users of a shard."""
        first = self._running.span.first
        match question:
            case Cells():
                return self._cells(shard, question, answered)
            case ByAge():
                return self._by_age(shard, question, answered)
            case DayCounts():
                before, new = _before(shard, answered)
                days = self._running.days_of(shard)
                return [*before, *(row for day in new for row in days.counts(day))]
            case ExposedByDay():
                return list(totals_told.exposed_by_day(self._through(shard), first))
            case FirstExposures():
                return list(totals_told.first_exposures(self._through(shard), first))
        raise TypeError(question)

    def _cells(self, shard: Shard, question: Cells, answered: Answered) -> Rows:
        """Add up all users, or by how much a single day changed the sums."""
        columns = {column for family in question.families for column in family}
        totals, days = self._running.standing(shard, measures_of(columns), returns_of(columns))
        before, new = _before(shard, answered)
        if len(days) == 1 and tuple(new) == days:
            sums = _sums(before)

            def take(totals: Totals, day: Day) -> None:
                sums.update(UserSums(totals, question.families).take(day))

            self._running.gone_through(shard, totals, days, take)
        else:
            sums = UserSums(self._running.gone_through(shard, totals, days), question.families).everybody()
        return cells_of(sums)

    def _by_age(self, shard: Shard, question: ByAge, answered: Answered) -> Rows:
        """Add what users did on the new days; where some left, go through all days, since they count on none."""
        running, days = self._running, self._running.days_of(shard)
        totals = self._through(shard).placed(running.users(shard))
        before, new = _before(shard, answered)
        if any(days.left.get(day) for day in new):
            before, new = [], list(shard.versions)
        measures = sorted(measures_of(column for family in question.families for column in family))
        rows = list(before)
        for day in new:
            number = (day - running.span.first).days
            rows.extend(totals_told.by_age(totals, days.deeds(day, measures), number, question.families))
        return added_up(rows, ("surface", "arm", "age"))

    def _through(self, shard: Shard) -> Totals:
        """Return totals through the last day."""
        return self._running.gone_through(shard, *self._running.standing(shard))


def _before(shard: Shard, answered: Answered) -> tuple[Rows, list[date]]:
    """Return the newest answer that is known, and the days since."""
    days = list(shard.versions)
    for place in reversed(range(len(days))):
        if shard.versions[days[place]] in answered:
            return answered[shard.versions[days[place]]], days[place + 1 :]
    return [], days


def _sums(rows: Rows) -> Sums:
    """Return what `cells_of` made rows of."""
    words = {"surface", "arm"}
    return Sums({(row["surface"], row["arm"], name): row[name] for row in rows for name in row if name not in words})
