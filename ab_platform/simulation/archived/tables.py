"""Slates of a day -> the rows of the archive: exposures and user-days as counting the events would give them.

A user is shown one slate at most on a surface and day, so each slate is a user-day, and a visit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ab_platform.events import Surface
from ab_platform.simulation.archived.slates import Flags, Slates, Whole
from ab_platform.simulation.visits import TITLES

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US

ID_DIGITS = 8
USERS_AT_MOST = 10**ID_DIGITS
"""Of one simulation: their ids have so many digits, so that the order of the ids is that of the numbers."""

CLICK_AFTER, CLICK_STEP = 2, 3
"""Seconds from the slate to a click on its first title, and more for each title after it."""


@dataclass(frozen=True, eq=False)
class Day:
    """What the rows of a day share.

    Attributes:
        experiment: its key.
        arms: names.
        surfaces: where, sorted.
        starts_at: the midnight at which the experiment starts.
        ids: `(users,)` of the block.
        arm: `(users,)` place of each user's arm.
    """

    experiment: str
    arms: Sequence[str]
    surfaces: Sequence[Surface]
    starts_at: datetime
    ids: pa.StringArray
    arm: Whole

    def at(self, slates: Slates) -> Whole:
        """Return when slates were shown, in microseconds since 1970, (slates,)."""
        start = (self.starts_at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        return start + slates.day * DAY_US + slates.second * SECOND_US

    def who(self, user: Whole, surface: Whole) -> dict[str, pa.Array]:
        """Return the columns that say whose rows they are, in which arm and on which surface."""
        return {
            "experiment": pa.repeat(pa.scalar(self.experiment, pa.string()), len(user)),
            "user_id": self.ids.take(pa.array(user)),
            "surface": named(self.surfaces, surface),
            "arm": named(self.arms, self.arm[user]),
        }


def user_ids(number: Whole) -> NDArray[np.bytes_]:
    """Write the ids of users by their numbers, (users,)."""
    digits = number[:, None] // 10 ** np.arange(ID_DIGITS - 1, -1, -1) % 10
    written = np.empty((len(number), 1 + ID_DIGITS), dtype=np.uint8)
    written[:, 0] = ord("u")
    written[:, 1:] = digits + ord("0")
    return written.view(f"S{1 + ID_DIGITS}")[:, 0]


def exposures(day: Day, slates: Slates) -> pa.Table:
    """Return the exposures among the slates of a day."""
    first = np.flatnonzero(slates.first)
    at = moments(day.at(slates)[first])
    return pa.table({**day.who(slates.user[first], slates.surface[first]), "at": at})


def user_days(day: Day, slates: Slates, new_titles: Whole) -> pa.Table:
    """Return the user-days that the slates of a day are.

    Args:
        day: what they share.
        slates: of the day.
        new_titles: `(slates,)` titles watched that the user had not watched on the surface before.
    """
    at, (rows, size) = day.at(slates), slates.clicked.shape
    dates = (at // DAY_US).astype(np.int32)
    any_click, first = slates.clicked.any(axis=1), slates.clicked.argmax(axis=1)
    last = size - 1 - slates.clicked[:, ::-1].argmax(axis=1)
    counts = {
        "impressions": np.full(rows, size),
        "slates": np.ones(rows, dtype=np.int64),
        "visits": np.ones(rows, dtype=np.int64),
        "clicks": slates.clicked.sum(axis=1),
        "clicked_slates": any_click.astype(np.int64),
        "titles_watched": new_titles,
        "watch_seconds": slates.watch_ms.sum(axis=1) / 1_000.0,
        "first_click_seconds": np.where(any_click, CLICK_AFTER + CLICK_STEP * first, 0).astype(np.float64),
        "reciprocal_ranks": slates.clicked @ _micro_ranks(size) / 1_000_000.0,
        "fallback_slates": np.zeros(rows, dtype=np.int64),
        "timed_slates": np.zeros(rows, dtype=np.int64),
        "latency_ms": np.zeros(rows),
    }
    last_at = at + np.where(any_click, (CLICK_AFTER + CLICK_STEP * last) * SECOND_US, 0)
    who = day.who(slates.user, slates.surface)
    return pa.table(
        {
            **{name: who[name] for name in ("experiment", "user_id", "surface")},
            "day": pa.array(dates).cast(pa.date32()),
            "arm": who["arm"],
            **{name: pa.array(column) for name, column in counts.items()},
            "last_at": moments(last_at),
        }
    )


def new_titles(slates: Slates, surfaces: int) -> Whole:
    """Count for each slate the titles watched that the user watches on the surface for the first time, (slates,).

    Args:
        slates: of all days.
        surfaces: how many there are.
    """
    slate, place = np.nonzero(slates.clicked)
    title = (slates.title[slate] + place) % TITLES
    watched = (slates.user[slate] * surfaces + slates.surface[slate]) * TITLES + title
    # Slates of a user and surface are in the order of their days, and the first of equal ones is found.
    _, first = np.unique(watched, return_index=True)
    return np.bincount(slate[first], minlength=len(slates.user))


def named(names: Sequence[str], place: Whole) -> pa.StringArray:
    """Return the name at each place."""
    return pa.array(names, pa.string()).take(pa.array(place))


def moments(at: Whole) -> pa.TimestampArray:
    """Return moments from microseconds since 1970."""
    return pa.array(at).cast(pa.timestamp("us", tz="UTC"))


def valid(flags: Flags) -> pa.Buffer:
    """Return the bitmap of the values that are there."""
    return pa.py_buffer(np.packbits(flags, bitorder="little").tobytes())


def _micro_ranks(size: int) -> Whole:
    """Return 1 / rank of each place, in whole millionths."""
    return np.round(1_000_000.0 / np.arange(1, size + 1)).astype(np.int64)
