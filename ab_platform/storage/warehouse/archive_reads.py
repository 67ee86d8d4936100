"""Reads of users from the archive: each query runs once a shard, and what the shards give is added up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ab_platform.errors import StoreError
from ab_platform.events import Surface
from ab_platform.storage import day_counts, per_user
from ab_platform.storage.archive import Archive, ArchivedDay, TableName, arrow_schema
from ab_platform.storage.connection import reading
from ab_platform.storage.day_counts import DayCount
from ab_platform.storage.described import moment_of
from ab_platform.storage.per_user import PerUser
from ab_platform.storage.per_user_statements import (
    AgeCell,
    Cell,
    ExposedOn,
    FirstExposed,
    UserValues,
    values_of,
)
from ab_platform.storage.population import Population, Populations
from ab_platform.storage.split_statements import ExposedUsers, KnownUsers
from ab_platform.storage.store import Store
from ab_platform.storage.title_groups import TitleGroups
from ab_platform.storage.user_days import RolledUp
from ab_platform.storage.wanted import Progress, Wanted, untold
from ab_platform.storage.warehouse import small_tables
from ab_platform.storage.warehouse.ahead import EXPERIMENTS_AT_ONCE, Answers, named, questions, together
from ab_platform.storage.warehouse.checked import require_whole
from ab_platform.storage.warehouse.daily import DailyAnswers, grows
from ab_platform.storage.warehouse.engine import Engine, Source
from ab_platform.storage.warehouse.grouping import ROWS_AT_ONCE, grouped, rows_of, shared
from ab_platform.storage.warehouse.questions import (
    ByAge,
    Cells,
    DayCounts,
    ExposedByDay,
    FirstExposures,
    Question,
    Scope,
    of_users,
)
from ab_platform.storage.warehouse.running import RunningTotals, Span, span_of
from ab_platform.storage.warehouse.shared import SharedTotals, shares
from ab_platform.storage.warehouse.temporary import temporary


class ArchiveReads:
    """Every read of users that an analysis makes, from the archive.

    Experiments, mixed users and attributes are small beside what users did, and are taken from the database.

    Args:
        store: the database.
        archive: the published days.
        engine: that reads them.
        publish: brings the archive up to date after a roll-up; nothing where somebody else does.
    """

    def __init__(
        self, store: Store, archive: Archive, engine: Engine, *, publish: Callable[[], object] = lambda: None
    ) -> None:
        self._store, self._archive, self._engine, self._publish = store, archive, engine, publish
        self._ahead: Answers = {}

    def roll_up(self) -> RolledUp:
        """Count the user-days of new events in the database, and publish the days that changed."""
        self._ahead.clear()
        rolled_up = self._store.roll_up()
        self._publish()
        return rolled_up

    def read_ahead(self, wanted: Sequence[Wanted], progress: Progress = untold) -> None:
        """Read what several analyses are about to ask, of all small experiments at once.

        A big one, whose rows fill a query, is left to be asked: its running totals may tell, and many share no scan.
        """
        if len(wanted) < 2:
            return
        rows = self._rows_of_each([each.population for each in wanted])
        small = [each for each in wanted if rows[each.population.experiment] <= ROWS_AT_ONCE]
        queries = list(together(questions(small), rows, at_most=ROWS_AT_ONCE * self._archive.shards))
        for number, (question, populations) in enumerate(queries):
            progress(number, len(queries))
            self._read_together(question, populations)
        progress(len(queries), len(queries))

    def watermarks(self, experiments: Sequence[str], as_of: date | None = None) -> Mapping[str, datetime]:
        """Return what `watermark` does of each experiment that has one, by its key."""
        if self._engine.embedded and len(experiments) == 1:
            newest = self.watermark(experiments[0], as_of)
            return {} if newest is None else {experiments[0]: newest}
        return self._watermarks(experiments, as_of)

    def attributes(self, dataset: str) -> Mapping[str, int]:
        """Return how many values each user attribute of a data set has, by name."""
        return self._store.attributes(dataset)

    def cells(
        self, population: Population, families: Sequence[Sequence[PerUser]], dimensions: Sequence[str] = ()
    ) -> tuple[Cell, ...]:
        """Add up the users of each (surface, arm, segments) exactly, sorted."""
        return self._answered(Cells(tuple(map(tuple, families)), tuple(dimensions)), population)

    def user_values(self, population: Population, columns: Sequence[PerUser]) -> tuple[UserValues, ...]:
        """Read the users' rows, a surface at a time."""
        query = per_user.values(population, columns, dialect=self._engine.dialect)
        rows = pa.concat_tables(self._answers(query, of_users(population, columns)))
        rows = rows.sort_by("user_id")
        users, surfaces, arms = (rows[name].to_numpy() for name in ("user_id", "surface", "arm"))
        whole = [rows[column.label].to_numpy() for column in sorted(set(columns))]
        return values_of(users, surfaces, arms, np.column_stack(whole).astype(np.float64), columns=columns)

    def by_age(self, population: Population, families: Sequence[Sequence[PerUser]]) -> tuple[AgeCell, ...]:
        """Add up what users did on each day since their exposure's, of those who came then."""
        return self._answered(ByAge(tuple(map(tuple, families))), population)

    def exposed_by_day(self, population: Population) -> tuple[ExposedOn, ...]:
        """Count users on each surface by the day of their exposure."""
        return self._answered(ExposedByDay(), population)

    def first_exposed(self, population: Population, dimensions: Sequence[str] = ()) -> tuple[FirstExposed, ...]:
        """Count users by the day of their first exposure on any surface, and by segment."""
        return self._answered(FirstExposures(tuple(dimensions)), population)

    def title_groups(self, population: Population) -> tuple[TitleGroups, ...]:
        """Count the titles that random groups of users were shown, from the raw events that the database has."""
        return self._store.title_groups(population)

    def mixed_users(self, experiment: str, as_of: date) -> int:
        """Count the users who were seen in several arms up to `as_of` inclusive; they are in no sum above."""
        return self._store.mixed_users(experiment, as_of)

    def day_counts(self, experiment: str, as_of: date) -> tuple[DayCount, ...]:
        """Count user-days by surface, arm and day up to `as_of` inclusive, also those of mixed users."""
        return self._answered(DayCounts(), named(experiment, as_of))

    def watermark(self, experiment: str, as_of: date | None = None) -> datetime | None:
        """Return the time of the newest event that counts, up to `as_of` where it is given."""
        if not self._engine.embedded:
            return self._watermarks([experiment], as_of).get(experiment)
        last = as_of or max(self._archive.published(), default=None)
        if last is None:
            return None
        rows = self._daily(named(experiment, last)).rows(DayCounts())
        return max((moment_of(row["last_at"]) for row in rows), default=None)

    def exposed_users(
        self, population: Population, surfaces: Sequence[Surface], attributes: Sequence[str] = ()
    ) -> Iterator[ExposedUsers]:
        """Stream the exposed users from the database, which must have them."""
        self._require_in_database(population)
        return self._store.exposed_users(population, surfaces, attributes)

    def known_users(self, population: Population) -> Iterator[KnownUsers]:
        """Stream the users of the data set, and whether they were exposed, from the database."""
        self._require_in_database(population)
        return self._store.known_users(population)

    def _watermarks(self, experiments: Sequence[str], as_of: date | None) -> Mapping[str, datetime]:
        """Ask the engine what `watermarks` returns."""
        found: dict[str, datetime] = {}
        for first in range(0, len(experiments), EXPERIMENTS_AT_ONCE):
            keys = tuple(experiments[first : first + EXPERIMENTS_AT_ONCE])
            query = day_counts.newest(keys, as_of, dialect=self._engine.dialect)
            for row in self._rows(query, Scope(keys, as_of, ("user_days",))):
                if row["last_at"] is not None:
                    key, newest = row.get("experiment", keys[0]), moment_of(row["last_at"])
                    found[key] = max(newest, found.get(key, newest))
        return found

    def _daily(self, population: Population) -> DailyAnswers:
        """Open what is known from the days before."""
        [span] = self._spans([population.experiment]).values()
        return DailyAnswers(RunningTotals(self._archive, population, span), threads=self._engine.threads)

    def _spans(self, experiments: Sequence[str]) -> Mapping[str, Span]:
        """Return when experiments last and who left them, by their keys."""
        with reading(self._store.engine) as connection:
            small_tables.first_day(connection, *experiments)  # which refuses one that is not launched
            lasting = small_tables.lasting(connection, *experiments)
            left = small_tables.left(connection, *experiments)
        return {key: span_of(*lasting[key], left.get(key, ())) for key in experiments}

    def _require_in_database(self, population: Population) -> None:
        if self._store.watermark(population.experiment) is None:
            raise StoreError(
                f"the users of {population.experiment} are in the archive alone; their split can only be computed "
                "again from exposures in the database: replay or record them there"
            )

    def _answered(self, question: Question, population: Population) -> tuple[Any, ...]:
        """Give what was read ahead, once; or ask."""
        known = self._ahead.pop((question, population), None)
        if known is not None:
            return known
        if self._engine.embedded and grows(question):
            return question.answer(self._daily(population).rows(question))
        return question.answer(self._rows(question.query(population, self._engine.dialect), question.scope(population)))

    def _read_together(self, question: Question, populations: Sequence[Population]) -> None:
        if self._engine.embedded and shares(question):
            spans = self._spans([each.experiment for each in populations])
            rows = SharedTotals(self._archive, populations, spans, threads=self._engine.threads).rows(question)
        else:
            rows = self._rows_together(question, Populations.of(populations))
        for each in populations:
            self._ahead[question, each] = question.answer(rows[each.experiment])

    def _rows_together(self, question: Question, whose: Populations) -> Mapping[str, list[dict[str, Any]]]:
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in self._rows(question.query(whose, self._engine.dialect), question.scope(whose)):
            rows[row["experiment"]].append(row)
        return rows

    def _rows_of_each(self, populations: Sequence[Population]) -> dict[str, float]:
        """Estimate how many rows an engine reads for each experiment, those of the time before included."""
        if not populations:
            return {}
        with reading(self._store.engine) as connection:
            known = small_tables.keys(connection)
        scope = Scope(
            tuple(each.experiment for each in populations),
            max(each.as_of for each in populations),
            ("user_days", "exposures"),
            max(each.covariate_days for each in populations),
        )
        days = self._days(scope)
        paths = (path for table in days for path in self._archive.paths(days[table], table))
        rows = shared(paths, known)
        read = {each.experiment: (each.experiment, *each.earlier) for each in populations}
        return {key: sum(rows.get(of, 0.0) for of in theirs) for key, theirs in read.items()}

    def _rows(self, query: str, scope: Scope) -> Iterator[dict[str, Any]]:
        for rows in self._answers(query, scope):
            yield from rows.to_pylist()

    def _answers(self, query: str, scope: Scope) -> Iterator[pa.Table]:
        """Give what the query gives for each shard; for all of them at once where the engine divides them itself."""
        with temporary(self._archive.folder) as folder:
            small, attributes = self._small(scope, folder)
            days = self._days(scope)
            for shards in self._shards(days, scope):
                large = [self._large(days, table, shards) for table in scope.tables]
                known = [_together([attributes[shard] for shard in shards])] if attributes else []
                yield self._engine.answer(query, [*large, *small, *known])

    def _shards(self, days: Mapping[TableName, Sequence[ArchivedDay]], scope: Scope) -> Iterable[range]:
        """Group the shards that the engine is given at a time."""
        every = range(self._archive.shards)
        if self._engine.divides:
            return [every]
        return grouped(self._sizes(days, scope))

    def _sizes(self, days: Mapping[TableName, Sequence[ArchivedDay]], scope: Scope) -> list[int]:
        """Return how many rows an engine reads of each shard."""
        read = scope.read
        return [
            sum(rows_of(path, read) for table in days for path in self._archive.paths(days[table], table, shard))
            for shard in range(self._archive.shards)
        ]

    def _days(self, scope: Scope) -> dict[TableName, tuple[ArchivedDay, ...]]:
        """Return the days of each table that the query needs, their files as they were published."""
        with reading(self._store.engine) as connection:
            first = small_tables.first_day(connection, *scope.experiments)
        days = {
            table: self._archive.days(
                since=first - timedelta(days=scope.days_before if table == "user_days" else 0), until=scope.as_of
            )
            for table in scope.tables
        }
        require_whole(self._archive, [file for table, of in days.items() for day in of for file in day.of(table)])
        return days

    def _large(
        self, days: Mapping[TableName, Sequence[ArchivedDay]], table: TableName, shards: Iterable[int]
    ) -> Source:
        paths = (path for shard in shards for path in self._archive.paths(days[table], table, shard))
        return Source(table, arrow_schema(table), tuple(map(Path, paths)))

    def _small(self, scope: Scope, folder: Path) -> tuple[list[Source], tuple[Source, ...]]:
        """Return the small tables of the database, and the attributes of each shard."""
        with reading(self._store.engine) as connection:
            small = [small(connection, *scope.experiments) for small in (small_tables.spans, small_tables.mixed)]
            if len(scope.experiments) > 1 and scope.days_before:
                small.append(small_tables.earlier(scope.pairs))
            if not scope.attributes:
                return small, ()
            names, shards = scope.attributes, self._archive.shards
            return small, small_tables.attributes(connection, scope.dataset, names, shards=shards, folder=folder)


def _together(sources: Sequence[Source]) -> Source:
    first = sources[0]
    return Source(first.name, first.columns, tuple(path for source in sources for path in source.files))
