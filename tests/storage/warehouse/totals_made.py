"""Days of a few users, for the tests of totals: a user's number is the place of the name."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ab_platform.metrics import Measure
from ab_platform.storage.archive.numbering import Numbers
from ab_platform.storage.warehouse.numbered import Deeds, Entered, Ints, Words
from ab_platform.storage.warehouse.totals import Day, Totals

MEASURES: tuple[Measure, ...] = ("clicks", "impressions", "watch_seconds")
HOME = "home_card"
USERS = ("ann", "bob", "eve", "zoe")


def numbers(users: Iterable[str]) -> Numbers:
    return np.array([USERS.index(user) for user in users], dtype=np.int32)


def words(values: Iterable[str]) -> Words:
    listed = list(values)
    every = tuple(dict.fromkeys(listed))
    return Words(every, np.array([every.index(each) for each in listed], dtype=np.int32))


def entered(*users: tuple[str, str], on: str = HOME) -> Entered:
    return Entered(numbers(user for user, _ in users), words(on for _ in users), words(arm for _, arm in users))


def did(*users: tuple[str, int, int], on: str = HOME) -> Deeds:
    """Let users click, and watch so many milliseconds, after one impression."""
    columns = {
        "clicks": [clicks for _, clicks, _ in users],
        "impressions": [1 for _ in users],
        "watch_seconds": [watched for *_, watched in users],
    }
    measures: dict[str, Ints] = {measure: np.array(columns[measure], dtype=np.int64) for measure in MEASURES}
    return Deeds(numbers(user for user, *_ in users), words(on for _ in users), measures)


def day(entries: Entered | None = None, deeds: Deeds | None = None, *, left: Iterable[str] = ()) -> Day:
    return Day(entries or Entered.nobody(), deeds or Deeds.none(MEASURES), numbers(left))


def ready(returns: Iterable[int] = ()) -> Totals:
    return Totals.of_nobody(MEASURES, returns).with_room([numbers(USERS)], users=len(USERS))
