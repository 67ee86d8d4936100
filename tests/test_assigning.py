"""Assignments written down: who is in under the traffic of now, what a ramp changes, and wrong exposures."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import numpy as np
import pytest
from sqlalchemy import select

from ab_platform import assigning
from ab_platform.assigning import Misassigned, assign_users
from ab_platform.errors import NotFoundError
from ab_platform.lineage import Launch
from ab_platform.serving import place
from ab_platform.storage.connection import reading
from ab_platform.storage.schema import assignments
from ab_platform.storage.store import Store, open_store
from tests.storage.made import END, KEY, START, after, definition, impression, started

USERS = [f"u{number:04d}" for number in range(1_000)]
MORE = [f"w{number}" for number in range(60)]


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def url(request: pytest.FixtureRequest) -> str:
    """The address of a migrated database without rows, on either engine."""
    address: str = request.getfixturevalue(request.param)
    return address


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store whose data set has users who acted, users of whom only attributes are known, and a running experiment."""
    opened = open_store(url, migrate=False)
    with opened.ingesting("ml-1m", "hash", "here", START) as writer:
        writer.write_interactions(USERS * 2, ["t1"] * len(USERS) + ["t2"] * len(USERS), None, None)
        writer.finish(bad_rows=0)
    with opened.ingesting("another", "hash", "here", START) as writer:
        writer.write_interactions(["stranger"], ["t1"], None, None)
        writer.finish(bad_rows=0)
    opened.write_attributes("ml-1m", "device", [(user, "tv") for user in [*USERS[:500], *MORE]])
    opened.write_attributes("ml-1m", "country", [(user, "NZ") for user in [*MORE, "zoe"]])
    started(opened, definition(buckets=(2_000, 9_000)))
    yield opened
    opened.close()


def stored(store: Store) -> dict[str, tuple[str, int, int, float, datetime]]:
    with reading(store.engine) as connection:
        rows = connection.execute(select(assignments).where(assignments.c.experiment == KEY))
        return {row.user_id: (row.arm, row.arm_bucket, row.layer_bucket, row.traffic, row.assigned_at) for row in rows}


def expected(launched: Launch, at: datetime) -> dict[str, tuple[str, int, int, float, datetime]]:
    """Place every registered user by the function that serves them one by one."""
    found = {}
    for user in [*USERS, *MORE, "zoe"]:
        placed = place(launched, user)
        if placed.arm_index is not None and placed.arm_bucket is not None:
            arm = launched.experiment.arms[placed.arm_index].name
            found[user] = (arm, placed.arm_bucket, placed.layer_bucket, launched.traffic, at)
    return found


@pytest.mark.parametrize("block", [1_061, 100, 100_000])
def test_every_registered_user_is_placed_as_they_are_served(
    store: Store, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assigning, "USERS_AT_ONCE", block)
    done = assign_users(store, KEY, at=after(seconds=5))
    rows = expected(store.experiment(KEY), after(seconds=5))
    assert stored(store) == rows
    assert (done.users, done.changed, done.removed) == (1_061, len(rows), 0)
    assert done.arms == {arm: sum(row[0] == arm for row in rows.values()) for arm in ("control", "pia")}
    assert min(done.arms.values()) > 300


def test_a_repetition_changes_nothing(store: Store) -> None:
    first = assign_users(store, KEY, at=START)
    before = stored(store)
    again = assign_users(store, KEY, at=after(days=3))
    assert stored(store) == before
    assert (again.changed, again.removed, again.arms) == (0, 0, first.arms)


def test_a_ramp_lets_users_in_and_out_and_moves_nobody(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assigning, "USERS_AT_ONCE", 100)
    store.ramp(KEY, 0.5, at=START)
    assign_users(store, KEY, at=START)
    half = stored(store)
    store.ramp(KEY, 1.0, at=after(days=1))
    more = assign_users(store, KEY, at=after(days=1))
    whole = stored(store)
    assert {user: whole[user] for user in half} == half
    assert more.changed == len(whole) - len(half) > 200
    assert {row[3:] for user, row in whole.items() if user not in half} == {(1.0, after(days=1))}
    store.ramp(KEY, 0.5, at=after(days=2))
    assert assign_users(store, KEY, at=after(days=2)).removed == more.changed
    assert stored(store) == half
    store.ramp(KEY, 0.0, at=after(days=3))
    assert assign_users(store, KEY, at=after(days=3)).arms == {"control": 0, "pia": 0}
    assert stored(store) == {}


