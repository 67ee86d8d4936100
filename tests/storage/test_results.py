from __future__ import annotations

from dataclasses import replace
from datetime import date
from math import inf

from ab_platform.events import SURFACES
from ab_platform.results import LiftRow, SampleRatioRow
from ab_platform.storage.store import Store
from tests.storage.made import KEY, START, started

DAY, NEXT = date(2026, 3, 1), date(2026, 3, 2)

LIFT = LiftRow(
    experiment=KEY,
    as_of=DAY,
    surface="home_card",
    metric="play_duration",
    arm="pia",
    method="fieller",
    alpha=0.05,
    watermark=START,
    users_control=10,
    users_treatment=12,
    numerator_control=100.5,
    numerator_treatment=180.25,
    denominator_control=10.0,
    denominator_treatment=12.0,
    control=10.05,
    treatment=15.02,
    lift=0.4945,
    low=-0.1,
    high=inf,
    p_value=0.07,
    reason="the control is not far from 0; the interval is unbounded",
)
RATIO = SampleRatioRow(KEY, DAY, "all", START, ("control", "pia"), (10, 12), (11.0, 11.0), 0.18, 0.67, False, None)


def test_results_come_back_as_they_were_written(store: Store) -> None:
    started(store)
    store.write_readout([LIFT], [RATIO])
    assert store.lifts(KEY, DAY) == (LIFT,)
    assert store.sample_ratios(KEY, DAY) == (RATIO,)


def test_a_number_that_could_not_be_computed_comes_back_absent(store: Store) -> None:
    started(store)
    absent = replace(LIFT, control=None, treatment=None, lift=None, low=None, high=None, p_value=None, reason="nobody")
    unknown = replace(RATIO, chi2=None, p_value=None, reason="nobody")
    store.write_readout([absent], [unknown])
    assert store.lifts(KEY) == (absent,)
    assert store.sample_ratios(KEY, DAY) == (unknown,)


def test_writing_again_replaces_the_same_rows_and_no_others(store: Store) -> None:
    started(store)
    store.write_readout([LIFT, replace(LIFT, as_of=NEXT)], [RATIO])
    again = replace(LIFT, lift=0.5, reason=None)
    store.write_readout([again], [replace(RATIO, alarm=True)])
    assert store.lifts(KEY, DAY) == (again,)
    assert store.lifts(KEY, NEXT) == (replace(LIFT, as_of=NEXT),)
    assert store.sample_ratios(KEY, DAY) == (replace(RATIO, alarm=True),)


def test_the_newest_day_is_the_default(store: Store) -> None:
    started(store)
    store.write_readout([replace(LIFT, as_of=NEXT), LIFT], [])
    assert store.lifts(KEY) == (replace(LIFT, as_of=NEXT),)
    assert store.as_ofs(KEY) == (DAY, NEXT)


def test_rows_are_in_the_order_of_the_table(store: Store) -> None:
    started(store)
    metrics = ("play_duration", "click_rate_per_view", "click_rate_per_user")
    table = [replace(LIFT, surface=surface, metric=metric) for surface in SURFACES for metric in metrics]
    ratios = [replace(RATIO, scope=scope) for scope in ("all", *SURFACES)]
    store.write_readout(table[::-1], ratios[::-1])
    assert list(store.lifts(KEY)) == table
    assert list(store.sample_ratios(KEY, DAY)) == ratios


def test_without_an_analysis_there_is_nothing(store: Store) -> None:
    assert store.lifts(KEY) == ()
    assert store.sample_ratios(KEY, DAY) == ()
    assert store.as_ofs(KEY) == ()
