"""What totals tell besides the sums of columns: rows as the queries of the same questions give them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import product
from typing import Any

import numpy as np

from ab_platform.storage.running_totals import stored_as
from ab_platform.storage.warehouse.numbered import Deeds
from ab_platform.storage.warehouse.products import Asked, Families, Ints, divide, multiplied
from ab_platform.storage.warehouse.totals import NOBODY, Totals

Told = Iterator[dict[str, Any]]


def exposed_by_day(totals: Totals, first: date) -> Told:
    """Count users by (surface, arm, exposed_on).

    Args:
        totals: of the users.
        first: day of the experiment.
    """
    for surface, where in enumerate(totals.surfaces):
        entered = totals.columns["entered"][surface]
        for arm, who in enumerate(totals.arms):
            counts = np.bincount(entered[_counting(totals, surface) == arm])
            yield from ({"surface": where, "arm": who, **each} for each in _by_day(counts, first))


def first_exposures(totals: Totals, first: date) -> Told:
    """Count users by (arm, exposed_on) of the first exposure on any surface."""
    later = totals.through + 1
    for arm, who in enumerate(totals.arms):
        entered = np.full(len(totals.users), later)
        for surface in range(len(totals.surfaces)):
            theirs = _counting(totals, surface) == arm
            entered = np.where(theirs, np.minimum(entered, totals.columns["entered"][surface]), entered)
        counts = np.bincount(entered, minlength=later)[:later]
        yield from ({"arm": who, **each} for each in _by_day(counts, first))


def by_age(totals: Totals, done: Deeds, day: int, families: Families) -> Told:
    """Add up what users did on a day, by (surface, arm, days since the exposure).

    Args:
        totals: of the users, with their places.
        done: what they did.
        day: number of the day.
        families: columns whose sums and products are wanted.
    """
    asked, at = Asked(families), totals.at(done.users, done.surfaces)
    arms, age = totals.counting(at), day - totals.column("entered").take(at.cells).astype(np.int64)
    pairs, counts = list(product(totals.surfaces, totals.arms)), arms != NOBODY
    least = int(age[counts].min(initial=0))
    ages = day + 1 - least
    group = np.where(counts, (at.surfaces * len(totals.arms) + arms) * ages + age - least, NOBODY)
    users = np.bincount(group[counts], minlength=len(pairs) * ages)
    values = [done.measures[stored_as(column)] for column in asked.columns]
    busy = np.flatnonzero(counts & np.any([each != 0 for each in values], axis=0))
    of_busy = group[busy]
    for place in np.flatnonzero(users).tolist():
        (surface, arm), theirs = pairs[place // ages], busy[of_busy == place]
        products = _products(asked, [each[theirs] for each in values])
        told = asked.named(products) | {"n": int(users[place])}
        yield {"surface": surface, "arm": arm, "age": place % ages + least, **told}


def _products(asked: Asked, values: list[Ints]) -> Ints:
    limbs = np.ones((asked.length, len(values[0])))
    for column, whole in zip(asked.columns, values, strict=True):
        divide(column, whole, limbs[asked.rows[column]])
    return multiplied(limbs, limbs, at_most=int(limbs.max(initial=0.0)))


def _counting(totals: Totals, surface: int) -> Ints:
    """Return the arm of each user who counts on a surface, and `NOBODY` of others, (users,)."""
    return np.where(totals.left, NOBODY, totals.columns["arm"][surface])


def _by_day(counts: Ints, first: date) -> Told:
    for day in np.flatnonzero(counts).tolist():
        yield {"exposed_on": (first + timedelta(days=day)).isoformat(), "users": int(counts[day])}
