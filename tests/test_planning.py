"""Planning: what past experiments tell, what an experiment needs, and that what is promised is found."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from typer.testing import CliRunner

from ab_platform.cli.main import app
from ab_platform.errors import ExperimentError
from ab_platform.events import AnyEvent
from ab_platform.experiment import AnalysisRule, Arm, DataRule, Experiment, Guardrail
from ab_platform.experiment_file import dump
from ab_platform.metrics import Metric
from ab_platform.past import Arrivals, PastData, past
from ab_platform.planning import CURVE_REACH, Given, plan, planned
from ab_platform.power_plan import RowPower, Variation
from ab_platform.reporting import power_curve
from ab_platform.statistics import group_sequential
from ab_platform.statistics.confidence_sequence import tuned
from ab_platform.statistics.cuped import Ratio, adjust
from ab_platform.statistics.decision import guardrail_power
from ab_platform.statistics.lift import Estimate, lift
from ab_platform.statistics.moments import Moments
from ab_platform.statistics.power import detectable_lift, users_needed
from ab_platform.storage.store import Store
from tests.storage import made

PLAY = "home_card.play_duration"
RUNS = 2_000


def defined(**changed: object) -> Experiment:
    changes = {"analysis": AnalysisRule(lift_to_find=0.1)} | changed
    return replace(made.definition("next", layer="planned"), **changes)  # type: ignore[arg-type]


def measured(coefficient: float = 2.0, saved: float | None = None, users: float = 1_000.0, days: int = 7) -> PastData:
    variation = Variation(coefficient, saved, "measured")
    rows = (PLAY, "home_card.visits", "home_card.latency", "home_card.click_rate_per_user")
    arrivals = Arrivals(tuple(users * (day + 1) / days for day in range(days)), users, "observed")
    return PastData(dict.fromkeys(rows, variation), {"home_card": arrivals, "movie_card": arrivals})


def only(experiment: Experiment, past_data: PastData, given: Given | None = None) -> RowPower:
    (row,) = planned(experiment, past_data, 1_000, given=given or Given()).rows
    return row


# What past experiments tell -------------------------------------------------------------------------------------------


def lived(store: Store, seconds: NDArray[np.float64], *, key: str = made.KEY, day: int = 0, days: int = 1) -> None:
    """Store one visit a user, half of them in each arm, spread over the days; each watches so long."""
    events: list[AnyEvent] = []
    for number, watched in enumerate(seconds):
        user, at = f"u{number:05d}", made.after(days=day + number % days, seconds=60.0 + number % 1000)
        arm = "control" if number % 2 == 0 else "pia"
        events.append(made.impression(user, at, key=key, arm=arm))
        events.append(replace(made.watch(user, at + timedelta(seconds=9), float(watched), key=key), arm=arm))
    store.record(events)
    store.roll_up()


def later(store: Store, definition: Experiment) -> None:
    """Launch an experiment a day after the others."""
    launched = replace(made.launch(definition), launched_at=made.after(days=1))
    made.register(store, launched)
    store.launch(launched)


def test_the_variation_is_that_of_the_controls_users(store: Store) -> None:
    made.started(store)
    seconds = np.random.default_rng(1).exponential(100.0, 600).round(3)
    seconds[1::2] *= 50.0  # the treatment's users do not tell it
    lived(store, seconds)
    found = past(store, defined(), 600).variations[PLAY]
    control = seconds[::2]
    assert found.coefficient == pytest.approx(control.std(ddof=1) / control.mean(), rel=1e-9)
    assert found.source == f"measured in {made.KEY} over 1 day"
    assert found.variance_saved is None


def test_a_ratio_a_cap_and_a_quantile_are_measured_too(store: Store) -> None:
    made.started(store)
    seconds = np.random.default_rng(2).exponential(100.0, 2_000).round(3)
    lived(store, seconds)
    names = ("home_card.seconds_per_slate", "home_card.play_duration_winsorised", "home_card.play_duration_median")
    own = (Metric("seconds_per_slate", "Seconds per slate", "watch_seconds", "slates"),)
    found = past(store, defined(primary=names, metrics=own), 2_000).variations
    control = seconds[::2]
    capped = np.minimum(control, np.quantile(seconds, 0.99, method="inverted_cdf"))
    # With a slate each, the ratio is the mean. An exponential median varies by 1 / (2 f(m) m) = 1 / ln 2.
    assert found[names[0]].coefficient == pytest.approx(control.std(ddof=1) / control.mean(), rel=1e-9)
    assert found[names[1]].coefficient == pytest.approx(capped.std(ddof=1) / capped.mean(), rel=1e-9)
    assert found[names[2]].coefficient == pytest.approx(1.0 / math.log(2.0), rel=0.15)


def test_covariates_save_there_what_they_would_save_here(store: Store) -> None:
    rng = np.random.default_rng(3)
    taste = rng.normal(100.0, 20.0, 2_000)
    made.started(store, made.definition("before", layer="earlier", days=3))
    lived(store, (taste + rng.normal(0.0, 10.0, 2_000)).round(3), key="before")
    later(store, made.definition())
    lived(store, (taste + rng.normal(0.0, 10.0, 2_000)).round(3), day=1)
    saved = past(store, defined(), 2_000).variations[PLAY].variance_saved
    assert saved == pytest.approx((400.0 / 500.0) ** 2, abs=0.04)  # the squared correlation
    without = defined(analysis=AnalysisRule(covariates=()))
    assert past(store, without, 2_000).variations[PLAY].variance_saved is None


def test_the_newest_experiment_that_can_tell_a_row_tells_it(store: Store) -> None:
    made.started(store)
    lived(store, np.full(40, 10.0) + np.arange(40) % 4)
    later(store, made.definition("newer", layer="later"))
    assert made.KEY in past(store, defined(), 40).variations[PLAY].source  # nobody came to the newer one yet
    lived(store, np.full(40, 10.0) + np.arange(40) % 3, key="newer")
    assert "newer" in past(store, defined(), 40).variations[PLAY].source
    other = defined(data=DataRule("other"))
    assert past(store, other, 40) == PastData({}, {})


def test_arrivals_are_counted_by_day_and_follow_the_share_of_the_layer(store: Store) -> None:
    made.started(store)
    lived(store, np.ones(90), days=3)
    whole = past(store, defined(), 100).arrivals["home_card"]
    assert whole.by_day == (30.0, 60.0, 90.0)
    assert whole.by(7) == 100.0
    tenth = past(store, defined(layer_buckets=(0, 2_000), traffic=0.5), 100).arrivals["home_card"]
    assert tenth.by_day == (3.0, 6.0, 9.0)
    assert tenth.most == 10.0


def test_arrivals_go_on_as_they_did_lately() -> None:
    steady = Arrivals((10.0, 20.0, 30.0, 40.0), math.inf, "")
    assert steady.by(6) == pytest.approx(60.0)
    halving = Arrivals((64.0, 96.0, 112.0, 120.0), math.inf, "")
    assert [halving.by(day) for day in (5, 6, 400)] == pytest.approx([124.0, 126.0, 128.0])
    assert halving.day_of(126.0, longest=365) == 6
    assert halving.day_of(129.0, longest=365) is None
    assert Arrivals((10.0,), 25.0, "").by(9) == 25.0
    assert Arrivals((1.0, 3.0, 7.0, 15.0), math.inf, "").by(5) == pytest.approx(15.0 + 6.0)  # growth is not believed


@drawn(
    st.lists(st.floats(0.0, 1e6), min_size=1, max_size=20), st.floats(1.0, 1e7), st.integers(1, 60), st.integers(1, 60)
)
def test_users_never_leave_and_never_exceed_those_there_are(new: list[float], most: float, one: int, two: int) -> None:
    arrivals = Arrivals(tuple(np.cumsum(new).tolist()), most, "")
    early, late = sorted((one, two))
    assert 0.0 <= arrivals.by(early) <= arrivals.by(late) <= most


# What an experiment needs ---------------------------------------------------------------------------------------------


def test_a_plain_plan_is_the_t_tests() -> None:
    row = only(defined(), measured(2.0))
    needed = users_needed(lift=0.1, weights=(0.5, 0.5), coefficient_of_variation=2.0)
    assert (row.users_needed, row.asked, row.alpha, row.power, row.inflation) == (needed, 0.1, 0.05, 0.8, 1.0)
    assert row.users == 1_000
    assert row.detectable == detectable_lift(users=1_000, weights=(0.5, 0.5), coefficient_of_variation=2.0)
    assert row.days_needed is None
    assert row.reason == "at most 1,000 users come within 365 days"


def test_covariates_save_users_in_proportion() -> None:
    plain, saving, harming = (only(defined(), measured(2.0, saved)) for saved in (None, 0.4, -0.01))
    assert saving.users_needed == pytest.approx(0.6 * (plain.users_needed or 0), rel=1e-3)
    assert harming.users_needed == plain.users_needed


def test_several_primary_rows_share_alpha_unless_told_not_to() -> None:
    arms = (Arm("control", "a", 0.4, control=True), Arm("b", "b", 0.4), Arm("c", "c", 0.2))
    rows = (PLAY, "home_card.visits")
    shared = planned(defined(arms=arms, primary=rows), measured(), 1_000, given=Given())
    assert [(row.row, row.arm, row.alpha) for row in shared.rows] == [
        (name, arm, 0.0125) for name in rows for arm in ("b", "c")
    ]
    assert "alpha 0.0125 for each of 4 primary rows, 0.05 for all" in " ".join(shared.told)
    each = users_needed(lift=0.1, weights=(0.4, 0.2), coefficient_of_variation=2.0, alpha=0.0125)
    assert shared.rows[1].users_needed == each
    alone = defined(arms=arms, primary=rows, analysis=AnalysisRule(adjustment="none", lift_to_find=0.1))
    assert {row.alpha for row in planned(alone, measured(), 1_000, given=Given()).rows} == {0.05}


def test_a_guardrail_is_planned_at_its_margin_with_the_power_that_all_rows_need() -> None:
    guarded = defined(guardrails=(Guardrail("home_card.visits", 0.05), Guardrail("home_card.latency", 0.05)))
    primary, visits, latency = planned(guarded, measured(), 1_000, given=Given()).rows
    power = guardrail_power(0.8, 2)
    assert {row.power for row in (primary, visits, latency)} == {power}
    for row, margin in ((visits, 0.05), (latency, -0.05)):
        assert row.asked == -margin
        assert row.users_needed == users_needed(
            lift=0.0, margin=margin, weights=(0.5, 0.5), coefficient_of_variation=2.0, power=power
        )
    assert (latency.users_needed or 0) > (visits.users_needed or 0)  # T - 1.05 C varies more than T - 0.95 C


@pytest.mark.parametrize("name", ["home_card.visits", "home_card.latency"])
def test_the_margin_that_the_users_show_needs_just_these_users(name: str) -> None:
    arms = (Arm("control", "a", 0.7, control=True), Arm("b", "b", 0.3))
    guarded = defined(arms=arms, guardrails=(Guardrail(name, 0.05),))
    row = planned(guarded, measured(2.0, users=40_000.0), 1_000, given=Given()).rows[1]
    assert row.detectable is not None
    margin = math.copysign(row.detectable, -(row.asked or 0.0))
    needed = users_needed(
        lift=0.0, margin=margin, weights=(0.7, 0.3), coefficient_of_variation=2.0, power=guardrail_power(0.8, 1)
    )
    assert needed == pytest.approx(40_000, abs=2)


@pytest.mark.parametrize("name", ["home_card.visits", "home_card.latency"])
def test_too_few_users_show_no_margin(name: str) -> None:
    guarded = defined(guardrails=(Guardrail(name, 0.05),))
    row = planned(guarded, measured(3.0, users=40.0), 1_000, given=Given()).rows[1]
    assert row.detectable is None
    assert "40 users are too few to show anything" in (row.reason or "")


def test_planned_looks_need_the_users_of_group_sequential_design() -> None:
    rule = AnalysisRule(monitoring="group_sequential", users=1_000, looks=5, lift_to_find=0.1)
    row = only(defined(analysis=rule), measured())
    expected = group_sequential.inflation([0.2, 0.4, 0.6, 0.8, 1.0], alpha=0.05, power=0.8)
    assert row.inflation == expected
    # Jennison and Turnbull 2000, table 2.4 has 1.028 for O'Brien and Fleming's own boundaries; spending is close by.
    assert row.inflation == pytest.approx(1.028, abs=0.01)
    assert row.users_needed == users_needed(
        lift=0.1, weights=(0.5, 0.5), coefficient_of_variation=2.0, inflation=expected
    )


def test_looks_at_any_time_are_planned_so_that_the_last_one_has_the_power() -> None:
    rule = AnalysisRule(monitoring="sequential", users=1_000, lift_to_find=0.1)
    row = only(defined(analysis=rule), measured())
    users = row.users_needed
    assert users is not None
    critical = tuned(users, 0.05).critical(0.05, users=users, degrees=users - 2.0)
    drift = 0.1 / (2.0 * math.sqrt(4.0 / users))
    assert stats.norm.sf(critical - drift) == pytest.approx(0.8, abs=1e-3)
    assert 1.4 < row.inflation < 2.2


def test_what_is_given_by_hand_goes_before_what_was_measured() -> None:
    row = only(defined(), measured(2.0), Given(lift=-0.2, users=500, variation=1.5))
    assert (row.asked, row.users, row.variation.coefficient, row.variation.source) == (-0.2, 500, 1.5, "given")
    assert row.users_needed == users_needed(lift=0.2, weights=(0.5, 0.5), coefficient_of_variation=1.5)
    named = only(defined(), measured(2.0), Given(variation=1.5, variations={PLAY: 0.5}))
    assert named.variation.coefficient == 0.5
    daily = only(defined(), measured(1.0), Given(users_per_day=100.0))
    assert daily.users == 700
    assert daily.days_needed == math.ceil((daily.users_needed or 0) / 100)


def test_what_covariates_save_may_be_given() -> None:
    saved = only(defined(), measured(2.0), Given(variance_saved=0.4))
    assert saved.variation == Variation(2.0, 0.4, "measured")
    assert saved.users_needed == only(defined(), measured(2.0, 0.4)).users_needed
    assert saved.users_needed < (only(defined(), measured(2.0)).users_needed or 0)  # type: ignore[operator]


def test_without_a_past_the_plan_says_what_it_assumes() -> None:
    found = planned(defined(days=14), PastData({}, {}), 1_400, given=Given())
    (row,) = found.rows
    assert row.variation == Variation(1.0, None, "assumed: nothing past tells it")
    assert row.users == 1_400
    assert "assumed: all users come, evenly over the planned days" in found.told[0]


def test_without_a_lift_to_find_the_plan_shows_one_and_says_so() -> None:
    found = planned(defined(analysis=AnalysisRule()), measured(2.0), 1_000, given=Given())
    (row,) = found.rows
    assert (row.asked, row.users_needed, row.days_needed) == (None, None, None)
    assert row.reason == "no lift to find is given"
    assert row.detectable is not None
    assert f"lift_to_find = {math.ceil(row.detectable * 1000) / 1000:g}" in found.advice


def test_an_arm_without_weight_has_no_plan() -> None:
    arms = (Arm("control", "a", 0.5, control=True), Arm("b", "b", 0.5), Arm("c", "c", 0.0))
    _, row = planned(defined(arms=arms), measured(), 1_000, given=Given()).rows
    assert (row.users_needed, row.detectable, row.curve) == (None, None, ())
    assert row.reason == "an arm has weight 0: control 0.5, c 0"


def test_the_curve_falls_with_the_square_root_of_the_users() -> None:
    row = only(defined(), measured(users=7_000.0))
    assert len(row.curve) == 20
    assert (row.curve[0].users, row.curve[-1].users) == (1_000, CURVE_REACH * 7_000)
    products = [point.detectable * math.sqrt(point.users) for point in row.curve]
    assert products == pytest.approx([products[0]] * 20, rel=5e-3)
    apart = np.diff(np.log([point.users for point in row.curve]))
    assert apart == pytest.approx(apart[0], rel=0.01)


@drawn(
    st.floats(1.0, 5.0),
    st.floats(0.02, 0.3),
    st.floats(0.1, 0.9),
    st.sampled_from(["fixed", "sequential", "group_sequential"]),
    st.floats(0.0, 0.9),
)
def test_the_users_needed_find_the_lift_and_one_fewer_does_not(
    coefficient: float, wanted: float, weight: float, monitoring: str, saved: float
) -> None:
    looks = 4 if monitoring == "group_sequential" else None
    users = None if monitoring == "fixed" else 1_000
    rule = AnalysisRule(monitoring=monitoring, users=users, looks=looks, lift_to_find=wanted)  # type: ignore[arg-type]
    arms = (Arm("control", "a", weight, control=True), Arm("b", "b", 1.0 - weight))
    experiment = defined(arms=arms, analysis=rule)
    past_data = measured(coefficient, saved)
    needed = only(experiment, past_data).users_needed
    assert needed is not None
    enough, fewer = (only(experiment, past_data, Given(users=max(users, 2))) for users in (needed, needed - 1))
    assert enough.enough
    assert (enough.detectable or math.inf) <= wanted
    assert not fewer.enough
    if fewer.detectable is not None:
        assert fewer.detectable > wanted


# What to do next ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "users", "advice"),
    [
        ({}, 40_000.0, "the plan holds: launch it"),
        ({"traffic": 0.1}, 4_000.0, "set traffic = 0.32"),
        ({"layer_buckets": (0, 2_000)}, 4_000.0, "give it traffic = 1.0 and 6,281 of the layer's 10,000 buckets"),
        ({}, 4_000.0, "look for a lift of 17.8 %"),
        (
            {"analysis": AnalysisRule(monitoring="sequential", users=100, lift_to_find=0.1)},
            40_000.0,
            "set analysis.users = 40000 in the file",
        ),
        ({"traffic": 0.0}, 0.0, "let users in"),
    ],
)
def test_the_advice_is_what_helps_most(changed: dict[str, object], users: float, advice: str) -> None:
    assert advice in planned(defined(**changed), measured(2.0, users=users), 1_000, given=Given()).advice


def test_the_advice_is_to_run_longer_while_users_still_come() -> None:
    growing = measured(2.0, users=7_000.0)
    endless = replace(growing, arrivals={key: replace(each, most=1e9) for key, each in growing.arrivals.items()})
    found = planned(defined(), endless, 1_000, given=Given())
    assert found.rows[0].days_needed == 13
    assert found.advice.endswith("needs 12,561 users and gets 7,000: set days = 13")


def test_a_lift_given_by_hand_is_to_be_written_down() -> None:
    found = planned(defined(), measured(2.0, users=40_000.0), 1_000, given=Given(lift=0.2))
    assert found.advice == "set analysis.lift_to_find = 0.2 in the file, and launch it"


# Errors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lift": 0.0}, "lift is 0.0; it must be other than 0"),
        ({"lift": math.nan}, "lift is nan"),
        ({"users_per_day": 0.0}, "users per day are 0.0; they must be above 0"),
        ({"variance_saved": 1.0}, "variance saved is 1.0; it must be a share in [0, 1), such as 0.3"),
        ({"variation": -1.0}, "variation is -1.0; a coefficient of variation must be above 0"),
        ({"variations": {PLAY: math.inf}}, f"{PLAY} is inf; a coefficient of variation must be above 0"),
        ({"users": 3}, "3 users leave 1.5 in the smallest arm; at least 2 are required, so 4 in all"),
        ({"variations": {"home_card.play": 1.0}}, "row 'home_card.play' is no primary row and no guardrail"),
    ],
)
def test_what_cannot_be_planned_is_said_with_the_value_and_the_rule(given: dict[str, object], message: str) -> None:
    with pytest.raises(ExperimentError, match=re.escape(message)):
        planned(defined(), measured(), 1_000, given=Given(**given))  # type: ignore[arg-type]


def test_a_power_that_chance_alone_reaches_is_refused() -> None:
    with pytest.raises(ExperimentError, match=r"power is 0.04; it must be above alpha, 0.05"):
        planned(defined(power=0.04), measured(), 1_000, given=Given())


# Truth ----------------------------------------------------------------------------------------------------------------


def promised(found: int, power: float, *, runs: int = RUNS) -> bool:
    """Tell whether so many of the runs lie within the 99.9 % binomial bound of a promised power."""
    low, high = (float(stats.binom.ppf(tail, runs, power)) for tail in (0.0005, 0.9995))
    return low <= found <= high


def found_among(control: NDArray[np.float64], treatment: NDArray[np.float64], *, null: float = 0.0) -> int:
    """Count the experiments, `(experiments, users)`, whose lift is shown to be above the null."""

    def estimates(values: NDArray[np.float64]) -> list[Estimate]:
        users = values.shape[1]
        means, variances = values.mean(axis=1).tolist(), values.var(axis=1, ddof=1).tolist()
        return [Estimate(mean, spread / users, users) for mean, spread in zip(means, variances, strict=True)]

    pairs = zip(estimates(control), estimates(treatment), strict=True)
    lifts = [lift(one, other, null=null) for one, other in pairs]
    return sum(each.p_value is not None and each.p_value < 0.05 and (each.lift or 0.0) > null for each in lifts)


def share_found(users: int, true_lift: float, *, null: float = 0.0) -> int:
    """Draw the users of RUNS experiments, exponential and one by one, and count the lifts shown above the null.

    The lift is the same for every user, so that the arms vary alike, which is what power assumes.
    """
    rng = np.random.default_rng(7)
    blocks = [(100, users // 2)] * (RUNS // 100)
    return sum(
        found_among(rng.exponential(100.0, block), 100.0 * true_lift + rng.exponential(100.0, block), null=null)
        for block in blocks
    )


def test_from_stored_users_to_lifts_found_as_often_as_promised(store: Store) -> None:
    made.started(store)
    # The past's users lie at the quantiles: what a sample gets wrong is not on test.
    lived(store, stats.expon.ppf((np.arange(2_000) // 2 + 0.5) / 1_000, scale=100.0).round(3))
    (row,) = plan(store, defined(), 2_000, given=Given(lift=0.04)).rows
    assert row.variation.coefficient == pytest.approx(1.0, abs=0.01)
    assert row.users_needed is not None
    assert promised(share_found(row.users_needed, 0.04), 0.8)
    assert not promised(share_found(row.users_needed * 4 // 5, 0.04), 0.8)  # the test can fail


def test_a_guardrail_is_shown_within_its_margin_as_often_as_promised() -> None:
    guarded = defined(guardrails=(Guardrail("home_card.visits", 0.05),))
    row = planned(guarded, measured(1.0), 1_000, given=Given()).rows[1]
    assert row.users_needed is not None
    assert promised(share_found(row.users_needed, 0.0, null=-0.05), 0.9)


def test_what_the_covariates_save_is_saved() -> None:
    rng = np.random.default_rng(9)
    row = only(defined(), measured(math.sqrt(500.0) / 100.0, (400.0 / 500.0) ** 2), Given(lift=0.03))
    assert row.users_needed is not None

    def arm(mean: float) -> Moments:
        before, after = (rng.normal(0.0, 10.0, (row.users_needed or 0) // 2) for _ in range(2))
        taste = rng.normal(100.0, 20.0, len(before))
        return Moments.of(np.column_stack([taste + after + mean - 100.0, taste + before]))

    found = 0
    for _ in range(RUNS // 2):
        adjusted = adjust(arm(100.0), arm(103.0), Ratio(0), [Ratio(1)])
        p_value = lift(adjusted.control, adjusted.treatment, joint=adjusted.joint).p_value
        found += p_value is not None and p_value < 0.05
    assert promised(found, 0.8, runs=RUNS // 2)


# The command line and the picture -------------------------------------------------------------------------------------


def test_the_picture_is_well_formed_and_marks_plan_and_need() -> None:
    guarded = defined(guardrails=(Guardrail("home_card.visits", 0.05),), hypothesis="<b>")
    found = planned(replace(guarded, key="a-b"), measured(), 1_000, given=Given())
    drawing = ElementTree.fromstring(power_curve.as_svg(found))
    tag = "{http://www.w3.org/2000/svg}"
    assert len(drawing.findall(f"{tag}polyline")) == len(found.rows) == 2
    assert len(drawing.findall(f"{tag}circle")) == 2 * len(found.rows)
    assert "planned end" in "".join(drawing.itertext())
    width, height = (float(drawing.attrib[side]) for side in ("width", "height"))
    circles = [(float(each.attrib["cx"]), float(each.attrib["cy"])) for each in drawing.iter(f"{tag}circle")]
    assert all(0.0 < x < width and 0.0 < y < height for x, y in circles)
    assert power_curve.as_svg(found) in power_curve.as_html(found)


def test_the_bars_shrink_as_users_grow() -> None:
    lines = power_curve.as_bars(only(defined(), measured())).splitlines()
    users = [int(line.split()[0].replace(",", "")) for line in lines]
    assert users == sorted(users)
    blocks = [line.count("█") for line in lines]
    assert blocks == sorted(blocks, reverse=True)
    assert max(len(line) for line in lines) <= 80
    assert [line.split()[-1] for line in lines if line.endswith(("end", "needed"))] == ["end", "needed"]


def test_abp_power_says_what_is_needed(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("power")
    (folder / "next.toml").write_text(dump(defined(data=DataRule("small"))), encoding="utf-8")
    with store.ingesting("small", "hash", "nowhere", made.START) as writer:
        writer.write_titles([])
        writer.finish(bad_rows=0)
    monkeypatch.setattr("ab_platform.cli.power.store", lambda: store)
    file, picture = str(folder / "next.toml"), folder / "power.svg"
    run = CliRunner()
    told = run.invoke(app, ["power", file, "--users-per-day", "500", "--plot", str(picture)])
    assert told.exit_code == 0, told.output
    assert "home_card.play_duration" in told.output
    assert "within the 7 days" in told.output
    assert picture.read_text().startswith("<svg")
    rows = json.loads(run.invoke(app, ["power", file, "--users", "100", "--variation", "2", "--json"]).stdout)["rows"]
    assert rows[0]["users_needed"] == users_needed(lift=0.1, weights=(0.5, 0.5), coefficient_of_variation=2.0)
    assert rows[0]["days_needed"] is None
    for words in (["--lift", "0"], ["--plot", "power.png"], ["--variation", "wide"]):
        assert isinstance(run.invoke(app, ["power", file, *words]).exception, ExperimentError)