def test_the_rows_of_other_experiments_stay(store: Store) -> None:
    started(store, definition("other", layer="elsewhere"))
    assert assign_users(store, "other", at=START).changed == 1_061
    store.ramp(KEY, 0.0, at=START)
    assign_users(store, KEY, at=START)
    assert assign_users(store, "other", at=END).changed == 0


def test_a_ramp_meanwhile_counts_for_every_user(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assigning, "USERS_AT_ONCE", 200)
    write, written = store.write_assignments, []

    def ramped_after_the_second_block(*values: object, traffic: float, at: datetime) -> object:
        written.append(traffic)
        if len(written) == 2:
            store.ramp(KEY, 0.25, at=START)
        return write(*values, traffic=traffic, at=at)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "write_assignments", ramped_after_the_second_block)
    done = assign_users(store, KEY, at=START)
    assert done.traffic == 0.25
    assert set(stored(store)) == set(expected(store.experiment(KEY), START))


def test_several_at_once_write_what_one_would(store: Store, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assigning, "USERS_AT_ONCE", 90)
    stores = [open_store(url, migrate=False) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda each: assign_users(each, KEY, at=START), stores))
    assert stored(store) == expected(store.experiment(KEY), START)
    for each in stores:
        each.close()


def test_exposures_to_the_assigned_arm_pass_also_after_a_ramp_down(store: Store) -> None:
    launched = store.experiment(KEY)
    inside = {user: row[0] for user, row in expected(launched, START).items()}
    store.record([impression(user, START, arm=arm) for user, arm in inside.items()])
    store.ramp(KEY, 0.1, at=after(days=1))
    audit = assign_users(store, KEY, at=after(days=1)).audit
    assert audit.exposed == {arm: list(inside.values()).count(arm) for arm in ("control", "pia")}
    assert (audit.wrong, audit.examples) == ({"control": 0, "pia": 0}, ())


def test_exposures_to_another_arm_are_counted_by_the_arm_that_was_served(store: Store) -> None:
    rows = expected(store.experiment(KEY), START)
    treated = sorted(user for user, row in rows.items() if row[0] == "pia")[:7]
    outside = sorted(set(USERS) - set(rows))[:2]
    store.record([impression(user, START) for user in treated])
    store.record([impression(user, START, arm="pia", surface="movie_card") for user in [treated[0], *outside]])
    audit = assign_users(store, KEY, at=START).audit
    assert (audit.exposed, audit.wrong) == ({"control": 7, "pia": 3}, {"control": 7, "pia": 2})
    wrong = [Misassigned(user, "control", "pia") for user in treated]
    wrong += [Misassigned(user, "pia", None) for user in outside]
    assert audit.examples == tuple(sorted(wrong, key=lambda each: each.user_id)[: assigning.MOST_EXAMPLES])


def test_an_experiment_that_is_not_launched_is_named(store: Store) -> None:
    with pytest.raises(NotFoundError, match="experiment 'pia' is not launched; known: pia-vs-multi-vae"):
        assign_users(store, "pia", at=START)


def test_users_of_any_script_are_placed(store: Store) -> None:
    names = ["Ünal", "用户", "\N{GRINNING FACE}", "a b", "'; --", *map(str, np.arange(10))]
    store.write_attributes("ml-1m", "device", [(name, "tv") for name in names])
    assign_users(store, KEY, at=START)
    launched = store.experiment(KEY)
    inside = {name for name in names if place(launched, name).arm_index is not None}
    assert inside == set(names) & set(stored(store))
    assert inside
