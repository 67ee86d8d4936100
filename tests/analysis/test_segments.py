"""Segments: rows that add up to the whole, a test between them, and the lift by days since the exposure."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ab_platform.analysis import analyze
from ab_platform.analysis.segments import AGE, CELLS_AT_ONCE, batches
from ab_platform.errors import ExperimentError
from ab_platform.experiment import AnalysisRule
from ab_platform.results import Readout, SegmentRow
from ab_platform.storage.store import Store
from tests.analysis.made import DATASET, KEY, START, definition, launched, visits

USERS = 240
DEVICES = ("phone", "tv", "web")


def analysed(store: Store, *segments: str, factor: float = 1.0) -> Readout:
    for number, name in enumerate(("device", "country")):
        values = [(f"user-{user}", DEVICES[(user // (number + 1)) % 3]) for user in range(USERS)]
        store.write_attributes(DATASET, name, values)
    launch = launched(store, definition(analysis=AnalysisRule(covariates=(), segments=segments)))
    store.record(visits(launch, USERS, factor=factor))
    return analyze(store, KEY)


def of(readout: Readout, dimension: str, metric: str = "play_duration") -> dict[str, SegmentRow]:
    return {
        row.segment: row
        for row in readout.segments
        if (row.dimension, row.metric, row.surface) == (dimension, metric, "home_card")
    }


def test_the_users_of_the_segments_are_those_of_the_row(store: Store) -> None:
    readout = analysed(store, "device", "cohort")
    whole = readout.lifts[0]
    for dimension in ("device", "cohort"):
        rows = of(readout, dimension).values()
        assert sum(row.users_control for row in rows) == whole.users_control
        total = sum(row.users_treatment * (row.treatment or 0.0) for row in rows)
        assert total == pytest.approx(whole.numerator_treatment, rel=1e-12)


def test_a_row_does_not_depend_on_which_segments_are_asked_for(store: Store, other_store: Store) -> None:
    assert analysed(store).lifts == analysed(other_store, "device", "country", "cohort").lifts


def test_a_segment_is_read_like_an_experiment_of_its_users(store: Store) -> None:
    tv = of(analysed(store, "device", factor=1.5), "device")["tv"]
    assert tv.control is not None
    assert tv.lift is not None
    assert tv.low is not None
    assert tv.high is not None
    assert tv.low < tv.lift < tv.high


def test_the_segments_of_each_row_are_tested_against_each_other_once(store: Store) -> None:
    readout = analysed(store, "device", "country")
    found = [(row.surface, row.metric, row.dimension) for row in readout.segment_tests]
    assert len(found) == len(set(found)) == 6 * 2
    assert all(row.p_value is not None and row.degrees == 2 for row in readout.segment_tests)


def test_a_lift_in_one_segment_alone_is_found_as_a_difference(store: Store) -> None:
    values = [(f"user-{user}", DEVICES[user % 3]) for user in range(USERS)]
    store.write_attributes(DATASET, "device", values)
    launch = launched(store, definition(analysis=AnalysisRule(covariates=(), segments=("device",))))
    plain, strong = visits(launch, USERS), visits(launch, USERS, factor=12.0)
    on_tv = {user for user, device in values if device == "tv"}
    store.record([*(e for e in plain if e.user_id not in on_tv), *(e for e in strong if e.user_id in on_tv)])
    readout = analyze(store, KEY)
    [test] = [row for row in readout.segment_tests if (row.surface, row.metric) == ("home_card", "play_duration")]
    assert test.p_value is not None
    assert test.p_value < 0.001


def test_segments_of_a_handful_of_users_are_shown_and_not_weighed(store: Store) -> None:
    store.write_attributes(DATASET, "shelf", [(f"user-{user}", f"s{user % 40}") for user in range(USERS)])
    launch = launched(store, definition(analysis=AnalysisRule(covariates=(), segments=("shelf",))))
    store.record(visits(launch, USERS))
    readout = analyze(store, KEY)
    assert len(of(readout, "shelf")) == 40
    assert {row.p_value for row in readout.segment_tests} == {None}
    assert all(row.reason for row in readout.segment_tests)


def test_the_lift_by_days_since_the_exposure_counts_the_users_whose_day_is_over(store: Store) -> None:
    launch = launched(store, definition())
    store.record(visits(launch, USERS))
    readout = analyze(store, KEY, as_of=START.date() + timedelta(days=3))
    ages = of(readout, AGE)
    assert list(ages) == ["0", "1", "2", "3"]
    users = [row.users_control for row in ages.values()]
    assert users == sorted(users, reverse=True)
    assert users[0] == readout.lifts[0].users_control
    total = sum(row.users_control * (row.control or 0.0) for row in ages.values())
    assert total == pytest.approx(readout.lifts[0].numerator_control, rel=1e-12)


def test_a_segment_nothing_is_stored_of_is_refused_with_the_nearest(store: Store) -> None:
    with pytest.raises(ExperimentError, match=r"segment 'devise' is no user attribute of the data set; did you mean"):
        analysed(store, "devise")


def test_an_attribute_of_too_many_values_is_no_segment(store: Store) -> None:
    store.write_attributes(DATASET, "age", [(f"user-{user}", str(user)) for user in range(USERS)])
    with pytest.raises(ExperimentError, match="has 240 values; at most 50 make segments: group them"):
        analysed(store, "age")


def test_dimensions_share_a_query_while_their_cells_are_few() -> None:
    names = tuple(f"d{number}" for number in range(20))
    experiment = definition(analysis=AnalysisRule(covariates=(), segments=names))
    made = batches(experiment, dict.fromkeys(names, 3), 7)
    assert [name for dimensions in made for name in dimensions] == list(names)
    assert all(4 ** len(dimensions) <= CELLS_AT_ONCE for dimensions in made)
    assert len(made) == 4  # five of 4 values, with one more for the unknown, are 3,125 cells


def test_without_segments_there_is_one_query() -> None:
    assert batches(definition(), {}, 7) == ((),)
