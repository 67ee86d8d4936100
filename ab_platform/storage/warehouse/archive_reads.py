"""Reads of users from the archive: each query runs once a shard, and what the shards give is added up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from ab_platform.errors import StoreError
from ab_platform.events import Surface
from ab_platform.storage import day_counts, per_user, running_totals
from ab_platform.storage.archive import Archive, ArchivedDay, TableName, arrow_schema
from ab_platform.storage.connection import reading
from ab_platform.storage.day_counts import DayCount, day_counts_of
from ab_platform.storage.described import moment_of
from ab_platform.storage.per_user import COHORT, PerUser
from ab_platform.storage.per_user_statements import (
    AgeCell,
    Cell,
    ExposedOn,
    FirstExposed,
    UserValues,
    ages_of,
    cells_of,
    exposed_of,
    first_of,
    values_of,
)
from ab_platform.storage.population import Population
from ab_platform.storage.split_statements import ExposedUsers, KnownUsers
from ab_platform.storage.store import Store
from ab_platform.storage.title_groups import TitleGroups
from ab_platform.storage.user_days import RolledUp
from ab_platform.storage.warehouse import small_tables
from ab_platform.storage.warehouse.checked import require_whole
from ab_platform.storage.warehouse.engine import Engine, Source
from ab_platform.storage.warehouse.grouping import grouped, rows_of
from ab_platform.storage.warehouse.running import Families, Row, RunningTotals, span_of


@dataclass(frozen=True)
class Scope:
    """What a query reads.

    Attributes:
        experiment: its key.
        as_of: last day; None for all.
        tables: of the archive.
        days_before: the first day is so many before the experiment's.
        dataset: of the users' attributes.
        attributes: names of those that are needed.
        earlier: experiments whose user-days are read besides.
    """

    experiment: str
    as_of: date | None
    tables: tuple[TableName, ...]
    days_before: int = 0
    dataset: str = ""
    attributes: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()


MADE_AFTER_THE_END = 2
"""Days of running totals that are made where no further day comes; more cost more than to add up all users once."""


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

    def roll_up(self) -> RolledUp:
        """Count the user-days of new events in the database, and publish the days that changed."""
        rolled_up = self._store.roll_up()
        self._publish()
        return rolled_up

    def attributes(self, dataset: str) -> Mapping[str, int]:
        """Return how many values each user attribute of a data set has, by name."""
        return self._store.attributes(dataset)

    def cells(
        self, population: Population, families: Sequence[Sequence[PerUser]], dimensions: Sequence[str] = ()
    ) -> tuple[Cell, ...]:
        """Add up the users of each (surface, arm, segments) exactly, sorted.

        From running totals where they are kept: of a column and an experiment whose days come one by one.
        """
        if not dimensions and not self._engine.divides and running_totals.tells(families):
            daily = self._daily(population, families)
            if daily is not None:
                return tuple(cell for cell in cells_of(daily, families, ()) if cell.sums.n)
        query = per_user.sums(population, families, dimensions, dialect=self._engine.dialect)
        columns = {column for family in families for column in family}
        return cells_of(self._rows(query, _of_users(population, columns, dimensions)), families, dimensions)

    def user_values(self, population: Population, columns: Sequence[PerUser]) -> tuple[UserValues, ...]:
        """Read the users' rows, a surface at a time."""
        query = per_user.values(population, columns, dialect=self._engine.dialect)
        rows = pa.concat_tables(self._answers(query, _of_users(population, columns)))
        rows = rows.sort_by("user_id")
        users, surfaces, arms = (rows[name].to_numpy() for name in ("user_id", "surface", "arm"))
        whole = [rows[column.label].to_numpy() for column in sorted(set(columns))]
        return values_of(users, surfaces, arms, np.column_stack(whole).astype(np.float64), columns=columns)

    def by_age(self, population: Population, families: Sequence[Sequence[PerUser]]) -> tuple[AgeCell, ...]:
        """Add up what users did on each day since their exposure's, of those who came then."""
        query = per_user.by_age(population, families, dialect=self._engine.dialect)
        return ages_of(self._rows(query, _of_users(population, ())), families)

    def exposed_by_day(self, population: Population) -> tuple[ExposedOn, ...]:
        """Count users on each surface by the day of their exposure."""
        query = per_user.exposed_by_day(population, dialect=self._engine.dialect)
        return exposed_of(self._rows(query, _of_exposures(population)))

    def first_exposed(self, population: Population, dimensions: Sequence[str] = ()) -> tuple[FirstExposed, ...]:
        """Count users by the day of their first exposure on any surface, and by segment."""
        query = per_user.first_exposures(population, dimensions, dialect=self._engine.dialect)
        return first_of(self._rows(query, _of_exposures(population, dimensions)), dimensions)

    def title_groups(self, population: Population) -> tuple[TitleGroups, ...]:
        """Count the titles that random groups of users were shown, from the raw events that the database has."""
        return self._store.title_groups(population)

    def mixed_users(self, experiment: str, as_of: date) -> int:
        """Count the users who were seen in several arms up to `as_of` inclusive; they are in no sum above."""
        return self._store.mixed_users(experiment, as_of)

    def day_counts(self, experiment: str, as_of: date) -> tuple[DayCount, ...]:
        """Count user-days by surface, arm and day up to `as_of` inclusive, also those of mixed users."""
        query = day_counts.counted(experiment, as_of, dialect=self._engine.dialect)
        return day_counts_of(self._rows(query, Scope(experiment, as_of, ("user_days",))))

    def watermark(self, experiment: str, as_of: date | None = None) -> datetime | None:
        """Return the time of the newest event that counts, up to `as_of` where it is given."""
        query = day_counts.newest(experiment, as_of, dialect=self._engine.dialect)
        rows = self._rows(query, Scope(experiment, as_of, ("user_days",)))
        return max((moment_of(row["last_at"]) for row in rows if row["last_at"] is not None), default=None)

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

    def _daily(self, population: Population, families: Families) -> list[Row] | None:
        """Return what each day changed; None where so much is missing that all users at once cost less."""
        columns = {column for family in families for column in family}
        scope = _of_users(population, columns)
        with reading(self._store.engine) as connection:
            mixed = small_tables.mixed(connection, population.experiment)
        span = span_of(self._store.experiment(population.experiment), mixed.whole)
        running = RunningTotals(self._archive, self._engine, population, families, span)
        if population.as_of >= span.last and running.missing() > MADE_AFTER_THE_END:
            return None
        small, _ = self._small(scope, self._archive.folder)
        days = self._days(scope)

        def sources(shards: Sequence[int], since: date, until: date) -> Sequence[Source]:
            between = {table: [day for day in of if since <= day.day <= until] for table, of in days.items()}
            return [*(self._large(between, table, shards) for table in scope.tables), *small]

        return running.make(sources, self._sizes(days, scope))

    def _require_in_database(self, population: Population) -> None:
        if self._store.watermark(population.experiment) is None:
            raise StoreError(
                f"the users of {population.experiment} are in the archive alone; their split can only be computed "
                "again from exposures in the database: replay or record them there"
            )

    def _rows(self, query: str, scope: Scope) -> Iterator[Mapping[str, Any]]:
        for rows in self._answers(query, scope):
            yield from rows.to_pylist()

    def _answers(self, query: str, scope: Scope) -> Iterator[pa.Table]:
        """Give what the query gives for each shard; for all of them at once where the engine divides them itself."""
        with TemporaryDirectory(dir=self._archive.folder, prefix=".query-") as folder:
            small, attributes = self._small(scope, Path(folder))
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
        read = {scope.experiment, *scope.earlier}
        return [
            sum(rows_of(path, read) for table in days for path in self._archive.paths(days[table], table, shard))
            for shard in range(self._archive.shards)
        ]

    def _days(self, scope: Scope) -> dict[TableName, tuple[ArchivedDay, ...]]:
        """Return the days of each table that the query needs, their files as they were published."""
        first = self._store.experiment(scope.experiment).starts_at.astimezone(UTC).date()
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
            small = [small_tables.spans(connection, scope.experiment), small_tables.mixed(connection, scope.experiment)]
            if not scope.attributes:
                return small, ()
            names, shards = scope.attributes, self._archive.shards
            return small, small_tables.attributes(connection, scope.dataset, names, shards=shards, folder=folder)


def _of_users(population: Population, columns: Iterable[PerUser], dimensions: Sequence[str] = ()) -> Scope:
    before = population.covariate_days if any(each.source == "before" for each in columns) else 0
    known = {str(each.name) for each in columns if each.source in ("attribute", "attribute_known")}
    names = tuple(sorted(known | _attributes(dimensions)))
    return Scope(
        population.experiment,
        population.as_of,
        ("user_days", "exposures"),
        before,
        population.dataset,
        names,
        population.earlier if before else (),
    )


def _of_exposures(population: Population, dimensions: Sequence[str] = ()) -> Scope:
    names = tuple(sorted(_attributes(dimensions)))
    return Scope(population.experiment, population.as_of, ("exposures",), dataset=population.dataset, attributes=names)


def _attributes(dimensions: Sequence[str]) -> set[str]:
    return {name for name in dimensions if name != COHORT}


def _together(sources: Sequence[Source]) -> Source:
    first = sources[0]
    return Source(first.name, first.columns, tuple(path for source in sources for path in source.files))
