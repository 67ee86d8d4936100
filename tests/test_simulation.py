"""Simulated worlds: their truth against brute force, and what the table makes of their events."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ab_platform import analysis
from ab_platform.errors import ExperimentError, NotFoundError
from ab_platform.events import SURFACES, Surface
from ab_platform.experiment import Arm, DataRule, Experiment
from ab_platform.metrics import PUBLISHED_TABLE_2
from ab_platform.results import LiftRow, Readout
from ab_platform.serving import place
from ab_platform.simulation import WORLDS, Plan, World, simulate, world
from ab_platform.simulation.population import SLATE_SIZE, Behaviour, figures, fitted, visit_chances, visits_by_age
from ab_platform.simulation.sending import Period, arriving, batch_users
from ab_platform.simulation.visits import draw_slates, draw_users
from ab_platform.statistics.lift import Estimate, estimate, lift
from ab_platform.statistics.moments import Moments
from ab_platform.storage.store import PerUser, Population, Store
from tests import worlds
from tests.test_cli import Run, abp

__all__ = ["abp"]

Columns = NDArray[np.float64]

NOW = datetime(2026, 5, 10, 12, 30, tzinfo=UTC)
SOUND = [name for name in WORLDS if not world(name, days=7).alarms]
FAULTY = [name for name in WORLDS if world(name, days=7).alarms]

CLICKS, IMPRESSIONS, CLICKED, SECONDS, VISITS = range(5)
METRICS = {
    "play_duration": (SECONDS, None),
    "click_rate_per_view": (CLICKS, IMPRESSIONS),
    "click_rate_per_user": (CLICKED, None),
    "visits": (VISITS, None),
}


def lived(made: World, behaviour: Behaviour, surface: Surface, *, users: int, seed: int, days: int = 7) -> Columns:
    """Draw a population under one arm and add up what each user who came did, (users who came, 5)."""
    rng = np.random.default_rng(seed)
    drawn = draw_users(made, [str(number) for number in range(users)], rng)
    slates = draw_slates(drawn, surface, [behaviour], np.zeros(users, dtype=np.int64), days=days, rng=rng)
    visits = np.bincount(slates.user, minlength=users)
    clicks = np.bincount(slates.user, slates.clicked.sum(axis=1), minlength=users)
    seconds = np.bincount(slates.user, slates.watch_seconds.sum(axis=1), minlength=users)
    return np.column_stack([clicks, SLATE_SIZE * visits, clicks > 0, seconds, visits])[visits > 0]


def measured(columns: Columns) -> dict[str, Estimate]:
    moments = Moments.of(columns)
    return {name: estimate(moments, *pair) for name, pair in METRICS.items()}


def arms_of(made: World) -> list[tuple[Surface, Behaviour]]:
    return [(surface, each) for arm in (made.control, made.treatment) for surface, each in arm.items()]


def standard_errors_off(found: Estimate, truth: float) -> float:
    assert found.value is not None
    assert found.variance is not None
    return float(abs(found.value - truth) / np.sqrt(found.variance))


def half_widths_off(row: LiftRow, readout: Readout) -> float:
    """Return how far the true difference is from the one that was found, 1 at the end of its interval."""
    truth = readout.truth(row)
    assert truth is not None
    assert truth.control is not None
    assert truth.treatment is not None
    assert row.difference is not None
    assert row.difference_high is not None
    return abs(truth.treatment - truth.control - row.difference) / (row.difference_high - row.difference)


# What is true ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [1, 2, 7, 30])
def test_the_twelve_published_values_of_table_2_hold_exactly_in_its_population(days: int) -> None:
    made = world("table2", days=days)
    for row in PUBLISHED_TABLE_2:
        for arm, published in ((made.control, row.control), (made.treatment, row.treatment)):
            found = getattr(figures(arm[row.surface], days=days), row.metric)
            assert found == pytest.approx(published, rel=1e-9)


def test_a_large_draw_of_table_2_has_the_published_values_within_chance() -> None:
    made = world("table2", days=7)
    for row in PUBLISHED_TABLE_2:
        for seed, arm, published in ((1, made.control, row.control), (2, made.treatment, row.treatment)):
            found = measured(lived(made, arm[row.surface], row.surface, users=200_000, seed=seed))[row.metric]
            assert standard_errors_off(found, published) < 4.0, row


@pytest.mark.parametrize("name", WORLDS)
def test_the_closed_form_agrees_with_a_large_draw_of_every_world_under_both_arms(name: str) -> None:
    made = world(name, days=7)
    for seed, (surface, behaviour) in enumerate(arms_of(made)):
        found = measured(lived(made, behaviour, surface, users=40_000, seed=seed))
        known = figures(behaviour, days=7)
        off = {metric: standard_errors_off(each, getattr(known, metric)) for metric, each in found.items()}
        # 144 comparisons of 9 worlds: a normal error is beyond 4.5 in one of a thousand such tests.
        assert max(off.values()) < 4.5, (name, surface, off)


@pytest.mark.parametrize("days", [1, 2, 3, 6])
def test_expected_visits_by_age_are_those_of_counting_every_set_of_days(days: int) -> None:
    expected = np.zeros(days)
    for visits, chance in enumerate(visit_chances(days), start=1):
        sets = list(combinations(range(days), visits))
        for chosen in sets:
            for day in chosen:
                expected[day - chosen[0]] += chance / len(sets)
    np.testing.assert_allclose(visits_by_age(days), expected, atol=1e-12)
    assert visit_chances(days).sum() == pytest.approx(1.0)


def test_click_rates_that_no_behaviour_has_are_refused_with_the_range() -> None:
    with pytest.raises(ValueError, match=r"is 0\.8; it must be in \(1, 5\)"):
        fitted(0.05, 0.04, 10.0, days=7, concentration=2.0)
    with pytest.raises(ValueError, match=r"is 5; it must be in \(1, 5\)"):
        fitted(0.01, 0.05, 10.0, days=7, concentration=2.0)


def test_a_novelty_fades_by_the_day_and_the_true_lift_is_its_average() -> None:
    made = world("fading-novelty", days=7)
    control, treatment = (arm["home_card"] for arm in (made.control, made.treatment))
    by_day = treatment.watch_by_age(7) / control.watch_by_age(7) - 1.0
    np.testing.assert_allclose(by_day, 0.5 * 0.6 ** np.arange(7))
    average = float(by_day @ visits_by_age(7) / visits_by_age(7).sum())
    played = [figures(each, days=7).play_duration for each in (control, treatment)]
    assert played[1] / played[0] - 1.0 == pytest.approx(average)
    assert by_day[-1] < average < by_day[0]


def test_one_user_in_a_hundred_makes_half_of_the_watch_time_where_few_are_heavy() -> None:
    made = world("few-heavy-users", days=7)
    users = draw_users(made, [str(number) for number in range(400_000)], np.random.default_rng(0))
    heaviest = np.sort(users.watch)[-4_000:]
    assert heaviest.sum() / users.watch.sum() == pytest.approx(0.5, abs=0.02)
    ordinary = draw_users(world("no-effect", days=7), users.ids, np.random.default_rng(0)).watch
    assert np.sort(ordinary)[-4_000:].sum() / ordinary.sum() < 0.1


@pytest.mark.parametrize("name", ["table2", "fading-novelty"])
def test_a_user_comes_at_the_same_moments_under_either_arm(name: str) -> None:
    made = world(name, days=7)
    users = draw_users(made, [str(number) for number in range(500)], np.random.default_rng(5))
    behaviours = (made.control["home_card"], made.treatment["home_card"])
    under = [
        draw_slates(
            users, "home_card", behaviours, np.full(500, arm, dtype=np.int64), days=7, rng=np.random.default_rng(6)
        )
        for arm in (0, 1)
    ]
    for column in ("user", "day", "second", "title"):
        np.testing.assert_array_equal(getattr(under[0], column), getattr(under[1], column))
    assert not np.array_equal(under[0].watch_seconds, under[1].watch_seconds)


def repeated_lifts(made: World, surface: Surface, metric: str, *, times: int, users: int) -> list[tuple[float, bool]]:
    """Return the p-value of each of many small worlds, and whether the interval holds the true lift."""
    of_control, of_treatment = made.control[surface], made.treatment[surface]
    known = [getattr(figures(each, days=7), metric) for each in (of_control, of_treatment)]
    truth = known[1] / known[0] - 1.0
    arms = [
        np.array_split(lived(made, each, surface, users=times * users, seed=seed), times)
        for seed, each in ((10, of_control), (11, of_treatment))
    ]
    found = [
        lift(measured(control)[metric], measured(treatment)[metric]) for control, treatment in zip(*arms, strict=True)
    ]
    return [(each.p_value or 0.0, each.low is not None and each.low <= truth <= (each.high or 0.0)) for each in found]


@pytest.mark.parametrize("metric", ["click_rate_per_view", "click_rate_per_user", "visits"])
def test_p_values_are_uniform_where_there_is_no_effect(metric: str) -> None:
    found = repeated_lifts(world("no-effect", days=7), "home_card", metric, times=400, users=600)
    assert stats.kstest([p for p, _ in found], "uniform").pvalue > 1e-3


@pytest.mark.parametrize("surface", SURFACES)
def test_intervals_hold_the_lift_of_table_2_as_often_as_they_promise(surface: Surface) -> None:
    found = repeated_lifts(world("table2", days=7), surface, "click_rate_per_user", times=400, users=1_500)
    held = sum(inside for _, inside in found)
    # 95 % of 400 are 380, with a standard deviation of 4.4; three and a half of them to either side.
    assert 364 <= held <= 395


# Through the real path ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOUND)
def test_the_table_of_a_sound_world_holds_the_truth_and_its_split_is_trusted(name: str, store: Store) -> None:
    readout = simulate(store, Plan(name, users=1_200), at=NOW).readout
    assert readout.as_of == date(2026, 5, 9)
    assert [(row.surface, row.metric) for row in readout.lifts] == [
        (truth.surface, truth.metric) for truth in readout.truths
    ]
    assert len(readout.lifts) == 7
    # Of so few users hardly three are heavy and click: no mean of theirs is near normal yet.
    rows = [row for row in readout.lifts if name != "few-heavy-users" or row.metric != "play_duration"]
    # An interval of 95 % leaves out one truth in twenty; 1.8 times as wide it leaves out one in two thousand.
    assert max(half_widths_off(row, readout) for row in rows) < 1.8
    assert not any(split.alarm for split in readout.sample_ratios)


@pytest.mark.parametrize("name", FAULTY)
def test_the_split_of_a_faulty_world_alarms_and_the_decision_is_not_to_read_it(name: str, store: Store) -> None:
    readout = simulate(store, Plan(name, users=1_500), at=NOW).readout
    alarmed = {split.scope for split in readout.sample_ratios if split.alarm}
    assert "all" in alarmed or "device tv" in alarmed
    assert not alarmed & {"device phone", "device web"}
    assert [decision.outcome for decision in readout.decisions] == ["unhealthy"]


def exposed_arms(store: Store, key: str) -> dict[str, str]:
    launched = store.experiment(key)
    population = Population(key, launched.ends_at.date(), launched.experiment.data.dataset)
    found = store.user_values(population, [PerUser("impressions")])
    return {str(user): str(arm) for each in found for user, arm in zip(each.users, each.arms, strict=True)}


@pytest.mark.parametrize("name", ["no-effect", "broken-split", "uneven-split"])
def test_users_are_logged_with_the_arm_of_their_hash_unless_the_split_is_broken(name: str, store: Store) -> None:
    plan = Plan(name, users=1_000, before=False)
    simulate(store, plan, at=NOW)
    launched = store.experiment(plan.key)
    moved = set()
    for user, arm in exposed_arms(store, plan.key).items():
        index = place(launched, user).arm_index
        assert index is not None
        if (hashed := launched.experiment.arms[index].name) != arm:
            moved.add((hashed, arm))
    assert moved == ({("new", "old")} if name == "broken-split" else set())


def test_impressions_are_lost_on_one_device_under_one_arm_and_clicks_are_not(store: Store) -> None:
    lost = simulate(store, Plan("lost-logging", users=1_500, before=False, segments=("device",)), at=NOW).readout
    shares = {
        split.scope: split.counts[1] / sum(split.counts)
        for split in lost.sample_ratios
        if split.scope.startswith("device")
    }
    assert shares["device tv"] < 0.35
    assert 0.44 < shares["device phone"] < 0.56
    assert 0.42 < shares["device web"] < 0.58


def test_a_world_whose_events_come_late_and_twice_has_the_table_of_the_punctual_one(
    store: Store, other_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan("late-and-duplicated", users=400, segments=("device", "cohort"))
    late = simulate(store, plan, at=NOW)
    monkeypatch.setitem(WORLDS, plan.world, _punctual(WORLDS[plan.world]))
    punctual = simulate(other_store, plan, at=NOW)
    assert late.events_stored == punctual.events_stored
    assert late.readout == punctual.readout
    assert late.readout.segments


def test_late_events_are_out_of_order_and_some_come_twice(store: Store) -> None:
    plan = Plan("late-and-duplicated", users=400, before=False)
    simulate(store, plan, at=NOW)
    period = Period(store.experiment(plan.key), plan.made, (plan.made.control, plan.made.treatment), seed=0, stream=3)
    passes = [arriving(period, range(400), number=number) for number in range(period.passes)]
    times = [event.at for event in passes[0]]
    assert times != sorted(times)
    assert min(event.at for event in passes[1]) < max(times)
    arrived = [event.event_id for each in passes for event in each]
    assert 1.03 < len(arrived) / len(set(arrived)) < 1.09  # a tenth of the 60 % that were in time come again


def _punctual(make: Callable[[int], World]) -> Callable[[int], World]:
    return lambda days: replace(make(days), delivery="punctual")


def test_what_users_did_in_the_week_before_takes_variance_away(store: Store, other_store: Store) -> None:
    saved, unknown = (
        {(row.surface, row.metric): row.variance_saved for row in readout.lifts}
        for readout in (
            simulate(store, Plan("small-lift", users=1_000), at=NOW).readout,
            simulate(other_store, Plan("small-lift", users=1_000, before=False), at=NOW).readout,
        )
    )
    assert set(unknown.values()) == {None}
    share = saved["home_card", "click_rate_per_user"]
    assert share is not None
    assert share > 0.3


def test_attributes_of_users_make_segments(store: Store) -> None:
    readout = simulate(
        store, Plan("no-effect", users=600, segments=("device", "interactions", "country")), at=NOW
    ).readout
    segments = {row.dimension: set[str]() for row in readout.segments}
    for row in readout.segments:
        segments[row.dimension].add(row.segment)
    assert segments["device"] == {"phone", "tv", "web"}
    assert segments["interactions"] == {"0-4", "5-10", "11-50", "51-100", "100+"}
    assert len(segments["country"]) == 5


def test_the_week_before_is_an_experiment_of_its_own_that_has_ended(store: Store) -> None:
    plan = Plan("no-effect", users=300)
    simulate(store, plan, at=NOW)
    before, itself = (store.experiment(key) for key in (f"{plan.key}-before", plan.key))
    assert (before.state, itself.state) == ("stopped", "running")
    assert before.stopped_at == before.ends_at == itself.starts_at
    assert before.experiment.layer == itself.experiment.layer
    assert before.experiment.data.dataset == itself.experiment.data.dataset == "simulated-no-effect"
    both = analysis.analyze(store, before.experiment.key)
    assert {truth.lift for truth in both.truths} == {0.0}


# Again, and otherwise -------------------------------------------------------------------------------------------------


def test_the_same_again_changes_nothing_even_on_another_day(store: Store) -> None:
    plan = Plan("table2", users=300)
    first = simulate(store, plan, at=NOW)
    changes = store.changes(plan.key)
    again = simulate(store, plan, at=NOW.replace(month=6))
    assert first.events_stored > 0
    assert again.events_stored == 0
    assert again.readout == first.readout
    assert store.changes(plan.key) == changes


def test_a_simulation_that_was_cut_short_goes_on_and_ends_the_same(store: Store, other_store: Store) -> None:
    plan = Plan("table2", users=1_100)

    def stop(done: int, total: int) -> None:
        if done > 1_100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(store, plan, at=NOW, progress=stop)
    rest = simulate(store, plan, at=NOW)
    whole = simulate(other_store, plan, at=NOW)
    assert 0 < rest.events_stored < whole.events_stored
    assert rest.readout == whole.readout


def test_another_seed_gives_other_events_and_another_world_other_users() -> None:
    one, same, seed, other = (
        batch_users(world(name, days=7), seed, range(100))
        for name, seed in (("no-effect", 0), ("no-effect", 0), ("no-effect", 1), ("small-lift", 0))
    )
    np.testing.assert_array_equal(one.watch, same.watch)
    assert not np.intersect1d(one.watch, seed.watch).size
    assert not np.intersect1d(one.watch, other.watch).size


def test_other_settings_under_the_same_key_are_refused_with_the_next_step(store: Store) -> None:
    simulate(store, Plan("no-effect", users=300), at=NOW)
    with pytest.raises(
        ExperimentError, match=r"users 300, seed 0; now users 400, seed 3 is asked for: .* another --key"
    ):
        simulate(store, Plan("no-effect", users=400, seed=3), at=NOW)
    other = simulate(store, Plan("no-effect", users=400, seed=3, key="mine"), at=NOW).readout
    assert other.experiment == "mine"
    assert other.look is not None
    assert 350 < other.look.users <= 400


def test_a_key_that_was_not_simulated_is_refused(store: Store) -> None:
    arms = (Arm("head", "popularity", 0.5, control=True), Arm("tail", "popularity", 0.5, seed=1))
    worlds.register(store, worlds.launch(Experiment("live", DataRule("small"), arms)))
    with pytest.raises(ExperimentError, match="'live' is an experiment that was not simulated; give another --key"):
        simulate(store, Plan("no-effect", users=300, key="live"), at=NOW)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Plan("no-effect", users=10), "users is 10; a simulation needs at least 200"),
        (lambda: Plan("no-effect", days=0), "days is 0; it must be 1 to 365"),
        (lambda: Plan("no-effect", seed=-1), "seed is -1; it must be at least 0"),
        (lambda: Plan("no-efect"), "world 'no-efect' is not there; did you mean 'no-effect'"),
    ],
)
def test_a_plan_that_cannot_be_says_what_is_required(make: Callable[[], Plan], message: str) -> None:
    with pytest.raises((ExperimentError, NotFoundError), match=message):
        make()


@pytest.mark.parametrize("monitoring", ["sequential", "group_sequential"])
@pytest.mark.parametrize("days", [1, 3])
def test_worlds_can_be_monitored_and_be_of_any_length(monitoring: str, days: int, store: Store) -> None:
    plan = Plan("table2", users=600, days=days, monitoring=monitoring)  # type: ignore[arg-type]
    readout = simulate(store, plan, at=NOW).readout
    assert {row.monitoring for row in readout.lifts} == {monitoring}
    # On a single day nobody comes twice, so visits do not vary and have no interval.
    assert all(row.difference_low is not None for row in readout.lifts if row.metric != "visits")


# By the command line --------------------------------------------------------------------------------------------------


def test_the_verb_prints_what_the_world_is_and_what_the_table_finds_and_a_second_run_the_same(abp: Run) -> None:
    words = ["simulate", "table2", "--users", "400"]
    first = abp(*words)
    assert "The truth is the paper's Table 2" in first.stdout
    assert re.search(r"\d of \d intervals hold the true lift\.\n", first.stdout)
    assert "The split check does not alarm, and nothing is wrong in this world." in first.stdout
    assert "Movie Card" in first.stdout
    assert re.search(r"[1-9][\d,]* new events", first.stderr)
    again = abp(*words)
    assert again.stdout == first.stdout
    assert "0 new events" in again.stderr
    assert "give another --key" in abp("simulate", "table2", "--users", "500", exit_code=1).stderr


def test_the_verb_says_that_an_alarm_is_right_where_the_split_is_broken(abp: Run) -> None:
    found = json.loads(abp("simulate", "broken-split", "--users", "600", "--no-before", "--json").stdout)
    assert found["alarm_expected"] is True
    assert "all" in found["alarms"]
    assert found["intervals"] == 7
    assert len(found["readout"]["lifts"]) == 7
    assert "that is the right answer" in abp("simulate", "broken-split", "--users", "600", "--no-before").stdout


def test_the_verb_lists_the_worlds(abp: Run) -> None:
    listed = abp("simulate", "--list").stdout
    assert all(name in listed for name in WORLDS)
    assert [each["world"] for each in json.loads(abp("simulate", "--list", "--json").stdout)] == list(WORLDS)
