"""Totals of users take days on, add up exactly, and are read from files as they were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ab_platform.errors import StoreError
from ab_platform.metrics import Measure
from ab_platform.storage.per_user import KNOWN_BEFORE, PerUser, product_names
from ab_platform.storage.warehouse.totals import Day, Sums, Totals

CLICKS, WATCHED = PerUser("clicks"), PerUser("watch_seconds")
FAMILIES = ((CLICKS, PerUser("clicks", "before"), KNOWN_BEFORE), (WATCHED,))
MEASURES: tuple[Measure, ...] = ("clicks", "watch_seconds")
WORDS = {"user_id", "surface", "arm"}
HOME = "home_card"


def rows(names: str, *values: tuple[object, ...]) -> pa.Table:
    columns = names.split()
    kinds = pa.schema([(name, pa.string() if name in WORDS else pa.int64()) for name in columns])
    return pa.Table.from_pylist([dict(zip(columns, each, strict=True)) for each in values], schema=kinds)


def entered(*users: tuple[str, str]) -> pa.Table:
    return rows("user_id surface arm", *((user, HOME, arm) for user, arm in users))


def did(*users: tuple[str, int, int]) -> pa.Table:
    return rows("user_id surface clicks watch_seconds", *((user, HOME, *values) for user, *values in users))


def product(one: str, other: str) -> str:
    return product_names(FAMILIES)[one, other]


def after(*days: Day) -> tuple[Totals, Sums]:
    totals, sums = Totals.of_nobody(MEASURES), Sums()
    for day in days:
        totals, change = totals.stepped(day, FAMILIES)
        sums.update(change)
    return totals, sums


def test_the_changes_of_days_add_up_to_the_sums_of_all_users() -> None:
    past = rows("user_id surface known clicks watch_seconds", ("ann", HOME, 1, 5, 0), ("eve", HOME, 1, 9, 0))
    totals, sums = after(
        Day(entered(("bob", "new"), ("ann", "new")), did(("ann", 2, 70_000), ("bob", 1, 0)), past),
        Day(entered(("eve", "old")), did(("ann", 1, 70_000), ("eve", 4, 1))),
        Day(entered(), did(("bob", 1, 0)), left=("eve",)),
    )
    assert +sums == +totals.sums(FAMILIES)
    assert sums[HOME, "new", "n"] == 2
    assert sums[HOME, "old", "n"] == 0
    assert sums[HOME, "new", "sum_during_clicks"] == 3 + 2
    assert sums[HOME, "new", product("during_clicks", "during_clicks")] == 3 * 3 + 2 * 2
    assert sums[HOME, "new", product("before_clicks", "during_clicks")] == 3 * 5
    high, low = divmod(140_000, 65_536)
    assert sums[HOME, "new", product("during_watch_seconds_high", "during_watch_seconds_low")] == high * low


def test_what_users_did_before_they_entered_counts_once_they_have() -> None:
    totals, sums = after(Day(entered(), did(("ann", 2, 0))), Day(entered(("ann", "new")), did(("ann", 1, 0))))
    assert sums[HOME, "new", "sum_during_clicks"] == 3
    assert totals.users.tolist() == [b"ann"]


def test_whole_numbers_take_as_many_bytes_as_they_need() -> None:
    totals, _ = after(Day(entered(("ann", "new")), did(("ann", 100, 3))))
    assert totals.columns[HOME]["now_clicks"].dtype == np.int8
    totals, _ = totals.stepped(Day(entered(), did(("ann", 100, 1 << 40))), FAMILIES)
    assert totals.columns[HOME]["now_clicks"].tolist() == [200]
    assert totals.columns[HOME]["now_watch_seconds"].tolist() == [(1 << 40) + 3]


def test_products_beyond_what_floats_hold_are_exact() -> None:
    many = (1 << 40) + 1
    _, sums = after(Day(entered(("ann", "new")), did(("ann", 3, many * 65_536 + 7))))
    assert sums[HOME, "new", product("during_watch_seconds_high", "during_watch_seconds_low")] == 7 * many


def test_totals_are_read_as_they_were_written(tmp_path: Path) -> None:
    totals, _ = after(Day(entered(("bob", "new"), ("a longer name, ü", "old")), did(("bob", 2, 5)), left=("bob",)))
    totals.write(tmp_path / "totals")
    found = Totals.read(tmp_path / "totals")
    assert found.users.tolist() == totals.users.tolist()
    assert found.left.tolist() == totals.left.tolist()
    assert (found.surfaces, found.arms, found.measures) == (totals.surfaces, totals.arms, totals.measures)
    assert found.sums(FAMILIES) == totals.sums(FAMILIES)
    again, _ = found.stepped(Day(entered(), did(("bob", 2, 5))), FAMILIES)
    assert again.columns[HOME]["now_clicks"].max() == 4


@pytest.mark.parametrize("cut", [1, 300])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    totals, _ = after(Day(entered(("bob", "new")), did(("bob", 2, 5))))
    totals.write(tmp_path / "totals")
    (tmp_path / "totals").write_bytes((tmp_path / "totals").read_bytes()[:-cut])
    with pytest.raises((OSError, ValueError)):
        Totals.read(tmp_path / "totals")


@pytest.mark.parametrize("others", [[], ["a longer one"]])
def test_an_id_that_ends_with_a_zero_byte_is_refused(others: list[str]) -> None:
    with pytest.raises(StoreError, match="zero byte"):
        after(Day(entered(*((user, "new") for user in ["bob\0", *others])), did()))
