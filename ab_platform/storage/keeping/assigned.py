"""Assignments: a copy of who is in, for reports and joins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from ab_platform.storage import assignments
from ab_platform.storage.assignments import Placed, Written
from ab_platform.storage.connection import reading, writing
from ab_platform.storage.keeping.kept import Kept
from ab_platform.storage.recounting import Users


class Assigned(Kept):
    """The rows of assignments, and the users whom they are about."""

    def users_after(self, dataset: str, after: str | None, *, count: int) -> list[str]:
        """Return the next users of a data set, by interactions or attributes, in the database's order.

        Args:
            dataset: whose users.
            after: the id before the first; None to begin.
            count: how many, at most.
        """
        with reading(self.engine) as connection:
            return assignments.users_after(connection, dataset, after=after, count=count)

    def write_assignments(self, users: Users, placed: Iterable[Placed], *, traffic: float, at: datetime) -> Written:
        """Store who of some users is in; who is not loses the row, and who has it with the same arm keeps it as it is.

        Args:
            users: whom the rows are about.
            placed: those of them who are in, once each.
            traffic: share that is in now.
            at: now.
        """
        with writing(self.engine) as connection:
            return assignments.write(connection, users, placed=placed, traffic=traffic, at=at)

    def exposed_arms(self, experiment: str) -> Iterator[list[tuple[str, str]]]:
        """Stream who was exposed to which arm on any surface, a part at a time; a user of several comes once each."""
        with reading(self.engine) as connection:
            yield from assignments.exposed_arms(connection, experiment)
