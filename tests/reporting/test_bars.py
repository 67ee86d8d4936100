"""Where the marks of an interval bar stand."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_platform.reporting.bars import Axis, axis, bar, describe, scale
from ab_platform.reporting.printed import PrintedRow, printed
from ab_platform.results import LiftRow
from tests.readouts import ROWS, TRUTHS, absent, lift_row, readout

lifts = st.floats(min_value=-0.9, max_value=5.0, allow_subnormal=False)


def printed_row(row: LiftRow, *, replayed: bool = False) -> PrintedRow:
    return printed(readout((row,), truths=TRUTHS if replayed else ())).sections[0].rows[0]


def left(drawn: str, name: str) -> float:
    found = re.search(rf'class="{name}[^"]*" style="left:([0-9.]+)%', drawn)
    assert found, f"{name} is not in {drawn}"
    return float(found.group(1))


@given(st.lists(st.tuples(lifts, lifts, lifts), min_size=1, max_size=6))
def test_an_axis_holds_zero_and_lies_the_right_way_round(ends: list[tuple[float, float, float]]) -> None:
    rows = [lift_row(lift=(middle, low, high)) for low, middle, high in (sorted(each) for each in ends)]
    shared = axis(rows)
    assert shared.low < 0 < shared.high
    assert 0 <= shared.position(shared.low) < shared.position(0.0) < shared.position(shared.high) <= 100


@given(st.floats(min_value=-5, max_value=-1e-4), st.floats(min_value=1e-4, max_value=5))
def test_an_axis_has_a_few_ticks_and_zero_among_them(low: float, high: float) -> None:
    ticks = Axis(low, high).ticks()
    assert 0.0 in ticks
    assert 1 <= len(ticks) <= 6
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)


def test_an_axis_without_a_single_number_still_has_a_zero_in_its_middle() -> None:
    assert axis([absent(lift_row(), "no users")]).position(0.0) == pytest.approx(50.0)


def test_one_wild_interval_does_not_squeeze_the_others() -> None:
    calm = [lift_row(lift=(0.03, 0.01, 0.05)), lift_row(lift=(0.02, -0.01, 0.05))]
    shared = axis([*calm, lift_row(lift=(0.5, -3.0, 40.0))])
    assert shared.high == pytest.approx(0.2)
    drawn = bar(printed_row(lift_row(lift=(0.5, -3.0, 40.0))), shared)
    assert "cut-low" in drawn
    assert "cut-high" in drawn


def test_marks_stand_where_their_lifts_are() -> None:
    shared = axis(ROWS, TRUTHS)
    drawn = bar(printed_row(ROWS[0], replayed=True), shared)
    assert left(drawn, "zero") < left(drawn, "range") < left(drawn, "true") < left(drawn, "lift")
    assert left(drawn, "range") == pytest.approx(shared.position(0.0121), abs=0.01)
    assert left(drawn, "true") == pytest.approx(shared.position(0.0392), abs=0.01)
    assert "cut" not in drawn


def test_an_interval_without_ends_runs_through_the_whole_axis() -> None:
    row = replace(ROWS[0], low=None, high=None, reason="the control may well be 0")
    shared = axis(ROWS)
    drawn = bar(printed_row(row), shared)
    assert 'class="range cut-low cut-high"' in drawn
    assert left(drawn, "range") == pytest.approx(shared.position(shared.low), abs=0.01)


def test_an_absent_lift_has_neither_mark_nor_interval() -> None:
    drawn = bar(printed_row(absent(ROWS[0], "control has 1 user")), axis(ROWS))
    assert 'class="lift"' not in drawn
    assert 'class="range' not in drawn


def test_a_bar_says_in_words_what_it_shows() -> None:
    row = printed_row(ROWS[4], replayed=True)
    words = "lift -8.0 %, interval -14.1 to -1.5 %, worse, true lift +0.3 %, outside interval"
    assert describe(row) == f"Click-through rate (% of views): {words}"
    assert f'aria-label="{describe(row)}"' in bar(row, axis(ROWS))


def test_small_axes_have_ticks_with_decimals() -> None:
    assert ">+0.5 %<" in scale(Axis(-0.004, 0.012))
    assert ">−10 %<" in scale(Axis(-0.14, 0.2))
