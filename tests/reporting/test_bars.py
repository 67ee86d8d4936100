"""Where the marks of an interval bar stand."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_platform.reporting.bars import Axis, Bar, axis, draw, of_row, of_segment, plot, scale
from ab_platform.reporting.printed import printed
from ab_platform.results import LiftRow
from tests.readouts import ROWS, TRUTHS, absent, lift_row, readout
from tests.reporting.rich import rich

lifts = st.floats(min_value=-0.9, max_value=5.0, allow_subnormal=False)


def bar(row: LiftRow, *, truths: bool = False) -> Bar:
    return of_row(printed(readout((row,), truths=TRUTHS if truths else ())).sections[0].rows[0])


def bars_of(*rows: LiftRow) -> list[Bar]:
    return [bar(row) for row in rows]


def left(drawn: str, name: str) -> float:
    found = re.search(rf'class="{name}[^"]*" style="left:([0-9.]+)%', drawn)
    assert found, f"{name} is not in {drawn}"
    return float(found.group(1))


@given(st.lists(st.tuples(lifts, lifts, lifts), min_size=1, max_size=6))
def test_an_axis_holds_zero_and_lies_the_right_way_round(ends: list[tuple[float, float, float]]) -> None:
    rows = [lift_row(lift=(middle, low, high)) for low, middle, high in (sorted(each) for each in ends)]
    shared = axis(bars_of(*rows))
    assert shared.low < 0 < shared.high
    assert 0 <= shared.position(shared.low) < shared.position(0.0) < shared.position(shared.high) <= 100


@given(st.floats(min_value=-5, max_value=-1e-4), st.floats(min_value=1e-4, max_value=5))
def test_an_axis_has_a_few_ticks_and_zero_among_them(low: float, high: float) -> None:
    ticks = Axis(low, high).ticks()
    assert 0.0 in ticks
    assert 1 <= len(ticks) <= 6
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)


def test_an_axis_without_a_single_number_still_has_a_zero_in_its_middle() -> None:
    assert axis(bars_of(absent(lift_row(), "no users"))).position(0.0) == pytest.approx(50.0)


def test_one_wild_interval_does_not_squeeze_the_others() -> None:
    calm = [lift_row(lift=(0.03, 0.01, 0.05)), lift_row(lift=(0.02, -0.01, 0.05))]
    shared = axis(bars_of(*calm, lift_row(lift=(0.5, -3.0, 40.0))))
    assert shared.high == pytest.approx(0.2)
    drawn = draw(bar(lift_row(lift=(0.5, -3.0, 40.0))), shared)
    assert "cut-low" in drawn
    assert "cut-high" in drawn


def test_marks_stand_where_their_lifts_are() -> None:
    shared = axis([bar(row, truths=True) for row in ROWS])
    drawn = draw(bar(ROWS[0], truths=True), shared)
    assert left(drawn, "zero") < left(drawn, "range") < left(drawn, "true") < left(drawn, "lift")
    assert left(drawn, "range") == pytest.approx(shared.position(0.0121), abs=0.01)
    assert left(drawn, "true") == pytest.approx(shared.position(0.0392), abs=0.01)
    assert "cut" not in drawn


def test_an_interval_without_ends_runs_through_the_whole_axis() -> None:
    row = replace(ROWS[0], low=None, high=None, reason="the control may well be 0")
    shared = axis(bars_of(*ROWS))
    drawn = draw(bar(row), shared)
    assert 'class="range cut-low cut-high"' in drawn
    assert left(drawn, "range") == pytest.approx(shared.position(shared.low), abs=0.01)


def test_an_absent_lift_has_neither_mark_nor_interval() -> None:
    drawn = draw(bar(absent(ROWS[0], "control has 1 user")), axis(bars_of(*ROWS)))
    assert 'class="lift"' not in drawn
    assert 'class="range' not in drawn


def test_a_bar_says_in_words_what_it_shows() -> None:
    row = bar(ROWS[4], truths=True)
    words = "lift -8.0 %, interval -14.1 to -1.5 %, worse, true lift +0.3 %, outside interval"
    assert row.words == f"Click-through rate (% of views): {words}"
    assert f'aria-label="{row.words}"' in draw(row, axis([row]))


def test_the_margin_of_a_guardrail_stands_on_its_bar_and_within_the_axis() -> None:
    row = replace(lift_row(lift=(0.001, -0.004, 0.006)), role="guardrail", null_lift=-0.02)
    shared = axis(bars_of(row))
    assert shared.low <= -0.02
    drawn = draw(bar(row), shared)
    assert left(drawn, "margin") == pytest.approx(shared.position(-0.02), abs=0.01)
    assert left(drawn, "margin") < left(drawn, "range")
    assert 'class="margin"' not in draw(bar(ROWS[0]), shared)


def test_the_bar_of_a_segment_has_no_colour_of_a_verdict() -> None:
    segments = printed(rich()).blocks[0].tables[0].segments
    assert {of_segment(each).tone for each in segments} == {"no"}


def test_a_bar_of_characters_has_its_marks_in_their_places() -> None:
    shared = Axis(-0.1, 0.1)
    assert plot(Bar(0.05, 0.02, 0.08, "no", ""), shared, 21) == "          | [--o--]"
    assert plot(Bar(0.05, -0.2, 0.3, "no", ""), shared, 21) == "<---------|----o---->"
    assert plot(Bar(None, None, None, "unknown", ""), shared, 21) == "          |"


@given(lifts, lifts, lifts, st.integers(min_value=3, max_value=60))
def test_a_bar_of_characters_keeps_to_its_width(low: float, lift: float, high: float, width: int) -> None:
    low, lift, high = sorted((low, lift, high))
    one = Bar(lift, low, high, "no", "")
    drawn = plot(one, axis([one]), width)
    assert len(drawn) <= width
    assert drawn.count("o") == 1


def test_an_axis_has_no_more_ticks_than_there_is_room_for() -> None:
    assert len(Axis(-0.14, 0.2).ticks(4)) <= 4


def test_small_axes_have_ticks_with_decimals() -> None:
    assert ">+0.5 %<" in scale(Axis(-0.004, 0.012))
    assert ">−10 %<" in scale(Axis(-0.14, 0.2))
