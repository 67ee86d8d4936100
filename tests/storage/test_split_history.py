"""The checks of the split of every day, on both engines."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from ab_platform.results import SampleRatioRow
from ab_platform.storage.store import Store, Stored
from tests.readouts import AS_OF, LOOK, ROWS, ratio_row

KEY = LOOK.experiment
UNKNOWN = replace(ratio_row("home_card", counts=(0, 0), p_value=None, e_value=None), reason="no users in any arm")


def write(store: Store, *rows: SampleRatioRow) -> None:
    day = rows[0].as_of
    store.write_readout(Stored(replace(LOOK, as_of=day), (replace(ROWS[0], as_of=day),), rows))


def test_every_day_is_read_the_oldest_first_as_it_was_written(store: Store) -> None:
    later = replace(ratio_row(counts=(5180, 4820), p_value=0.00032, e_value=81.0), as_of=AS_OF + timedelta(days=2))
    write(store, later)
    write(store, ratio_row(), UNKNOWN)
    assert store.split_history(KEY) == (ratio_row(), later)
    assert store.split_history(KEY, "home_card") == (UNKNOWN,)


def test_a_day_that_is_analysed_again_is_there_once(store: Store) -> None:
    write(store, ratio_row(counts=(10, 20)))
    write(store, ratio_row())
    assert store.split_history(KEY) == (ratio_row(),)


def test_an_experiment_that_was_not_analysed_has_no_history(store: Store) -> None:
    write(store, ratio_row())
    assert store.split_history("another") == ()
