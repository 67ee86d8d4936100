"""What an analysis asks of users, whoever answers it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol

from ab_platform.events import Surface
from ab_platform.storage.day_counts import DayCount
from ab_platform.storage.per_user import PerUser
from ab_platform.storage.per_user_statements import AgeCell, Cell, ExposedOn, FirstExposed, UserValues
from ab_platform.storage.population import Population
from ab_platform.storage.split_statements import ExposedUsers, KnownUsers
from ab_platform.storage.title_groups import TitleGroups
from ab_platform.storage.user_days import RolledUp
from ab_platform.storage.wanted import Progress, Wanted, untold


class UserReads(Protocol):
    """Every read of users that an analysis makes; the store itself is one."""

    def roll_up(self) -> RolledUp:
        """Count the user-days of new events, so that the reads that follow see them."""

    def read_ahead(self, wanted: Sequence[Wanted], progress: Progress = untold) -> None:
        """Read what several analyses are about to ask, where that costs less at once; it is given when it is asked.

        It is of the moment at which it was read: each answer is given once, and none after the next roll-up.
        """

    def watermarks(self, experiments: Sequence[str], as_of: date | None = None) -> Mapping[str, datetime]:
        """Return what `watermark` does of each experiment that has one, by its key."""

    def attributes(self, dataset: str) -> Mapping[str, int]:
        """Return how many values each user attribute of a data set has, by name."""

    def cells(
        self, population: Population, families: Sequence[Sequence[PerUser]], dimensions: Sequence[str] = ()
    ) -> tuple[Cell, ...]:
        """Add up the users of each (surface, arm, segments) exactly, sorted."""

    def user_values(self, population: Population, columns: Sequence[PerUser]) -> tuple[UserValues, ...]:
        """Read the users' rows, a surface at a time."""

    def by_age(self, population: Population, families: Sequence[Sequence[PerUser]]) -> tuple[AgeCell, ...]:
        """Add up what users did on each day since their exposure's, of those who came then."""

    def exposed_by_day(self, population: Population) -> tuple[ExposedOn, ...]:
        """Count users on each surface by the day of their exposure."""

    def first_exposed(self, population: Population, dimensions: Sequence[str] = ()) -> tuple[FirstExposed, ...]:
        """Count users by the day of their first exposure on any surface, and by segment."""

    def title_groups(self, population: Population) -> tuple[TitleGroups, ...]:
        """Count the titles that random groups of users were shown on each surface; nothing where no event is left."""

    def mixed_users(self, experiment: str, as_of: date) -> int:
        """Count the users who were seen in several arms up to `as_of` inclusive; they are in no sum above."""

    def day_counts(self, experiment: str, as_of: date) -> tuple[DayCount, ...]:
        """Count user-days by surface, arm and day up to `as_of` inclusive, also those of mixed users."""

    def watermark(self, experiment: str, as_of: date | None = None) -> datetime | None:
        """Return the time of the newest event that is rolled up and counts, up to `as_of` where it is given."""

    def exposed_users(
        self, population: Population, surfaces: Sequence[Surface], attributes: Sequence[str] = ()
    ) -> Iterator[ExposedUsers]:
        """Stream the users exposed on some surfaces, also the mixed ones, with their attributes."""

    def known_users(self, population: Population) -> Iterator[KnownUsers]:
        """Stream the users of the population's data set, and whether they were exposed."""
