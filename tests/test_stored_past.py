"""What stored analyses tell a new experiment: the same as the users themselves would."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from statistics import NormalDist

import pytest

from ab_platform.events import SURFACES
from ab_platform.experiment import AnalysisRule, Experiment
from ab_platform.lineage import Launch
from ab_platform.metrics import Metric
from ab_platform.past import PastData, past
from ab_platform.results import LiftRow
from ab_platform.simulation.plan import Plan
from ab_platform.simulation.running import simulate
from ab_platform.statistics.lift import Estimate, lift
from ab_platform.storage.store import Store, open_store
from ab_platform.stored_past import Analysed, stored_past, variation
from tests.readouts import lift_row, ratio_row

pytestmark = pytest.mark.xdist_group("stored past")  # so that the fixtures of the module are made once

USERS = 1_500
NOW = datetime(2025, 3, 10, 12, tzinfo=UTC)

FEW_PER_CENT = 0.05


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Launch]]:
    """A simulated experiment after a week in which both arms were the control, so that covariates save something."""
    folder = tmp_path_factory.mktemp("world")
    store = open_store(f"sqlite:///{folder / 'abp.db'}", migrate=True)
    plan = Plan("few-heavy-users", users=USERS, days=5, seed=3)
    simulate(store, plan, at=NOW)
    yield store, store.experiment(plan.key)
    store.close()


def analysed(store: Store) -> Iterator[Analysed]:
    for launch in sorted(store.experiments(), key=lambda each: each.launched_at, reverse=True):
        stored = store.readout(launch.experiment.key)
        if stored is not None:
            checks = [store.split_history(launch.experiment.key, scope) for scope in ("all", *SURFACES)]
            splits = tuple(row for of_scope in checks for row in of_scope)
            yield Analysed(launch, stored.lifts[0].as_of, stored.lifts, stored.views, stored.segments, splits)


def every_row(launch: Launch) -> Experiment:
    """Return an experiment to plan that decides by every row of the one that ran."""
    return replace(launch.experiment, guardrails=(), primary=tuple(row.name for row in launch.experiment.rows))


def welch(
    *, users: tuple[int, int], means: tuple[float, float], deviations: tuple[float, float], power: float
) -> LiftRow:
    """Build the row that arms of such users give, control first."""
    arms = [
        Estimate(mean, deviation**2 / count, count)
        for count, mean, deviation in zip(users, means, deviations, strict=True)
    ]
    found = lift(*arms)
    assert found.difference_low is not None
    assert found.difference_high is not None
    half = (found.difference_high - found.difference_low) / 2.0
    error = math.sqrt(sum(arm.variance or 0.0 for arm in arms))
    return replace(
        lift_row(values=means),
        users_control=users[0],
        users_treatment=users[1],
        difference=found.difference,
        difference_low=found.difference_low,
        difference_high=found.difference_high,
        lift=found.lift,
        low=found.low,
        high=found.high,
        detectable=(half + NormalDist().inv_cdf(power) * error) / means[0],
    )


def test_every_row_varies_as_its_users_do(world: tuple[Store, Launch]) -> None:
    store, launch = world
    wanted = every_row(launch)
    measured, told = past(store, wanted, USERS), stored_past(analysed(store), wanted, USERS)
    assert told.variations.keys() == measured.variations.keys() == {row.name for row in launch.experiment.rows}
    for row, found in told.variations.items():
        assert found.coefficient == pytest.approx(measured.variations[row].coefficient, rel=1e-6)
        assert found.variance_saved == measured.variations[row].variance_saved
        assert found.source == measured.variations[row].source


def test_users_come_as_they_came(world: tuple[Store, Launch]) -> None:
    store, launch = world
    whole = every_row(launch)
    half = replace(whole, traffic=0.5)
    for wanted in (whole, half):
        measured, told = past(store, wanted, USERS), stored_past(analysed(store), wanted, USERS)
        # The primary row tells of every day; the other surface has one count, and comes at the same pace.
        assert told.arrivals["home_card"] == measured.arrivals["home_card"]
        movie = told.arrivals["movie_card"]
        assert movie.by_day == pytest.approx(measured.arrivals["movie_card"].by_day, rel=0.1)
        assert movie.by_day[-1] == measured.arrivals["movie_card"].by_day[-1]
        assert movie.most == measured.arrivals["movie_card"].most
        assert "counted on 1 of them and taken at the pace of the other surface" in movie.source


def test_without_days_since_the_exposure_users_are_those_of_each_look(world: tuple[Store, Launch]) -> None:
    store, launch = world
    newest, *_ = analysed(store)
    days = [newest.as_of - timedelta(days=back) for back in (4, 2, 0)]
    looks = tuple(
        replace(ratio_row("home_card", counts=counts), as_of=day)
        for day, counts in zip(days, ((100, 110), (200, 230), (250, 251)), strict=True)
    )
    told = stored_past([replace(newest, segments=(), splits=looks)], every_row(launch), USERS).arrivals
    assert told["home_card"].by_day == (210.0, 320.0, 430.0, 465.5, 501.0)
    assert "counted on 3 of them and taken as even between" in told["home_card"].source
    assert "movie_card" not in told


def test_an_adjusted_row_alone_tells_it_to_a_few_per_cent(world: tuple[Store, Launch]) -> None:
    store, launch = world
    wanted = every_row(launch)
    measured = past(store, wanted, USERS)
    told = stored_past([replace(each, views=()) for each in analysed(store)], wanted, USERS)
    # Both arms are taken to vary alike there, and clicks do; what is watched varies more under the treatment.
    for row in ("home_card.click_rate_per_user", "movie_card.click_rate_per_user", "home_card.visits"):
        assert told.variations[row].coefficient == pytest.approx(measured.variations[row].coefficient, rel=FEW_PER_CENT)


def test_looks_at_any_time_tell_the_same(world: tuple[Store, Launch]) -> None:
    store, _ = world
    for each in analysed(store):
        views = {(view.row.surface, view.row.metric, view.row.monitoring, view.covariates): view for view in each.views}
        for (surface, metric, monitoring, covariates), view in views.items():
            other = views[surface, metric, "fixed", covariates].row
            if monitoring == "sequential" and not covariates and view.row.low is not None and other.low is not None:
                assert variation(view.row, power=0.8) == pytest.approx(variation(other, power=0.8), rel=1e-6)


def test_what_is_not_planned_for_is_not_told(world: tuple[Store, Launch]) -> None:
    store, launch = world
    wanted = replace(launch.experiment, primary=("home_card.play_duration",), guardrails=())
    assert stored_past(analysed(store), wanted, USERS).variations.keys() == {"home_card.play_duration"}
    elsewhere = replace(wanted, data=replace(wanted.data, dataset="other"))
    assert stored_past(analysed(store), elsewhere, USERS) == PastData({}, {})


def test_a_metric_that_was_another_one_under_the_same_name_is_not_told(world: tuple[Store, Launch]) -> None:
    store, launch = world
    own = Metric("play_duration", "Seconds per slate", "watch_seconds", "slates")
    assert stored_past(analysed(store), replace(launch.experiment, metrics=(own,)), USERS).variations.keys() == {
        row.row for row in launch.experiment.guardrails
    }


def test_other_covariates_save_nobody_knows_what(world: tuple[Store, Launch]) -> None:
    store, launch = world
    wanted = replace(every_row(launch), analysis=AnalysisRule(covariates=("device",)))
    told = stored_past(analysed(store), wanted, USERS).variations["home_card.play_duration"]
    measured = past(store, every_row(launch), USERS).variations["home_card.play_duration"]
    assert told.variance_saved is None
    assert told.coefficient == pytest.approx(measured.coefficient)


def test_the_newest_analysis_that_can_tell_is_taken_and_no_further_one_is_read(world: tuple[Store, Launch]) -> None:
    store, launch = world
    newest, *_ = analysed(store)

    def one_by_one() -> Iterator[Analysed]:
        yield replace(newest, lifts=(), views=())
        yield newest
        pytest.fail("an older one was read")

    assert stored_past(one_by_one(), launch.experiment, USERS).variations


@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("with_detectable", [True, False])
def test_a_row_of_any_power_tells_a_known_variation(power: float, with_detectable: bool) -> None:
    row = welch(users=(900, 600), means=(10.0, 11.0), deviations=(20.0, 26.0), power=power)
    row = row if with_detectable else replace(row, detectable=None)
    # Student's degrees are taken for all users where nothing better is known: nearly nothing among so many.
    exact = with_detectable and power != 0.5
    assert variation(row, power=power) == pytest.approx(2.0, rel=1e-9 if exact else 1e-3)


@pytest.mark.parametrize(
    "changed",
    [
        {"control": None},
        {"control": 0.0},
        {"control": -1.0},
        {"difference_low": None},
        {"users_control": 1},
        {"detectable": None, "monitoring": "sequential"},
    ],
)
def test_a_row_that_cannot_tell_says_nothing(changed: dict[str, object]) -> None:
    row = welch(users=(900, 600), means=(10.0, 11.0), deviations=(20.0, 26.0), power=0.8)
    assert variation(replace(row, **changed), power=0.8) is None  # type: ignore[arg-type]
