"""The rows of the table from real events: every kind of metric, covariates, looks and the family of primary rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from ab_platform.analysis import analyze
from ab_platform.analysis.readout import population_of
from ab_platform.errors import EventError, ExperimentError
from ab_platform.events import Impression, Watch
from ab_platform.experiment import AnalysisRule, Arm, Guardrail
from ab_platform.lineage import Title
from ab_platform.metrics import CATALOGUE, Metric
from ab_platform.results import LiftRow, Readout
from ab_platform.storage.store import Store
from tests.analysis.made import DATASET, KEY, START, definition, launched, visits

PLAY = "home_card.play_duration"


def rows(readout: Readout) -> Mapping[str, LiftRow]:
    return {f"{row.surface}.{row.metric}": row for row in readout.lifts}


def week(store: Store, *, users: int = 200, factor: float = 1.0, **changed: object) -> Mapping[str, LiftRow]:
    """Run an experiment of a week and return its rows."""
    launch = launched(store, definition(**changed))  # type: ignore[arg-type]
    store.record(visits(launch, users, factor=factor))
    return rows(analyze(store, KEY))


def before(store: Store, users: int = 200) -> None:
    """Run a week before the experiment's in which the same users were seen."""
    store.record(visits(launched(store, definition("before"), at=START - timedelta(days=7)), users, seed=5))


def test_every_metric_of_the_catalogue_has_a_value_or_a_reason(store: Store) -> None:
    named = tuple(f"home_card.{each.name}" for each in CATALOGUE if f"home_card.{each.name}" != PLAY)
    with_titles(store)
    found = week(store, secondary=named)
    assert len(found) == len(CATALOGUE) + 3
    for name, row in found.items():
        assert row.control is not None or row.reason, name
        assert (row.p_value is None) == (row.low is None and row.reason is not None), name
    absent = {name for name, row in found.items() if row.control is None}
    assert absent == {"home_card.retention_day_7", "home_card.retention_day_14", "home_card.retention_day_28"}


def with_titles(store: Store) -> None:
    with store.ingesting(DATASET, "hash", "here", START) as writer:
        writer.write_titles([Title(f"t{number}", f"Title {number}") for number in range(8)])
        writer.write_interactions(["someone"], ["t0"], None, None)
        writer.finish(bad_rows=0)


def test_coverage_of_the_catalogue_is_of_groups_of_users_and_is_compared_like_any_mean(store: Store) -> None:
    with_titles(store)
    row = week(store, secondary=("home_card.catalogue_coverage",))["home_card.catalogue_coverage"]
    assert (row.control, row.treatment) == (0.25, 0.25)  # two titles of eight are ever shown
    assert row.users_control + row.users_treatment == 200
    assert row.reason == "both arms are constant; the standard error is 0"


def test_coverage_without_titles_to_cover_says_so(store: Store) -> None:
    row = week(store, secondary=("home_card.catalogue_coverage",))["home_card.catalogue_coverage"]
    assert row.control is None
    assert row.reason is not None
    assert "the data set its titles" in row.reason


def test_an_experiments_own_metric_needs_no_code(store: Store) -> None:
    own = Metric("plays_per_slate", "Titles watched per slate", "titles_watched", "slates")
    found = week(store, metrics=(own,), secondary=("home_card.plays_per_slate",))
    row = found["home_card.plays_per_slate"]
    assert row.control == pytest.approx(row.numerator_control / row.denominator_control, rel=1e-12)
    assert row.p_value is not None


def test_a_winsorised_row_records_its_cap_which_all_arms_share(store: Store) -> None:
    arms = (
        Arm("old", "popularity", 0.4, control=True),
        Arm("new", "popularity", 0.3, seed=1),
        Arm("newer", "popularity", 0.3, seed=2),
    )
    launch = launched(store, definition(arms=arms, secondary=("home_card.play_duration_winsorised",)))
    store.record(visits(launch, 300, factor=2.0))
    capped = [row for row in analyze(store, KEY).lifts if row.metric == "play_duration_winsorised"]
    assert len(capped) == 2
    assert capped[0].cap == capped[1].cap is not None
    assert capped[0].control == capped[1].control


