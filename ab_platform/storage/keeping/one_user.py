"""What is stored of one user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from ab_platform.storage import histories, user_story
from ab_platform.storage.connection import reading
from ab_platform.storage.keeping.kept import Kept
from ab_platform.storage.user_story import Whose
from ab_platform.user_story import UserStory


class OneUser(Kept):
    """One user's interactions, watches, exposures and slates."""

    def history(self, dataset: str, user_id: str, *, least_rating: float) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Return the titles of one user's interactions that are rated at least so, or not rated, and their times.

        Times are unix seconds, 0 where unknown; the order is any.
        """
        with reading(self.engine) as connection:
            return histories.history(connection, dataset, user_id, least_rating=least_rating)

    def watched(self, experiment: str, user_id: str, *, until: datetime | None = None) -> tuple[str, ...]:
        """Return each title that a user watched under an experiment once, by its first watch.

        Args:
            experiment: its key.
            user_id: the user.
            until: watches from then on do not count; all do where it is None.
        """
        with reading(self.engine) as connection:
            return histories.watched(connection, experiment, user_id, until=until)

    def user_story(self, whose: Whose, *, skip: int = 0, count: int) -> UserStory:
        """Return what is stored of one user under an experiment; many other users cost it nothing.

        Args:
            whose: user and experiment.
            skip: slates, the newest first, that come before.
            count: slates, at most.
        """
        with reading(self.engine) as connection:
            return user_story.user_story(connection, whose, skip=skip, count=count)

    def first_exposures(self, user_id: str, experiments: Iterable[str]) -> Mapping[str, datetime]:
        """Return when a user was first exposed under some experiments, by key; those without an exposure left out."""
        with reading(self.engine) as connection:
            return user_story.first_exposures(connection, user_id, experiments)
