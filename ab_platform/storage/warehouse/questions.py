"""What is asked of the archive, of one experiment or of several alike: text, what it reads, how its rows are read.

Every question has rows that add up: each group of shards gives some, and they are merged when they are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Protocol

from ab_platform.storage import day_counts, per_user
from ab_platform.storage.archive import TableName
from ab_platform.storage.day_counts import day_counts_of
from ab_platform.storage.per_user import PerUser
from ab_platform.storage.per_user_statements import Row, ages_of, cells_of, exposed_of, first_of
from ab_platform.storage.population import OneOrMany, Population
from ab_platform.storage.segments import COHORT

Families = tuple[tuple[PerUser, ...], ...]


@dataclass(frozen=True)
class Scope:
    """What a query reads.

    Attributes:
        experiments: their keys.
        as_of: last day; None for all.
        tables: of the archive.
        days_before: the first day is so many before the first experiment's.
        dataset: of the users' attributes.
        attributes: names of those that are needed.
        pairs: of an experiment and another whose user-days are read besides, as those of the time before.
    """

    experiments: tuple[str, ...]
    as_of: date | None
    tables: tuple[TableName, ...]
    days_before: int = 0
    dataset: str = ""
    attributes: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()

    @property
    def read(self) -> frozenset[str]:
        """Return every experiment whose rows are read."""
        return frozenset((*self.experiments, *(earlier for _, earlier in self.pairs)))


class Question(Protocol):
    """A question that can be asked of several experiments at once; equal ones have the same text."""

    def query(self, whose: OneOrMany, dialect: str) -> str:
        """Write the query."""

    def scope(self, whose: OneOrMany) -> Scope:
        """Say what it reads."""

    def answer(self, rows: Iterable[Row]) -> tuple[Any, ...]:
        """Read the rows of one experiment."""


@dataclass(frozen=True)
class Cells:
    """The exact sums of each (surface, arm, segments)."""

    families: Families
    dimensions: tuple[str, ...] = ()

    def query(self, whose: OneOrMany, dialect: str) -> str:
        """Write the query."""
        return per_user.sums(whose, self.families, self.dimensions, dialect=dialect)

    def scope(self, whose: OneOrMany) -> Scope:
        """Say what it reads."""
        return of_users(whose, {column for family in self.families for column in family}, self.dimensions)

    def answer(self, rows: Iterable[Row]) -> tuple[Any, ...]:
        """Read the rows of one experiment."""
        return cells_of(rows, self.families, self.dimensions)


@dataclass(frozen=True)
class ByAge:
    """The exact sums of those who came, by days since their exposure."""

    families: Families

    def query(self, whose: OneOrMany, dialect: str) -> str:
        """Write the query."""
        return per_user.by_age(whose, self.families, dialect=dialect)

    def scope(self, whose: OneOrMany) -> Scope:
        """Say what it reads."""
        return of_users(whose, ())

    def answer(self, rows: Iterable[Row]) -> tuple[Any, ...]:
        """Read the rows of one experiment."""
        return ages_of(rows, self.families)


@dataclass(frozen=True)
class ExposedByDay:
    """Users on each surface by the day of their exposure."""

    def query(self, whose: OneOrMany, dialect: str) -> str:
        """Write the query."""
        return per_user.exposed_by_day(whose, dialect=dialect)

    def scope(self, whose: OneOrMany) -> Scope:
        """Say what it reads."""
        return _of_exposures(whose)

    def answer(self, rows: Iterable[Row]) -> tuple[Any, ...]:
        """Read the rows of one experiment."""
        return exposed_of(rows)


@dataclass(frozen=True)
class FirstExposures:
    """Users by the day of their first exposure on any surface, and by segment."""

    dimensions: tuple[str, ...] = ()

    def query(self, whose: OneOrMany, dialect: str) -> str:
        """Write the query."""
        return per_user.first_exposures(whose, self.dimensions, dialect=dialect)

    def scope(self, whose: OneOrMany) -> Scope:
        """Say what it reads."""
        return _of_exposures(whose, self.dimensions)

    def answer(self, rows: Iterable[Row]) -> tuple[Any, ...]:
        """Read the rows of one experiment."""
        return first_of(rows, self.dimensions)


@dataclass(frozen=True)
class DayCounts:
    """User-days by surface, arm and day."""

    def query(self, whose: OneOrMany, dialect: str) -> str:
        """Write the query."""
        return day_counts.counted(whose.experiments, whose.as_of, dialect=dialect)

    def scope(self, whose: OneOrMany) -> Scope:
        """Say what it reads."""
        return Scope(whose.experiments, whose.as_of, ("user_days",))

    def answer(self, rows: Iterable[Row]) -> tuple[Any, ...]:
        """Read the rows of one experiment."""
        return day_counts_of(rows)


def shape(question: Question, population: Population) -> Population:
    """Return what the text depends on besides the names of experiments: those that share it can be asked at once."""
    scope = question.scope(population)
    blank = Population("", population.as_of, scope.dataset if scope.attributes else "")
    if not scope.days_before:
        return blank
    asked = replace(blank, covariate_days=population.covariate_days, ended_before=population.ended_before)
    return replace(asked, earlier=("any",) if population.earlier else ())


def of_users(whose: OneOrMany, columns: Iterable[PerUser], dimensions: Sequence[str] = ()) -> Scope:
    """Say what is read to know what users did."""
    wanted = tuple(columns)
    before = whose.covariate_days if any(each.source == "before" for each in wanted) else 0
    known = {str(each.name) for each in wanted if each.source in ("attribute", "attribute_known")}
    return Scope(
        whose.experiments,
        whose.as_of,
        ("user_days", "exposures"),
        before,
        whose.dataset,
        tuple(sorted(known | _attributes(dimensions))),
        whose.pairs if before else (),
    )


def _of_exposures(whose: OneOrMany, dimensions: Sequence[str] = ()) -> Scope:
    names = tuple(sorted(_attributes(dimensions)))
    return Scope(whose.experiments, whose.as_of, ("exposures",), dataset=whose.dataset, attributes=names)


def _attributes(dimensions: Sequence[str]) -> set[str]:
    return {name for name in dimensions if name != COHORT}
