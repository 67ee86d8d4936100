"""From the scores of single users to the table: means, spreads, differences, groups."""

from __future__ import annotations

import numpy as np
import pytest

from ab_platform.errors import ExperimentError
from ab_platform.offline.arms import OfflineArm, Run
from ab_platform.offline.comparing import GROUPS, compare, compare_arms, group_of
from ab_platform.offline.evaluating import Setup
from ab_platform.offline.protocol import OfflineSplit
from ab_platform.statistics.paired import paired
from tests.offline import made
from tests.offline.fakes import Noisy

pytestmark = pytest.mark.usefixtures("setup")

CONTROL, OTHER = OfflineArm("control", "noisy", {"noise": 0.5}), OfflineArm("other", "noisy", {"noise": 0.0})
STEADY = OfflineArm("steady", "steady", {})


def values(mean: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return mean + np.linspace(-0.1, 0.1, made.USERS)


def test_a_figure_is_the_mean_over_users_and_seeds_with_the_spread_of_the_seeds() -> None:
    runs = [Run(CONTROL, 1), Run(CONTROL, 2), Run(STEADY, 0)]
    found = compare(
        made.split(),
        runs,
        [made.evaluation(run, values(mean)) for run, mean in zip(runs, (0.2, 0.4, 0.35), strict=True)],
        control="control",
    )
    [control, steady] = found.arms
    figure = control.figure("recall_20")
    assert (figure.mean, figure.spread) == pytest.approx((0.3, np.std([0.2, 0.4], ddof=1)))
    assert figure.by_seed == pytest.approx((0.2, 0.4))
    assert control.figure("coverage_20").by_seed == pytest.approx((0.2, 0.4))
    assert steady.figure("novelty_20").spread is None
    assert (control.seeds, steady.seeds) == ((1, 2), ())
    assert (control.best_epochs, control.seconds, control.validation_ndcg) == ((6, 7), 2.0, 0.25)


def test_only_settings_that_differ_from_the_defaults_are_told() -> None:
    runs = [Run(CONTROL, 1), Run(OTHER, 1)]
    found = compare(made.split(), runs, [made.evaluation(run, values(0.3)) for run in runs], control="control")
    assert [arm.config for arm in found.arms] == [{"noise": 0.5}, {}]


def test_a_difference_pairs_users_and_seeds_and_says_who_is_better() -> None:
    found = made.comparison({"up": 0.03, "same": 0.0, "down": -0.03})
    assert {each.arm: each.verdict for each in found.of_metric("ndcg_100")} == {
        "up": "better",
        "same": "no difference shown",
        "down": "worse",
    }
    assert len(found.differences) == 9
    up = found.of_metric("ndcg_100")[0].paired
    assert (up.users, up.seeds) == (made.USERS, 3)
    assert up.difference == pytest.approx(0.03, abs=0.01)


def test_an_arm_without_seeds_is_paired_with_every_seed_of_the_control() -> None:
    runs = [Run(CONTROL, 1), Run(CONTROL, 2), Run(STEADY, 0)]
    arrays = [values(0.2), values(0.4)[::-1], values(0.35)]
    found = compare(made.split(), runs, list(map(made.evaluation, runs, arrays)), control="control")
    assert found.of_metric("ndcg_100")[0].paired == paired(np.stack(arrays[:2]), arrays[2][None])


def test_p_values_of_the_main_metric_are_corrected_for_the_number_of_arms_and_others_are_not() -> None:
    alone = made.comparison({"a": 0.004})
    many = made.comparison({"a": 0.004, "b": 0.0, "c": 0.0, "d": 0.0})
    [one], [first, *_] = alone.of_metric("ndcg_100"), many.of_metric("ndcg_100")
    assert one.adjusted_p_value == pytest.approx(one.paired.p_value)
    assert first.adjusted_p_value == pytest.approx(4 * (first.paired.p_value or 0))
    assert {each.adjusted_p_value for each in many.of_metric("recall_20")} == {None}


def test_the_correction_decides_on_better_and_worse() -> None:
    many = made.comparison({"a": 0.006, "b": 0.0, "c": 0.0, "d": 0.0, "e": 0.0})
    main, other = many.of_metric("ndcg_100")[0], many.of_metric("recall_20")[0]
    assert main.paired == other.paired
    assert (main.paired.p_value or 1) < 0.05 <= (main.adjusted_p_value or 0)
    assert (main.verdict, other.verdict) == ("no difference shown", "better")


@pytest.mark.parametrize(
    ("interactions", "group"),
    [
        (1, "0-4"),
        (5, "5-10"),
        (10, "5-10"),
        (11, "11-50"),
        (50, "11-50"),
        (51, "51-100"),
        (100, "51-100"),
        (101, "100+"),
    ],
)
def test_groups_are_those_of_the_papers_third_table(interactions: int, group: str) -> None:
    assert GROUPS[group_of(np.array([interactions]))[0]] == group


def test_a_group_holds_the_users_with_so_many_titles_and_no_group_is_empty() -> None:
    found = made.comparison({"up": 0.03})
    inside = [each for each in found.groups if each.metric == "ndcg_100"]
    assert [(each.group, each.users, each.arm) for each in inside] == [
        (group, 10, arm) for group in ("0-4", "5-10", "11-50", "100+") for arm in ("control", "up")
    ]
    assert sum(each.mean for each in inside if each.arm == "up") / 4 == pytest.approx(
        found.arm("up").figure("ndcg_100").mean
    )
    for control, up in zip(inside[::2], inside[1::2], strict=True):
        assert control.paired is None
        assert up.paired is not None
        assert up.paired.users == 10
        assert up.paired.difference == pytest.approx(up.mean - control.mean)


def test_the_facts_of_the_split_are_counted() -> None:
    facts = made.comparison({}).split
    assert (facts.titles, facts.interactions, facts.training_users, facts.test_users) == (300, 2, 2, 40)


def test_one_call_trains_judges_and_compares_and_a_second_one_only_reads(setup: Setup, offline: OfflineSplit) -> None:
    arms = [STEADY, OfflineArm("noisy", "noisy", {"noise": 3.0})]
    found = compare_arms(setup, offline, arms, seeds=[1, 2])
    assert found.control == "steady"
    assert len(Noisy.fitted) == 3
    [difference] = found.of_metric("ndcg_100")
    assert (difference.arm, difference.verdict) == ("noisy", "worse")
    assert compare_arms(setup, offline, arms, seeds=[1, 2]) == found
    assert len(Noisy.fitted) == 3
    assert compare_arms(setup, offline, arms, seeds=[1, 2], against="noisy").differences[0].arm == "steady"


def test_arms_are_checked_before_anything_is_trained(setup: Setup, offline: OfflineSplit) -> None:
    with pytest.raises(ExperimentError, match="arm x: the recommender 'nothing' is unknown"):
        compare_arms(setup, offline, [STEADY, OfflineArm("x", "nothing", {})], seeds=[1])
    with pytest.raises(ExperimentError, match="no arm is called 'x'"):
        compare_arms(setup, offline, [STEADY], seeds=[1], against="x")
    assert not Noisy.fitted
