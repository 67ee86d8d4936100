"""Made-up user-days by the million, written past the events: what a readout is timed on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ab_platform.events import SURFACES
from ab_platform.experiment import AnalysisRule, Arm, DataRule, Experiment
from ab_platform.lineage import Artifact, Launch, Recipe
from ab_platform.storage import bulk
from ab_platform.storage.connection import writing
from ab_platform.storage.store import Store

DATASET = "made-up"
KEY, EARLIER = "this-week", "week-before"
START = datetime(2026, 3, 9, tzinfo=UTC)
WEEK = timedelta(days=7)
LAST_DAY = (START + WEEK - timedelta(days=1)).date()
SHARE_ON_SURFACE = (1.0, 0.6)
"""Of the users, who comes to each surface."""
LIFT = 0.02
ONE = "region"
"""The attribute of 20 values."""
FIVE = ("device", "country", "plan", "age", "channel")
"""The attributes of 4 values each."""
ARMS = ("control", "treatment")
ROWS_AT_ONCE = 100_000

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Week:
    """Seven days, their mornings and evenings, as the driver of a store takes them."""

    days: tuple[object, ...]
    mornings: tuple[object, ...]
    evenings: tuple[object, ...]

    @staticmethod
    def of(store: Store, begins: datetime) -> Week:
        """Encode the days from one on."""
        with writing(store.engine) as connection:
            moment = bulk.encoding(connection).moment
            plain = bulk.engine_of(connection) == "postgresql"
        dates = [(begins + timedelta(days=number)).date() for number in range(7)]
        mornings, evenings = (
            tuple(moment(begins + timedelta(days=number, hours=hour)) for number in range(7)) for hour in (8, 20)
        )
        return Week(tuple(each if plain else each.isoformat() for each in dates), mornings, evenings)


@dataclass(frozen=True)
class Filled:
    """How many rows were written."""

    users: int
    exposures: int
    days_before: int
    days_during: int


def definition(key: str, segments: tuple[str, ...] = ()) -> Experiment:
    """Define an experiment of two arms, each in a layer of its own, with CUPED."""
    arms = (Arm("control", "popularity", 0.5, control=True), Arm("treatment", "ease", 0.5))
    rule = AnalysisRule(covariates=("before",), segments=segments)
    return Experiment(key=key, data=DataRule(DATASET), arms=arms, layer=f"layer-{key}", analysis=rule)


def fill(store: Store, users: int, *, seed: int = 0) -> Filled:
    """Fill a store with an experiment, the one before it, and the attributes of the users.

    Every user of a surface was there in the week before too, one to three days of it, and comes on one to four days of
    this one. What a user does has a part that stays, so that the week before tells something of this one.
    """
    rng = np.random.default_rng(seed)
    taste = rng.gamma(2.0, 0.5, size=users)
    treated = rng.integers(2, size=users)
    come = [np.flatnonzero(rng.random(users) < share) for share in SHARE_ON_SURFACE]
    entries = np.sort(np.concatenate([among * len(SURFACES) + place for place, among in enumerate(come)]))
    before = _fill_week(store, EARLIER, START - WEEK, 3, rng, entries, treated, taste)
    during = _fill_week(store, KEY, START, 4, rng, entries, treated, taste * (1.0 + LIFT * treated))
    for name, values in ((ONE, 20), *((name, 4) for name in FIVE)):
        drawn = rng.integers(values, size=users).tolist()
        store.write_attributes(DATASET, name, ((_user(user), f"{name}-{value}") for user, value in enumerate(drawn)))
    return Filled(users, len(entries), before, during)


def _fill_week(
    store: Store,
    key: str,
    begins: datetime,
    most: int,
    rng: np.random.Generator,
    entries: Ints,
    treated: Ints,
    taste: NDArray[np.float64],
) -> int:
    """Write a week of up to so many days a user, and its exposures; return how many user-days."""
    _launch(store, key, begins)
    week = Week.of(store, begins)
    days = 0
    for first in range(0, len(entries), ROWS_AT_ONCE):
        part = entries[first : first + ROWS_AT_ONCE]
        visits = rng.integers(1, most + 1, size=len(part))
        begun = rng.integers(0, 7 - most + 1, size=len(part))
        rows = _days(rng, part, visits, begun, taste[part // len(SURFACES)])
        _insert(store, "user_days", _user_days(key, week, treated, *rows))
        _insert(store, "exposures", _exposures(key, week, treated, part, begun))
        days += len(rows[0])
    return days


def _launch(store: Store, key: str, begins: datetime) -> None:
    made = definition(key)
    for arm in made.arms:
        recipe = Recipe(arm.recommender, {}, 0, DATASET, "data", "code")
        store.register(Artifact(f"{key}-{arm.name}", recipe, {}, begins))
    artifacts = {arm.name: f"{key}-{arm.name}" for arm in made.arms}
    store.launch(Launch(made, artifacts, "running", 1.0, begins, begins, begins + WEEK))


def _days(
    rng: np.random.Generator, entries: Ints, visits: Ints, begun: Ints, taste: NDArray[np.float64]
) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Draw the user-days: whose, on which day of the week, impressions, clicks and watched milliseconds."""
    rows = np.repeat(np.arange(len(entries)), visits)
    day = begun[rows] + np.arange(len(rows)) - np.repeat(np.cumsum(visits) - visits, visits)
    impressions = 10 * rng.integers(1, 4, size=len(rows))
    clicks = rng.binomial(impressions, np.clip(0.05 * taste[rows], 0.0, 1.0))
    milliseconds = np.where(clicks > 0, rng.gamma(0.7, 100_000.0, size=len(rows)) * clicks, 0.0).astype(np.int64)
    return entries[rows], day, impressions, clicks, milliseconds


def _user_days(
    key: str, week: Week, treated: Ints, entries: Ints, day: Ints, impressions: Ints, clicks: Ints, milliseconds: Ints
) -> Iterator[tuple[object, ...]]:
    users = entries // len(SURFACES)
    columns = (users, entries % len(SURFACES), day, treated[users], impressions, clicks, milliseconds)
    for user, surface, number, arm, shown, clicked, watched in zip(*(each.tolist() for each in columns), strict=True):
        slates, some = shown // 10, min(clicked, shown // 10)
        counts = (shown, slates, 1, clicked, some, clicked, watched / 1000, 8.0 * some, 0.5 * clicked, 0, slates, 30.0)
        yield key, _user(user), SURFACES[surface], week.days[number], ARMS[arm], *counts, week.evenings[number]


def _exposures(key: str, week: Week, treated: Ints, entries: Ints, day: Ints) -> Iterator[tuple[object, ...]]:
    users = entries // len(SURFACES)
    columns = (users, entries % len(SURFACES), day, treated[users])
    for user, surface, number, arm in zip(*(each.tolist() for each in columns), strict=True):
        yield key, _user(user), SURFACES[surface], ARMS[arm], week.mornings[number]


def _insert(store: Store, table: str, rows: Iterator[tuple[object, ...]]) -> None:
    """Write rows in the order of the table's columns, many a call."""
    with writing(store.engine) as connection:
        cursor: Any = connection.connection.cursor()
        if bulk.engine_of(connection) == "sqlite":
            first = next(rows)
            cursor.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(first))})", chain([first], rows))
        else:
            with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        cursor.close()


def _user(number: int) -> str:
    return f"user-{number:07d}"
