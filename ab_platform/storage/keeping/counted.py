"""User-days, counted from events: what is new, all anew, or beside what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from ab_platform.storage import recounting, user_days
from ab_platform.storage.connection import reading, writing
from ab_platform.storage.keeping.kept import Kept
from ab_platform.storage.recounting import Compared, Users
from ab_platform.storage.user_days import RolledUp

OPEN_DAYS_AT_ONCE = 50_000
"""Open user-days that one transaction of a roll-up takes, so that writers wait for it only shortly."""

USERS_AT_ONCE = 10_000
"""Users whose days one transaction opens anew or compares with a recount."""


class Counted(Kept):
    """Counts and recounts of user-days, a batch in each transaction."""

    def roll_up(self, experiment: str | None = None, *, batch: int = OPEN_DAYS_AT_ONCE) -> RolledUp:
        """Count the user-days with new events anew, of one experiment or of all; without new events, nothing.

        Args:
            experiment: its key, or None for all.
            batch: open days that one transaction takes.
        """
        counted, taken = 0, batch
        touched: set[str] = set()
        while taken == batch:
            with writing(self.engine) as connection:
                done = user_days.roll_up(connection, experiment, batch=batch)
            counted, taken = counted + done.counted, done.taken
            touched |= done.experiments
        with reading(self.engine) as connection:
            newest = user_days.watermark(connection, experiment, as_of=None)
        return RolledUp(counted, newest, tuple(sorted(touched)))

    def recount(self, since: datetime, until: datetime, *, batch: int = USERS_AT_ONCE) -> RolledUp:
        """Count the user-days of an interval anew from their events, whatever is stored of them, and roll up the rest.

        Cut short, it leaves open the days that it did not come to, and the next roll-up counts them.

        Args:
            since: begin of the interval.
            until: its end, exclusive.
            batch: users whose days one transaction opens.
        """
        with reading(self.engine) as connection:
            keys = recounting.during(connection, since=since, until=until)
        opened = {key for key in keys for users in self._user_ranges(key, batch) if self._reopen(users, since, until)}
        done = self.roll_up()
        return replace(done, experiments=tuple(sorted(opened.union(done.experiments))))

    def compare_with_recount(self, experiment: str, *, batch: int = USERS_AT_ONCE) -> Compared:
        """Compare the user-days of an experiment with a recount from its events, every value; nothing is changed.

        Args:
            experiment: its key.
            batch: users whom one transaction recounts.
        """
        days = differing = 0
        for users in self._user_ranges(experiment, batch):
            with reading(self.engine) as connection:
                found = recounting.compare(connection, users)
            days, differing = days + found.user_days, differing + found.differing
        return Compared(days, differing)

    def _user_ranges(self, experiment: str, batch: int) -> Iterator[Users]:
        """Go through the users of an experiment, a range at a time."""
        users = Users(experiment)
        while True:
            with reading(self.engine) as connection:
                users = recounting.next_users(connection, users, count=batch)
            yield users
            if users.last is None:
                return

    def _reopen(self, users: Users, since: datetime, until: datetime) -> bool:
        with writing(self.engine) as connection:
            return recounting.reopen(connection, users, since=since, until=until) > 0
