"""Sums change with each day as if all users were added up again."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from ab_platform.storage.per_user import KNOWN_BEFORE, PerUser, product_names
from ab_platform.storage.warehouse.totals import Day, Totals
from ab_platform.storage.warehouse.user_sums import Sums, UserSums
from tests.storage.warehouse.totals_made import HOME, USERS, day, did, entered, ready

CLICKS, WATCHED = PerUser("clicks"), PerUser("watch_seconds")
FAMILIES = (
    (CLICKS, PerUser("clicks", "before"), KNOWN_BEFORE),
    (WATCHED, PerUser("clicked"), PerUser("impressions")),
    (PerUser("returned_1"), PerUser("due_1")),
    (PerUser("returned_3"), PerUser("due_3"), PerUser("watch_seconds", "before")),
)


def product(one: str, other: str) -> str:
    return product_names(FAMILIES)[one, other]


def after(*days: Day, totals: Totals | None = None) -> Sums:
    totals, sums = totals or ready(returns=[1, 3]), Sums()
    for each in days:
        sums.update(UserSums(totals, FAMILIES).take(each))
        assert +sums == +UserSums(totals, FAMILIES).everybody()
    return sums


def test_the_changes_of_days_add_up_to_the_sums_of_all_users() -> None:
    totals = ready(returns=[1, 3])
    totals.remember(did(("ann", 5, 0), ("eve", 9, 0)))
    sums = after(
        day(entered(("bob", "new"), ("ann", "new")), did(("ann", 2, 70_000), ("bob", 1, 0))),
        day(entered(("eve", "old")), did(("ann", 1, 70_000), ("eve", 4, 1))),
        day(None, did(("bob", 1, 0)), left=["eve"]),
        totals=totals,
    )
    assert sums[HOME, "new", "n"] == 2
    assert sums[HOME, "old", "n"] == 0
    assert sums[HOME, "new", "sum_during_clicks"] == 3 + 2
    assert sums[HOME, "new", product("during_clicks", "during_clicks")] == 3 * 3 + 2 * 2
    assert sums[HOME, "new", product("before_clicks", "during_clicks")] == 3 * 5
    high, low = divmod(140_000, 65_536)
    assert sums[HOME, "new", product("during_watch_seconds_high", "during_watch_seconds_low")] == high * low


def test_what_users_did_before_they_entered_counts_once_they_have() -> None:
    sums = after(day(None, did(("ann", 2, 0))), day(entered(("ann", "new")), did(("ann", 1, 0))))
    assert sums[HOME, "new", "sum_during_clicks"] == 3


def test_a_day_without_anybody_may_end_the_day_of_return() -> None:
    sums = after(day(entered(("ann", "new")), did(("ann", 1, 0))), day())
    assert (sums[HOME, "new", "sum_during_due_1"], sums[HOME, "new", "sum_during_returned_1"]) == (1, 0)


def test_products_beyond_what_floats_hold_are_exact() -> None:
    many = (1 << 40) + 1
    sums = after(day(entered(("ann", "new"))), day(None, did(("ann", 3, many * 65_536 + 7))))
    assert sums[HOME, "new", product("during_watch_seconds_high", "during_watch_seconds_low")] == 7 * many


@pytest.mark.parametrize("seed", range(40))
def test_so_it_is_with_any_days(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ab_platform.storage.warehouse.user_sums.USERS_AT_ONCE", 3)
    after(*any_days(random.Random(seed)))


def any_days(rng: random.Random) -> Sequence[Day]:
    """Let users enter once on each of two surfaces, come, and leave, at any time."""
    entry = {(user, on): rng.randrange(6) for user in USERS for on in (HOME, "movie_card")}
    arm = {user: rng.choice(["old", "new"]) for user in USERS}
    found = []
    for number in range(5):
        on = HOME if number % 2 else "movie_card"
        new = [(user, arm[user]) for user in USERS if entry[user, on] in (number, number - 1)]
        came = [user for user in USERS if rng.random() < 0.6]
        deeds = did(*((user, rng.choice([0, 0, 3]), rng.choice([0, 0, 90_000])) for user in came), on=on)
        found.append(day(entered(*new, on=on), deeds, left=[user for user in USERS if rng.random() < 0.08]))
    return found