def test_what_users_did_before_takes_variance_out_and_leaves_the_lift_in_reach(store: Store) -> None:
    before(store)
    launch = launched(store, definition())
    events = visits(launch, factor=1.5)
    store.record(events)
    plain = rows(analyze(store, KEY))[PLAY]
    store.stop(KEY, at=launch.ends_at)
    other = definition("again", salt=KEY, layer="another", analysis=AnalysisRule(covariates=("before",)))
    again = launched(store, other)
    store.record(
        [
            replace(event, experiment="again", event_id=type(event.event_id)(int=event.event_id.int ^ 1))
            for event in events
        ]
    )
    assert again.starts_at == launch.starts_at
    adjusted = rows(analyze(store, "again"))[PLAY]
    assert adjusted.variance_saved is not None
    assert adjusted.variance_saved > 0.05
    assert None not in (plain.low, plain.high, adjusted.low, adjusted.high, plain.lift, adjusted.lift)
    assert adjusted.high - adjusted.low < plain.high - plain.low  # type: ignore[operator]
    assert plain.low <= adjusted.lift <= plain.high  # type: ignore[operator]


@pytest.mark.parametrize(
    ("begins", "days", "ended_before"),
    [(-7, 28, True), (-7, 7, False), (-3, 28, False), (-7, 13, True), (-7, 12, False)],
)
def test_the_own_exposure_is_looked_at_unless_every_day_before_is_in_everyones_window(
    store: Store, begins: int, days: int, ended_before: bool
) -> None:
    # The last exposures are of the seventh day: what began seven days before the first lies 13 days before them.
    launched(store, definition("before"), at=START + timedelta(days=begins))
    launch = launched(store, definition(analysis=AnalysisRule(covariate_days=days)))
    found = population_of(store, launch, START.date() + timedelta(days=6))
    assert found.earlier == ("before",)
    assert found.ended_before is ended_before


def test_without_a_time_before_the_covariate_is_left_out_and_the_reader_told(store: Store) -> None:
    launch = launched(store, definition(analysis=AnalysisRule(covariates=("before",))))
    store.record(visits(launch, 100))
    readout = analyze(store, KEY)
    assert {row.variance_saved for row in readout.lifts} == {None}
    assert readout.look is not None
    assert "Covariates: none." in readout.look.told


@pytest.mark.parametrize("name", ["home_card.play_duration", "home_card.click_rate_per_view"])
def test_a_prediction_is_a_covariate_too(store: Store, name: str) -> None:
    before(store)
    found = week(store, analysis=AnalysisRule(covariates=("prediction",)))
    assert found[name].variance_saved is not None


def test_a_covariate_nothing_is_stored_of_is_refused_with_the_nearest(store: Store) -> None:
    store.write_attributes(DATASET, "age", [("user-1", "30")])
    with pytest.raises(
        ExperimentError, match=r"covariate 'agee' is no user attribute of the data set; did you mean 'age'\?"
    ):
        week(store, analysis=AnalysisRule(covariates=("agee",)))


def test_an_attribute_known_of_some_is_a_covariate_with_its_indicator(store: Store) -> None:
    store.write_attributes(DATASET, "age", [(f"user-{number}", str(20 + number % 50)) for number in range(120)])
    found = week(store, analysis=AnalysisRule(covariates=("age",)))
    assert found[PLAY].variance_saved is not None


def test_several_primary_rows_are_one_family(store: Store) -> None:
    primary = (PLAY, "movie_card.play_duration", "home_card.click_rate_per_view")
    found = week(store, factor=1.6, primary=primary)
    family = [found[name] for name in primary]
    assert {row.adjustment for row in family} == {"holm"}
    assert all((row.p_value < row.alpha) == (row.low > 0.0 or row.high < 0.0) for row in family)  # type: ignore[operator]
    assert min(row.interval_alpha for row in family) == pytest.approx(0.05 / 3)
    alone = found["movie_card.click_rate_per_user"]
    assert (alone.adjustment, alone.interval_alpha) == ("none", 0.05)


def test_one_primary_row_is_adjusted_for_nothing(store: Store) -> None:
    row = week(store)[PLAY]
    assert (row.role, row.adjustment, row.interval_alpha) == ("primary", "none", 0.05)


def test_a_guardrail_is_tested_at_its_margin_on_the_worse_side(store: Store) -> None:
    guardrails = (Guardrail("home_card.latency", 0.5), Guardrail("home_card.click_rate_per_user", 0.5))
    found = week(store, guardrails=guardrails)
    latency, clicks = found["home_card.latency"], found["home_card.click_rate_per_user"]
    assert (latency.null_lift, clicks.null_lift) == (0.5, -0.5)
    for row in (latency, clicks):
        assert row.p_value is not None
        assert row.p_value < 0.001  # both are within half of the control, either way


