"""The readout benchmark, small: both sides agree on every number before anything is timed."""

from __future__ import annotations

from dataclasses import replace

import ibis

from ab_platform.storage.store import Store
from benchmarks import made_up, readout


def test_ours_and_tea_tasting_agree_on_every_row(store: Store, sqlite_url: str) -> None:
    made_up.fill(store, 400)
    backend = ibis.sqlite.connect(sqlite_url.removeprefix("sqlite:///"))
    found, expected = readout.ours(store), readout.teas(backend)
    assert len(found) == 6
    assert readout.disagreements(found, expected) == []


def test_a_disagreement_is_told(store: Store, sqlite_url: str) -> None:
    made_up.fill(store, 400)
    backend = ibis.sqlite.connect(sqlite_url.removeprefix("sqlite:///"))
    found, expected = readout.ours(store), readout.teas(backend)
    first = next(iter(found))
    found[first] = replace(found[first], p_value=0.5)
    [told] = readout.disagreements(found, expected)
    assert told.startswith("home_card.play_duration: p-value is 0.5")


def test_segments_leave_the_rows_as_they_are(store: Store) -> None:
    made_up.fill(store, 400)
    assert readout.ours(store) == readout.ours(store, (made_up.ONE,)) == readout.ours(store, made_up.FIVE)
