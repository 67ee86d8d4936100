"""Titles shown to groups of users: groups of one size, of random users, whatever the split."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import numpy as np

from ab_platform.events import Impression, event_id
from ab_platform.lineage import Title
from ab_platform.storage.store import Population, Store
from tests.storage.made import KEY, START, after, started

LAST = after(days=6).date()


def shown(user: str, arm: str, title: str, *, days: float = 0) -> Impression:
    at = START + timedelta(days=days)
    identity = event_id(at, f"{user}/{arm}/{title}/{days}")
    return Impression(identity, KEY, user, arm, "home_card", title, at, UUID(int=5), 0, arm)


def with_titles(store: Store, count: int) -> None:
    with store.ingesting("ml-1m", "hash", "here", START) as writer:
        writer.write_titles([Title(f"t{number}", f"Title {number}") for number in range(count)])
        writer.write_interactions(["someone"], ["t0"], None, None)
        writer.finish(bad_rows=0)


def test_groups_are_of_one_size_in_all_arms_and_as_large_as_the_smallest_arm_allows(store: Store) -> None:
    started(store)
    with_titles(store, 40)
    store.record([shown(f"c{number}", "control", f"t{number % 40}") for number in range(270)])
    store.record([shown(f"p{number}", "pia", "t0") for number in range(60)])
    store.roll_up()
    control, treatment = store.title_groups(Population(KEY, LAST, "ml-1m"))
    assert (control.users, treatment.users) == (270, 60)
    assert control.group_users == treatment.group_users == 2
    assert (len(control.titles), len(treatment.titles)) == (135, 30)
    assert treatment.titles.tolist() == [1] * 30
    assert set(control.titles.tolist()) == {1, 2}
    assert control.catalogue == 40


def test_a_title_counts_once_a_group_and_only_up_to_as_of(store: Store) -> None:
    started(store)
    with_titles(store, 9)
    for arm in ("control", "pia"):
        users = [f"{arm}{number}" for number in range(25)]
        store.record([shown(user, arm, title) for user in users for title in ("t1", "t2")])
        store.record([shown(user, arm, "t1", days=1) for user in users])
        store.record([shown(user, arm, "t3", days=2) for user in users])
    store.roll_up()
    early, late = (store.title_groups(Population(KEY, day, "ml-1m")) for day in (after(days=1).date(), LAST))
    assert [each.titles.tolist() for each in early] == [[2] * 25] * 2
    assert [each.titles.tolist() for each in late] == [[3] * 25] * 2


def test_an_arm_smaller_than_the_groups_has_none(store: Store) -> None:
    started(store)
    store.record([shown(f"c{number}", "control", "t1") for number in range(200)])
    store.record([shown(f"p{number}", "pia", "t1") for number in range(24)])
    store.roll_up()
    assert store.title_groups(Population(KEY, LAST, "ml-1m")) == ()


def test_the_groups_are_the_same_whenever_they_are_asked_for(store: Store) -> None:
    started(store)
    users = np.random.default_rng(0).permutation(100).tolist()
    store.record([shown(f"c{number}", "control", f"t{number % 7}") for number in users])
    store.record([shown(f"p{number}", "pia", f"t{number % 5}") for number in users])
    store.roll_up()
    first, again = (store.title_groups(Population(KEY, LAST, "ml-1m")) for _ in range(2))
    assert [each.titles.tolist() for each in first] == [each.titles.tolist() for each in again]
