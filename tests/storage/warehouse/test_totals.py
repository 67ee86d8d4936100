"""Totals of users take days on, and are read from files as they were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ab_platform.storage.warehouse.totals import NOBODY, Totals
from tests.storage.warehouse.totals_made import HOME, MEASURES, USERS, day, did, entered, numbers, ready


def test_what_users_did_on_several_days_is_added_up() -> None:
    totals = ready()
    totals.take(day(entered(("bob", "new"), ("ann", "old")), did(("ann", 2, 70_000), ("bob", 1, 0))))
    totals.take(day(entered(("eve", "old")), did(("ann", 1, 5), ("eve", 4, 1))))
    assert totals.columns["now_clicks"].tolist() == [[3, 1, 4, 0]]
    assert totals.columns["now_watch_seconds"].tolist() == [[70_005, 0, 1, 0]]
    assert totals.columns["entered"].tolist() == [[0, 0, 1, NOBODY]]
    assert [totals.arms[code] for code in totals.columns["arm"][0, :3]] == ["old", "new", "old"]


def test_surfaces_are_told_apart() -> None:
    totals = ready()
    totals.take(day(entered(("ann", "new")), did(("ann", 2, 0))))
    totals.take(day(entered(("ann", "new"), on="movie_card"), did(("ann", 5, 0), on="movie_card")))
    assert totals.surfaces == [HOME, "movie_card"]
    assert totals.columns["now_clicks"][:, 0].tolist() == [2, 5]
    assert totals.columns["entered"][:, 0].tolist() == [0, 1]


def test_users_keep_their_places_as_new_ones_come() -> None:
    totals = Totals.of_nobody(MEASURES).with_room([numbers(["zoe"])], users=len(USERS))
    totals.take(day(entered(("zoe", "new")), did(("zoe", 2, 0))))
    more = totals.with_room([numbers(["ann", "zoe", "ann"])], users=len(USERS))
    more.take(day(None, did(("zoe", 1, 0), ("ann", 7, 0))))
    assert more.users.tolist() == numbers(["zoe", "ann"]).tolist()
    assert more.columns["now_clicks"].tolist() == [[3, 7]]
    assert totals.columns["now_clicks"].tolist() == [[2]]


def test_whole_numbers_take_as_many_bytes_as_they_need() -> None:
    totals = ready()
    totals.take(day(entered(("ann", "new")), did(("ann", 100, 3))))
    assert totals.columns["now_clicks"].dtype == np.int8
    totals.take(day(None, did(("ann", 100, 1 << 40))))
    assert totals.columns["now_clicks"][0, 0] == 200
    assert totals.columns["now_watch_seconds"][0, 0] == (1 << 40) + 3


def test_it_is_noted_who_was_there_so_many_days_after_the_exposure() -> None:
    totals = ready(returns=[1, 2])
    totals.take(day(entered(("ann", "new")), did(("ann", 0, 0), ("bob", 0, 0))))
    totals.take(day(entered(("eve", "new")), did(("ann", 0, 0), ("eve", 0, 0))))
    totals.take(day(None, did(("eve", 0, 0))))
    assert totals.columns["returned_1"].tolist() == [[1, 0, 1, 0]]
    assert totals.columns["returned_2"].tolist() == [[0, 0, 0, 0]]


def test_what_was_done_before_can_be_remembered_and_forgotten() -> None:
    totals = ready()
    totals.remember(did(("ann", 5, 1), ("eve", 0, 2)))
    totals.remember(did(("ann", 1, 1)))
    assert totals.columns["before_clicks"].tolist() == [[6, 0, 0, 0]]
    assert totals.columns["known"].tolist() == [[1, 0, 1, 0]]
    totals.forget_before(entered(("ann", "new")))
    assert totals.columns["before_clicks"].tolist() == [[0, 0, 0, 0]]
    assert totals.columns["known"].tolist() == [[0, 0, 1, 0]]


def test_totals_are_read_as_they_were_written(tmp_path: Path) -> None:
    totals = ready(returns=[7])
    totals.take(day(entered(("bob", "new"), ("zoe", "old")), did(("bob", 2, 5)), left=["bob"]))
    totals.write(tmp_path / "totals")
    found = Totals.read(tmp_path / "totals")
    assert (found.users.tolist(), found.left.tolist()) == (totals.users.tolist(), totals.left.tolist())
    for name in ("measures", "returns", "surfaces", "arms", "through"):
        assert getattr(found, name) == getattr(totals, name)
    assert {name: of.tolist() for name, of in found.columns.items()} == {
        name: of.tolist() for name, of in totals.columns.items()
    }
    again = found.with_room([], users=len(USERS))
    again.take(day(None, did(("bob", 2, 5))))
    assert again.columns["now_clicks"].max() == 4


def test_totals_of_nobody_are_read_as_they_were_written(tmp_path: Path) -> None:
    Totals.of_nobody(MEASURES).write(tmp_path / "totals")
    assert len(Totals.read(tmp_path / "totals").users) == 0


@pytest.mark.parametrize("left", [0, 5, -300, -1])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, left: int) -> None:
    ready().write(tmp_path / "totals")
    (tmp_path / "totals").write_bytes((tmp_path / "totals").read_bytes()[:left])
    with pytest.raises((OSError, ValueError)):
        Totals.read(tmp_path / "totals")


def test_a_file_of_which_a_byte_changed_is_refused(tmp_path: Path) -> None:
    totals = ready()
    totals.take(day(entered(("bob", "new")), did(("bob", 77, 5))))
    totals.write(tmp_path / "totals")
    content = (tmp_path / "totals").read_bytes()
    place = content.index(bytes([0, 77, 0, 0]))
    (tmp_path / "totals").write_bytes(content[: place + 1] + bytes([76]) + content[place + 2 :])
    with pytest.raises(ValueError, match="is not as it was written"):
        Totals.read(tmp_path / "totals")
