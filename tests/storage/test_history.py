"""What goes over every experiment, or every day of one: what the overview and the history are read from."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from ab_platform.results import LiftView
from ab_platform.storage.store import Store, Stored
from tests.storage.made import KEY, definition, started
from tests.storage.test_results import CHECK, DAY, DECISION, LIFT, NEXT, RATIO, VIEWS, WHOLE

OTHER = "another"


def of(found: Stored, key: str, day: date) -> Stored:
    """Give an analysis another key and day."""
    assert found.look is not None
    return replace(
        found,
        look=replace(found.look, experiment=key, as_of=day),
        lifts=tuple(replace(row, experiment=key, as_of=day) for row in found.lifts),
        sample_ratios=tuple(replace(row, experiment=key, as_of=day) for row in found.sample_ratios),
        decisions=tuple(replace(row, experiment=key, as_of=day) for row in found.decisions),
        segments=(),
        segment_tests=(),
        views=tuple(replace(each, row=replace(each.row, experiment=key, as_of=day)) for each in found.views),
        checks=tuple(replace(row, experiment=key, as_of=day) for row in found.checks),
    )


@pytest.fixture
def several(store: Store) -> Store:
    """Two experiments, one with two days whose figures differ."""
    started(store)
    started(store, definition(OTHER, layer="other"))
    store.write_readout(WHOLE)
    changed = replace(
        WHOLE,
        lifts=(replace(LIFT, lift=0.3),),
        sample_ratios=(replace(RATIO, alarm=True), replace(RATIO, scope="home_card")),
        decisions=(replace(DECISION, outcome="ship"),),
        checks=(replace(CHECK, status="healthy"),),
    )
    store.write_readout(of(changed, KEY, NEXT))
    store.write_readout(of(WHOLE, OTHER, DAY))
    return store


def test_headlines_are_the_primary_rows_of_every_experiment_by_day(several: Store) -> None:
    found = several.headlines()
    assert [(each.experiment, each.as_of, each.row.lift) for each in found] == [
        (OTHER, DAY, 0.4945),
        (KEY, DAY, 0.4945),
        (KEY, NEXT, 0.3),
    ]
    assert found[1].row == LIFT


def test_of_several_primary_rows_the_experiments_first_is_the_headline(store: Store) -> None:
    primary = ("movie_card.play_duration", "home_card.click_rate_per_view")
    started(store, replace(definition(), primary=primary))
    second = replace(LIFT, metric="click_rate_per_view", lift=0.1)
    first = replace(LIFT, surface="movie_card", lift=0.2)
    secondary = replace(LIFT, metric="click_rate_per_user", role="secondary")
    store.write_readout(replace(WHOLE, lifts=(second, first, secondary)))
    assert [each.row for each in store.headlines()] == [first]


def test_each_treatment_has_a_headline_of_its_own(store: Store) -> None:
    started(store)
    other = replace(LIFT, arm="another", lift=-0.1)
    store.write_readout(replace(WHOLE, lifts=(LIFT, other)))
    assert [(each.row.arm, each.row.lift) for each in store.headlines()] == [("another", -0.1), ("pia", 0.4945)]


def test_of_decisions_splits_and_checks_only_the_newest_analysis_tells(several: Store) -> None:
    assert {key: [row.outcome for row in rows] for key, rows in several.newest_decisions().items()} == {
        KEY: ["ship"],
        OTHER: ["keep running"],
    }
    assert {key: {(row.scope, row.alarm) for row in rows} for key, rows in several.newest_sample_ratios().items()} == {
        KEY: {("all", True), ("home_card", False)},
        OTHER: {("all", False)},
    }
    assert {key: [row.status for row in rows] for key, rows in several.newest_checks().items()} == {
        KEY: ["healthy"],
        OTHER: ["warning"],
    }


def test_an_analysis_of_an_earlier_version_has_no_checks_and_none_are_borrowed_from_the_day_before(
    several: Store,
) -> None:
    last = NEXT + timedelta(days=1)
    several.write_readout(of(replace(WHOLE, checks=(), sample_ratios=()), KEY, last))
    assert several.newest_checks().keys() == {OTHER}
    assert several.newest_sample_ratios().keys() == {OTHER}


def test_the_history_is_the_views_against_the_control_of_every_day(several: Store) -> None:
    with_others = replace(WHOLE, views=(*VIEWS, LiftView("pia", False, replace(LIFT, arm="control"))))
    several.write_readout(with_others)
    found = several.lift_history(KEY)
    assert [(each.row.as_of, each.baseline, each.covariates) for each in found] == [
        (DAY, "control", False),
        (DAY, "control", True),
        (NEXT, "control", False),
        (NEXT, "control", True),
    ]
    assert found[:2] == VIEWS


def test_without_an_analysis_there_is_nothing_to_go_over(store: Store) -> None:
    started(store)
    assert store.headlines() == ()
    assert (store.newest_decisions(), store.newest_sample_ratios(), store.newest_checks()) == ({}, {}, {})
    assert store.lift_history(KEY) == ()