def test_sequential_rows_are_wider_and_named_so(store: Store) -> None:
    fixed = week(store)[PLAY]
    launch = launched(
        store,
        definition("watched", salt=KEY, layer="another", analysis=AnalysisRule("sequential", users=200, covariates=())),
    )
    store.record(visits(launch, 200))
    row = rows(analyze(store, "watched"))[PLAY]
    assert (fixed.monitoring, row.monitoring) == ("fixed", "sequential")
    assert row.high - row.low > fixed.high - fixed.low  # type: ignore[operator]
    assert row.detectable > fixed.detectable  # type: ignore[operator]


def test_between_planned_looks_rows_have_values_and_the_reason_why_no_more(store: Store) -> None:
    launch = launched(store, definition(analysis=AnalysisRule("group_sequential", users=200, looks=2, covariates=())))
    store.record(visits(launch, 200))
    readout = analyze(store, KEY, as_of=START.date() + timedelta(days=4))
    row = rows(readout)[PLAY]
    assert row.lift is not None
    [decision] = readout.decisions
    assert (decision.outcome, decision.days_left) == ("keep running", 2.0)
    assert (row.low, row.p_value, row.detectable) == (None, None, None)
    assert row.reason is not None
    assert "is no planned look" in row.reason


def test_a_users_second_arm_takes_them_out_of_every_row(store: Store) -> None:
    launch = launched(store, definition())
    events = visits(launch, 100)
    store.record(events)
    whole = rows(analyze(store, KEY))[PLAY]
    first = events[0]
    other = "new" if first.arm == "old" else "old"
    late = replace(
        first, arm=other, at=first.at + timedelta(hours=1), event_id=type(first.event_id)(int=first.event_id.int ^ 3)
    )
    store.record([late])
    readout = analyze(store, KEY)
    assert readout.look is not None
    assert (readout.look.mixed_users, readout.look.users) == (1, 99)
    row = rows(readout)[PLAY]
    assert row.users_control + row.users_treatment == whole.users_control + whole.users_treatment - 1


@pytest.mark.parametrize("metric", ["latency", "play_duration", "time_to_first_click"])
def test_a_metric_nobody_logged_says_so_and_has_no_number_made_up(store: Store, metric: str) -> None:
    secondary = () if metric == "play_duration" else (f"home_card.{metric}",)
    launch = launched(store, definition(secondary=secondary))
    shown = [event for event in visits(launch, 60) if isinstance(event, Impression)]
    store.record([replace(event, latency_ms=None) for event in shown])
    row = rows(analyze(store, KEY))[f"home_card.{metric}"]
    assert (row.lift, row.low, row.p_value) == (None, None, None)
    assert row.reason is not None
    assert "came from either arm; log the events" in row.reason


@pytest.mark.parametrize("users", [1, 2, 3])
def test_a_handful_of_users_gives_reasons_where_it_gives_no_numbers(store: Store, users: int) -> None:
    for row in week(store, users=users).values():
        assert (row.p_value is None) == (row.low is None and row.reason is not None)


def test_an_arm_nobody_reached_is_named(store: Store) -> None:
    launch = launched(store, definition())
    store.record([event for event in visits(launch, 60) if event.arm == "old"])
    row = rows(analyze(store, KEY))[PLAY]
    assert row.control is not None
    assert (row.treatment, row.p_value) == (None, None)
    assert row.reason == "treatment has 0 users; at least 2 are required"


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1.0, 90_000.0])
def test_seconds_that_are_no_seconds_never_get_in(store: Store, seconds: float) -> None:
    launch = launched(store, definition())
    [watch, *_] = [event for event in visits(launch, 20) if isinstance(event, Watch)]
    with pytest.raises(EventError, match="it must be a number from 0 to 86400"):
        replace(watch, watch_seconds=seconds)


def test_the_detectable_lift_is_found_with_the_planned_power() -> None:
    # Where the true lift is the detectable one, the estimate lies z_power standard errors beyond the interval's half.
    from ab_platform.analysis.table import _detectable
    from ab_platform.statistics.cuped import Adjusted
    from ab_platform.statistics.lift import Estimate, lift

    control, treatment = Estimate(10.0, 0.04, 5_000), Estimate(10.0, 0.05, 5_000)
    least = _detectable(definition(), Adjusted(control, treatment), lift(control, treatment))
    assert least == pytest.approx((1.96 + 0.8416) * 0.09**0.5 / 10.0, rel=1e-3)
