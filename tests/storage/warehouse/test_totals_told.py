"""Totals tell when users were exposed, and what they did on which day since."""

from __future__ import annotations

from datetime import date

from ab_platform.storage.per_user import PerUser
from ab_platform.storage.warehouse.totals import Totals
from ab_platform.storage.warehouse.totals_told import by_age, exposed_by_day, first_exposures
from tests.storage.warehouse.totals_made import HOME, day, did, entered, ready

FIRST = date(2026, 3, 2)
MOVIE = "movie_card"
FAMILIES = ((PerUser("clicks"), PerUser("clicked")),)


def three_days() -> Totals:
    """Ann comes at once, Bob a day later, to another surface first; Eve leaves on the last day."""
    totals = ready()
    totals.take(day(entered(("ann", "new"), ("eve", "old")), did(("ann", 1, 0))))
    totals.take(day(entered(("bob", "new"), on=MOVIE), did(("bob", 2, 0), on=MOVIE)))
    totals.take(day(entered(("bob", "new")), did(("ann", 3, 0), ("bob", 4, 0)), left=["eve"]))
    return totals


def test_users_are_counted_by_the_day_they_entered_on_each_surface() -> None:
    assert list(exposed_by_day(three_days(), FIRST)) == [
        {"surface": HOME, "arm": "new", "exposed_on": "2026-03-02", "users": 1},
        {"surface": HOME, "arm": "new", "exposed_on": "2026-03-04", "users": 1},
        {"surface": MOVIE, "arm": "new", "exposed_on": "2026-03-03", "users": 1},
    ]


def test_users_are_counted_once_by_the_day_they_entered_first() -> None:
    assert list(first_exposures(three_days(), FIRST)) == [
        {"arm": "new", "exposed_on": "2026-03-02", "users": 1},
        {"arm": "new", "exposed_on": "2026-03-03", "users": 1},
    ]


def test_what_users_did_is_added_up_by_days_since_they_entered() -> None:
    found = list(by_age(three_days(), did(("ann", 3, 0), ("bob", 4, 0), ("eve", 9, 0)), 2, FAMILIES))
    assert [(row["surface"], row["arm"], row["age"], row["n"], row["sum_during_clicks"]) for row in found] == [
        (HOME, "new", 0, 1, 4),
        (HOME, "new", 2, 1, 3),
    ]
    assert [row["sum_during_clicked"] for row in found] == [1, 1]


def test_a_day_before_the_exposure_is_told_from_those_after_it() -> None:
    found = list(by_age(three_days(), did(("ann", 0, 0), ("bob", 5, 0)), 1, FAMILIES))
    assert [(row["age"], row["n"], row["sum_during_clicks"]) for row in found] == [(-1, 1, 5), (1, 1, 0)]
