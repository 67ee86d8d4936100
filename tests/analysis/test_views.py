"""Views: every row made other ways, the same digits where the way is the row's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from ab_platform.analysis import analyze
from ab_platform.analysis import readout as read
from ab_platform.analysis.views import USERS_UNPLANNED, pairs, tuning_users
from ab_platform.experiment import AnalysisRule, Arm, Guardrail
from ab_platform.lineage import Title
from ab_platform.metrics import CATALOGUE
from ab_platform.results import LiftRow, LiftView, Outcome, Readout
from ab_platform.statistics.monitoring import MonitoringName
from ab_platform.storage.store import Store
from tests.analysis.made import DATASET, KEY, START, definition, launched, visits
from tests.analysis.test_table import before

PLAY = "home_card.play_duration"
THREE = (
    Arm("old", "popularity", 0.4, control=True),
    Arm("new", "popularity", 0.3, seed=1),
    Arm("newer", "popularity", 0.3, seed=2),
)

Key = tuple[str, str, str, bool, MonitoringName]
"""Row, arm, baseline, whether covariates took variance away, monitoring."""


def week(store: Store, *, users: int = 200, **changed: object) -> Readout:
    """Run an experiment of a week."""
    launch = launched(store, definition(**changed))  # type: ignore[arg-type]
    store.record(visits(launch, users, factor=1.3))
    return analyze(store, KEY)


def by_key(readout: Readout) -> Mapping[Key, LiftRow]:
    made = {
        (
            f"{each.row.surface}.{each.row.metric}",
            each.row.arm,
            each.baseline,
            each.covariates,
            each.row.monitoring,
        ): each.row
        for each in readout.views
    }
    assert len(made) == len(readout.views)
    return made


def own(readout: Readout, row: LiftRow) -> LiftView | None:
    """Return the view of a row that is made as the row is."""
    return next(
        (
            each
            for each in readout.views
            if (each.row.surface, each.row.metric, each.row.arm) == (row.surface, row.metric, row.arm)
            and each.baseline == "old"
            and each.covariates == (row.variance_saved is not None)
            and each.row.monitoring == row.monitoring
        ),
        None,
    )


@pytest.mark.parametrize("rule", [AnalysisRule(covariates=()), AnalysisRule("sequential", users=200, covariates=())])
def test_the_view_made_as_the_row_is_has_its_digits(store: Store, rule: AnalysisRule) -> None:
    readout = week(store, analysis=rule, guardrails=(Guardrail("home_card.latency", 0.1),))
    for row in readout.lifts:
        view = own(readout, row)
        assert view is not None
        assert view.row == row


def test_so_it_has_with_covariates_and_beside_it_is_the_row_without(store: Store) -> None:
    before(store)
    readout = week(store, analysis=AnalysisRule(covariates=("before",)))
    views = by_key(readout)
    for row in readout.lifts:
        assert row.variance_saved is not None
        view = own(readout, row)
        assert view is not None
        assert view.row == row
        plain = views[f"{row.surface}.{row.metric}", "new", "old", False, "fixed"]
        assert plain.variance_saved is None
        assert plain.control == pytest.approx(row.numerator_control / row.denominator_control, rel=1e-12)


def test_without_covariates_the_views_are_those_of_an_experiment_that_has_none(store: Store) -> None:
    before(store)
    adjusted = week(store, analysis=AnalysisRule(covariates=("before",)))
    plain = {(row.surface, row.metric): row for row in _again_without(store).lifts}
    for each in adjusted.views:
        if not each.covariates and each.row.monitoring == "fixed":
            expected = plain[each.row.surface, each.row.metric]
            assert replace(each.row, experiment=expected.experiment) == expected


def _again_without(store: Store) -> Readout:
    """Run the same week under an experiment without covariates, by the same salt."""
    launch = launched(store, definition("plain", salt=KEY, layer="another"))
    store.record(
        [
            replace(event, experiment="plain", event_id=type(event.event_id)(int=event.event_id.int ^ 1))
            for event in visits(store.experiment(KEY), 200, factor=1.3)
        ]
    )
    assert launch.starts_at == START
    return analyze(store, "plain")


def test_a_row_that_covariates_take_nothing_from_has_no_view_with_them(store: Store) -> None:
    assert {each.covariates for each in week(store, analysis=AnalysisRule(covariates=("before",))).views} == {False}


def test_no_view_is_adjusted_for_another_and_each_interval_has_the_experiments_alpha(store: Store) -> None:
    readout = week(store, primary=(PLAY, "movie_card.play_duration"))
    assert {row.adjustment for row in readout.lifts if row.role == "primary"} == {"holm"}
    assert {(each.row.adjustment, each.row.interval_alpha) for each in readout.views} == {("none", 0.05)}


def test_a_guardrail_keeps_its_margin_in_every_view(store: Store) -> None:
    readout = week(store, arms=THREE, guardrails=(Guardrail("home_card.latency", 0.1),))
    assert {each.row.null_lift for each in readout.views if each.row.role == "guardrail"} == {0.1}


def test_looks_at_any_time_are_wider_than_one_look(store: Store) -> None:
    views = by_key(week(store))
    fixed, any_time = (views[PLAY, "new", "old", False, name] for name in ("fixed", "sequential"))
    assert fixed.lift == any_time.lift
    assert any_time.low < fixed.low < fixed.high < any_time.high  # type: ignore[operator]


def test_between_planned_looks_the_views_still_have_intervals(store: Store) -> None:
    rule = AnalysisRule("group_sequential", users=200, looks=2, covariates=())
    launch = launched(store, definition(analysis=rule))
    store.record(visits(launch, 200))
    readout = analyze(store, KEY, as_of=START.date() + timedelta(days=4))
    assert {row.low for row in readout.lifts if row.role == "primary"} == {None}
    assert {each.row.monitoring for each in readout.views} == {"fixed", "sequential"}
    assert all(each.row.low is not None for each in readout.views)


def test_of_two_arms_only_the_control_is_a_baseline() -> None:
    assert list(pairs(definition())) == [("old", "new")]


def test_of_several_treatments_each_is_a_baseline_also_for_the_control(store: Store) -> None:
    assert list(pairs(definition(arms=THREE))) == [
        ("old", "new"),
        ("old", "newer"),
        ("new", "old"),
        ("new", "newer"),
        ("newer", "old"),
        ("newer", "new"),
    ]
    views = by_key(week(store, users=300, arms=THREE))
    there, back = views[PLAY, "new", "old", False, "fixed"], views[PLAY, "old", "new", False, "fixed"]
    assert (back.control, back.treatment) == (there.treatment, there.control)
    assert (back.users_control, back.users_treatment) == (there.users_treatment, there.users_control)
    assert back.lift == pytest.approx(1.0 / (1.0 + there.lift) - 1.0)  # type: ignore[operator]


def test_every_metric_of_the_catalogue_has_views_with_values_or_a_reason(store: Store) -> None:
    with store.ingesting(DATASET, "hash", "here", START) as writer:
        writer.write_titles([Title(f"t{number}", f"Title {number}") for number in range(8)])
        writer.write_interactions(["someone"], ["t0"], None, None)
        writer.finish(bad_rows=0)
    named = tuple(f"home_card.{each.name}" for each in CATALOGUE if f"home_card.{each.name}" != PLAY)
    readout = week(store, users=300, arms=THREE, secondary=named)
    views = by_key(readout)
    assert len(views) == 2 * 6 * (len(CATALOGUE) + 3)
    for key, row in views.items():
        assert row.control is not None or row.reason, key
        assert row.low is not None or row.reason, key
    capped = {row.cap for key, row in views.items() if key[0] == "home_card.play_duration_winsorised"}
    assert len(capped) == 1


def test_what_any_look_is_tuned_for_does_not_depend_on_who_came() -> None:
    planned = definition(layer_buckets=(0, 5000), traffic=0.5)
    assert tuning_users(planned, 40_000) == 10_000
    assert tuning_users(planned, 0) == USERS_UNPLANNED
    assert tuning_users(replace(planned, analysis=AnalysisRule("sequential", users=770)), 40_000) == 770


def test_the_truth_of_a_replay_is_stored_with_the_analysis(store: Store) -> None:
    launch = launched(store, definition())
    outcomes = [
        Outcome(KEY, f"user-{number}", arm, "home_card", 10, 1, seconds)
        for number in range(5)
        for arm, seconds in (("old", 10.0), ("new", 12.0))
    ]
    store.record(visits(launch, 60), outcomes)
    analyzed = analyze(store, KEY)
    assert analyzed.truth_from == "replay"
    truth = analyzed.truth(analyzed.lifts[0])
    assert truth is not None
    assert (truth.control, truth.treatment) == (10.0, 12.0)
    assert truth.lift == pytest.approx(0.2)
    more = [replace(each, user_id=f"late-{each.user_id}", watch_seconds=100.0) for each in outcomes]
    store.record([], more)
    assert read(store, KEY) == analyzed
    again = analyze(store, KEY).truth(analyzed.lifts[0])
    assert again is not None
    assert again.lift == pytest.approx(0.2 * 10 / 110)


def test_an_analysis_of_an_earlier_version_has_its_truth_computed(store: Store) -> None:
    launch = launched(store, definition())
    outcomes = [Outcome(KEY, "user-1", arm, "home_card", 10, 1, 10.0) for arm in ("old", "new")]
    store.record(visits(launch, 60), outcomes)
    analyzed = analyze(store, KEY)
    stored = store.readout(KEY)
    assert stored is not None
    store.write_readout(replace(stored, views=(), checks=(), truths=(), truth_from=None))
    assert read(store, KEY) == replace(analyzed, views=(), checks=())
