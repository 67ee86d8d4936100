"""What an analysis reads of users: who was exposed, what they did, and what is known of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime

from ab_platform.events import Surface
from ab_platform.storage import attributes, day_counts, per_user_statements, split_statements, title_groups, user_days
from ab_platform.storage.connection import reading, writing
from ab_platform.storage.day_counts import DayCount
from ab_platform.storage.keeping.kept import Kept
from ab_platform.storage.per_user import PerUser
from ab_platform.storage.per_user_statements import AgeCell, Cell, ExposedOn, FirstExposed, UserValues
from ab_platform.storage.population import Population
from ab_platform.storage.split_statements import ExposedUsers, KnownUsers
from ab_platform.storage.title_groups import TitleGroups
from ab_platform.storage.wanted import Progress, Wanted, untold


class Observed(Kept):
    """Every read of users that an analysis makes, of the whole population of an experiment."""

    def read_ahead(self, wanted: Sequence[Wanted], progress: Progress = untold) -> None:
        """Do nothing: the database finds an experiment's rows by their key, whatever else is asked."""

    def watermarks(self, experiments: Sequence[str], as_of: date | None = None) -> Mapping[str, datetime]:
        """Return what `watermark` does of each experiment that has one, by its key."""
        with reading(self.engine) as connection:
            return user_days.watermarks(connection, experiments, as_of=as_of)

    def attributes(self, dataset: str) -> Mapping[str, int]:
        """Return how many values each user attribute of a data set has, by name."""
        with reading(self.engine) as connection:
            return attributes.counts(connection, dataset)

    def cells(
        self, population: Population, families: Sequence[Sequence[PerUser]], dimensions: Sequence[str] = ()
    ) -> tuple[Cell, ...]:
        """Add up the users of each (surface, arm, segments) exactly, sorted.

        Args:
            population: whose rows.
            families: columns whose products with each other are wanted.
            dimensions: what the users are divided by: user attributes, `interactions` or `cohort`.
        """
        with reading(self.engine) as connection:
            return per_user_statements.cells(connection, population, families=families, dimensions=dimensions)

    def user_values(self, population: Population, columns: Sequence[PerUser]) -> tuple[UserValues, ...]:
        """Read the users' rows, a surface at a time."""
        with reading(self.engine) as connection:
            return per_user_statements.values(connection, population, columns=columns)

    def by_age(self, population: Population, families: Sequence[Sequence[PerUser]]) -> tuple[AgeCell, ...]:
        """Add up what users did on each day since their exposure's, of those who came then."""
        with reading(self.engine) as connection:
            return per_user_statements.by_age(connection, population, families=families)

    def exposed_by_day(self, population: Population) -> tuple[ExposedOn, ...]:
        """Count users on each surface by the day of their exposure."""
        with reading(self.engine) as connection:
            return per_user_statements.exposed_by_day(connection, population)

    def first_exposed(self, population: Population, dimensions: Sequence[str] = ()) -> tuple[FirstExposed, ...]:
        """Count users by the day of their first exposure on any surface, and by segment."""
        with reading(self.engine) as connection:
            return per_user_statements.first_exposed(connection, population, dimensions=dimensions)

    def title_groups(self, population: Population) -> tuple[TitleGroups, ...]:
        """Count the titles that random groups of users, of one size in all arms, were shown on each surface."""
        with writing(self.engine) as connection:  # a stage is filled
            return title_groups.title_groups(connection, population)

    def mixed_users(self, experiment: str, as_of: date) -> int:
        """Count the users who were seen in several arms up to `as_of` inclusive; they are in no sum above."""
        with reading(self.engine) as connection:
            return per_user_statements.count_mixed(connection, experiment, as_of=as_of)

    def day_counts(self, experiment: str, as_of: date) -> tuple[DayCount, ...]:
        """Count user-days by surface, arm and day up to `as_of` inclusive, also those of mixed users."""
        with reading(self.engine) as connection:
            return day_counts.day_counts(connection, experiment, as_of=as_of)

    def exposed_users(
        self, population: Population, surfaces: Sequence[Surface], attributes: Sequence[str] = ()
    ) -> Iterator[ExposedUsers]:
        """Stream the users exposed on some surfaces, also the mixed ones, with their attributes."""
        with reading(self.engine) as connection:
            yield from split_statements.exposed_users(connection, population, surfaces=surfaces, attributes=attributes)

    def known_users(self, population: Population) -> Iterator[KnownUsers]:
        """Stream the users of the population's data set, and whether they were exposed."""
        with reading(self.engine) as connection:
            yield from split_statements.known_users(connection, population)

    def watermark(self, experiment: str, as_of: date | None = None) -> datetime | None:
        """Return the time of the newest event that is rolled up and counts, up to `as_of` where it is given."""
        with reading(self.engine) as connection:
            return user_days.watermark(connection, experiment, as_of=as_of)
