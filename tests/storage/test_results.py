from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from math import inf

from ab_platform.results import (
    Check,
    DecisionRow,
    LiftRow,
    LiftView,
    Look,
    SampleRatioRow,
    SegmentRow,
    SegmentTestRow,
    Truth,
)
from ab_platform.storage.store import Store, Stored
from tests.storage.made import KEY, START, started

DAY, NEXT = date(2026, 3, 1), date(2026, 3, 2)

LIFT = LiftRow(
    experiment=KEY,
    as_of=DAY,
    surface="home_card",
    metric="play_duration",
    arm="pia",
    role="primary",
    method="fieller",
    monitoring="sequential",
    adjustment="holm",
    alpha=0.05,
    interval_alpha=0.025,
    null_lift=-0.02,
    watermark=START,
    users_control=10,
    users_treatment=12,
    numerator_control=100.5,
    numerator_treatment=180.25,
    denominator_control=10.0,
    denominator_treatment=12.0,
    control=10.05,
    treatment=15.02,
    difference=4.97,
    difference_low=-1.0,
    difference_high=11.0,
    lift=0.4945,
    low=-0.1,
    high=inf,
    p_value=0.07,
    detectable=0.6,
    variance_saved=0.31,
    cap=86.5,
    reason="the control is not far from 0; the interval is unbounded",
)
RATIO = SampleRatioRow(KEY, DAY, "all", START, ("control", "pia"), (10, 12), (11.0, 11.0), 0.18, 0.67, 0.9, False, None)
SEGMENT = SegmentRow(
    KEY, DAY, "home_card", "play_duration", "pia", "device", "tv", 5, 6, 10.0, 11.0, 0.1, -0.5, 0.8, 0.4, None
)
TEST = SegmentTestRow(KEY, DAY, "home_card", "play_duration", "pia", "device", 2.5, 1, 0.11, None)
DECISION = DecisionRow(KEY, DAY, "pia", "keep running", "no primary row shows a difference yet", 3.5)
LOOK = Look(KEY, DAY, START, 22, 1, ("Monitoring: sequential.", "Covariates: none."))
VIEWS = (LiftView("control", False, replace(LIFT, monitoring="fixed")), LiftView("control", True, LIFT))
CHECK = Check(KEY, DAY, "fallbacks", "pia", "warning", 0.02, "2 % of the slates of pia fell back", "see the log")
TRUTH = Truth("home_card", "play_duration", "pia", 10.0, 14.0, 0.4)

WHOLE = Stored(
    LOOK, (LIFT,), (RATIO,), (DECISION,), (SEGMENT,), (TEST,), VIEWS, (CHECK,), truths=(TRUTH,), truth_from="replay"
)


def test_results_come_back_as_they_were_written(store: Store) -> None:
    started(store)
    store.write_readout(WHOLE)
    assert store.readout(KEY, DAY) == WHOLE


def test_a_number_that_could_not_be_computed_comes_back_absent(store: Store) -> None:
    started(store)
    absent = replace(LIFT, control=None, treatment=None, lift=None, low=None, high=None, p_value=None, reason="nobody")
    unknown = replace(RATIO, chi2=None, p_value=None, e_value=None, reason="nobody")
    without = replace(WHOLE, lifts=(absent,), sample_ratios=(unknown,))
    store.write_readout(without)
    assert store.readout(KEY) == without


def test_writing_again_replaces_the_rows_of_the_day_and_no_others(store: Store) -> None:
    started(store)
    later = replace(WHOLE, look=replace(LOOK, as_of=NEXT), lifts=(replace(LIFT, as_of=NEXT),), segments=())
    later = replace(later, sample_ratios=(), decisions=(), segment_tests=(), views=(), checks=())
    later = replace(later, truths=(), truth_from=None)
    store.write_readout(WHOLE)
    store.write_readout(later)
    again = replace(WHOLE, lifts=(replace(LIFT, lift=0.5, reason=None),), segments=(), checks=())
    store.write_readout(again)
    assert store.readout(KEY, DAY) == again
    assert store.readout(KEY, NEXT) == later


def test_the_newest_day_is_the_default(store: Store) -> None:
    started(store)
    newest = replace(WHOLE, look=replace(LOOK, as_of=NEXT), lifts=(replace(LIFT, as_of=NEXT),))
    newest = replace(newest, sample_ratios=(), decisions=(), segments=(), segment_tests=(), views=(), checks=())
    newest = replace(newest, truths=(), truth_from=None)
    store.write_readout(newest)
    store.write_readout(WHOLE)
    assert store.readout(KEY) == newest
    assert store.as_ofs(KEY) == (DAY, NEXT)


def test_without_an_analysis_there_is_nothing(store: Store) -> None:
    assert store.readout(KEY) is None
    assert store.as_ofs(KEY) == ()


def test_two_that_analyze_at_once_write_one_result(store: Store) -> None:
    started(store)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(store.write_readout, [WHOLE] * 24))
    assert store.readout(KEY) == WHOLE
