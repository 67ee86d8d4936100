"""Calibration: every figure of the table within its bound, on the first experiments of the run that makes it.

`make calibrate` measures 10,000 repetitions a cell into docs/calibration.md; `CALIBRATION_REPETITIONS` in the
environment raises those here. Seeds are fixed, so a figure leaves its bound only when the code changes.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ab_platform.statistics.confidence_sequence import tuned
from ab_platform.statistics.group_sequential import GroupSequential
from ab_platform.statistics.lift import lift
from ab_platform.statistics.monitoring import FIXED, Monitoring
from ab_platform.statistics.sample_ratio import sample_ratio
from benchmarks.calibration import guardrails, looks, sample_ratios, worlds
from benchmarks.calibration.cell import BLOCK, Cell, Claim, Figure, Side, measure, run_block
from benchmarks.calibration.cells import all_cells
from benchmarks.calibration.one_look import ALPHA, TRUE_LIFT
from benchmarks.calibration.table import as_markdown, text, verdict
from benchmarks.calibration.worlds import capped_mean, half, tenth

GIVEN = os.environ.get("CALIBRATION_REPETITIONS")
SLOW = {"CUPAC": 200, "CUPED": 400, "quantile": 400, "median": 400}
DOCS = Path(__file__).parents[2] / "docs" / "calibration.md"
CELLS = {cell.key: cell for cell in all_cells()}


def figure(count: float, *, rate: float = 0.05, side: Side = "both", of: int = 10_000) -> Figure:
    return Figure(all_cells()[0], Claim("false positives", rate, side), count, of)


# The cells


@pytest.mark.parametrize("key", CELLS)
def test_each_cell_is_within_its_bound(key: str) -> None:
    # Of 1,000 at 5 % the bound is 2.9 % to 7.4 %; of 400, 1.75 % to 9 %.
    found = measure(CELLS[key], repetitions(CELLS[key]))
    outside = [f"{each.claim.figure} {text(each)}" for each in found if not each.within]
    assert outside == []


def repetitions(cell: Cell) -> int:
    return int(GIVEN) if GIVEN else next((few for word, few in SLOW.items() if word in cell.case), 1_000)


def test_mistakes_on_show_are_mistakes() -> None:
    peeking = measure(named("users who clicked: t test, at every look", half(looks.USERS).text), 400)
    daily = measure(named("50/50, 28 daily looks", "28,000 in all"), 400)
    rows = measure(named("no row truly differs", "1,000 + 1,000"), 400)
    shown = {each.claim.figure: each for each in [*peeking, *daily, *rows] if each.claim.side == "shown"}
    promised = {
        name: Figure(each.cell, Claim(name, each.claim.rate), each.count, each.repetitions)
        for name, each in shown.items()
    }
    mistaken = ["false positives, any look", "coverage, all looks", "chi-squared, any of 28", "any found, unadjusted"]
    assert [name for name in mistaken if promised[name].within] == []


def named(case: str, users: str) -> Cell:
    [cell] = [cell for cell in all_cells() if cell.case == case and cell.users == users]
    return cell


def test_no_two_cells_share_a_key_and_so_a_seed() -> None:
    assert len(CELLS) == len(all_cells())


def test_a_block_is_the_same_every_time_and_unlike_the_next() -> None:
    cell = named("mean .05, deviation 1: near zero", half(4_000).text)
    assert run_block(cell, 3).tolist() == run_block(cell, 3).tolist() != run_block(cell, 4).tolist()


def test_repetitions_are_whole_blocks() -> None:
    with pytest.raises(ValueError, match=f"repetitions are 150; they must be a multiple of {BLOCK}"):
        measure(all_cells()[0], 150)


# What is judged at once is what the platform judges one by one


@pytest.mark.parametrize(("draw", "factor"), [(looks.watched, 1.12), (looks.clicked, 1.3)])
@pytest.mark.parametrize("rule", ["sequential", "group_sequential"])
def test_a_look_is_rejected_exactly_where_lift_rejects_it(draw: looks.Draw, factor: float, rule: str) -> None:
    rng, split = np.random.default_rng(1), half(2_800)
    # The factors are near what the last look can tell, so that both verdicts come up.
    control = looks.arrive(draw, rng, 40, split.control)
    treatment = looks.arrive(draw, rng, 40, split.treatment, factor)
    critical = looks.sequential(split) if rule == "sequential" else looks.group_sequential(split)
    rejected = looks.rejects(control, treatment, critical)
    held_out = looks.rejects(control, treatment, critical, null=TRUE_LIFT)
    for look in (0, 6, 13, 27):
        monitoring: Monitoring = tuned(2_800, ALPHA)
        if rule == "group_sequential":
            monitoring = GroupSequential(looks.FRACTIONS[: look + 1])
        for experiment in range(40):
            arms = control.estimate(experiment, look), treatment.estimate(experiment, look)
            found = lift(*arms, monitoring=monitoring)
            assert found.p_value is not None
            assert (found.p_value < ALPHA) == rejected[experiment, look]
            if not found.unbounded:
                assert found.low is not None
                assert found.high is not None
                assert (found.low <= TRUE_LIFT <= found.high) == (not held_out[experiment, look])
    assert 0 < rejected[:, -1].sum() < 40


def test_the_half_widths_are_those_of_the_rules() -> None:
    split = half(28_000)
    for look in (0, 13, 27):
        planned = GroupSequential(looks.FRACTIONS[: look + 1]).critical(0.05, users=0, degrees=np.inf)
        assert looks.group_sequential(split)[look] == pytest.approx(planned, abs=2e-5)
        assert looks.peeking(split)[look] == FIXED.critical(0.05, users=0, degrees=500.0 * (look + 1) - 1.0)


def test_the_moments_of_arriving_users_are_those_of_all_so_far() -> None:
    drawn = looks.watched(np.random.default_rng(2), (1, looks.LOOKS), 10, 1.2)
    arm = looks.arrive(looks.watched, np.random.default_rng(2), 1, 280, 1.2)
    values = 1.2 * np.exp(np.float32(5.0) + np.random.default_rng(2).standard_normal(280, dtype=np.float32))
    assert drawn[0].shape == (1, looks.LOOKS)
    assert arm.users[-1] == 280
    assert arm.means[0, -1] == pytest.approx(values.mean(), rel=1e-5)
    assert arm.variances[0, -1] == pytest.approx(values.var(ddof=1) / 280, rel=1e-4)
    assert arm.means[0, 0] == pytest.approx(values[:10].mean(), rel=1e-5)


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.9, 0.1), (0.5, 0.25, 0.25)])
def test_ratios_judged_at_once_are_those_judged_one_by_one(weights: tuple[float, ...]) -> None:
    users = np.random.default_rng(3).multinomial(5_000, weights, size=50)
    one_by_one = [sample_ratio(counts, weights) for counts in users.tolist()]
    assert sample_ratios.chi_squared_p(users, weights) == pytest.approx([each.p_value for each in one_by_one], rel=1e-9)


def test_the_capped_mean_is_that_of_many_users() -> None:
    seconds = worlds.watch_seconds(np.random.default_rng(4), 1_000_000, 1.2)[:, 0]
    assert np.minimum(seconds, 900.0).mean() == pytest.approx(capped_mean(1.2, 900.0), rel=2e-3)


def test_the_shapes_are_those_of_many_users() -> None:
    rng = np.random.default_rng(5)
    clicks, seconds = worlds.clicked(rng, 1_000_000, 0.95)[:, 0], worlds.watch_seconds(rng, 4_000_000, 0.95)[:, 0]
    shape = guardrails.bernoulli(0.95)
    assert clicks.var() == pytest.approx(shape.variance, rel=0.01)
    assert ((clicks - clicks.mean()) ** 3).mean() == pytest.approx(shape.third, rel=0.01)
    # In units of the median; a log-normal's third moment is that of its few largest values, so the skewness is exact.
    variance = guardrails.log_normal(0.95).variance
    assert seconds.var() / np.exp(2.0 * worlds.LOG_SECONDS) == pytest.approx(variance, rel=0.05)
    assert guardrails.log_normal(0.95).third / variance**1.5 == pytest.approx(float(stats.lognorm(1.0).stats("s")))


def test_tails_are_even_where_nothing_is_skewed() -> None:
    normal = guardrails.tails(lambda factor: guardrails.Shape(1.0, 0.0), tenth(20_000))
    skewed = guardrails.tails(guardrails.log_normal, tenth(20_000))
    assert normal == (0.025, 0.025)
    assert skewed[0] < 0.02 < 0.03 < skewed[1]
    assert sum(skewed) == pytest.approx(0.05)


# The bounds and the table


def test_the_bound_is_the_central_999_of_1000_of_the_binomial() -> None:
    assert figure(500).bound == (0.0430, 0.0573)
    assert figure(500, side="at most").bound == (0.0, 0.0569)
    assert figure(9_500, rate=0.95, side="at least").bound == (0.9431, 1.0)


@pytest.mark.parametrize(
    ("count", "side", "within"),
    [
        (430, "both", True),
        (429, "both", False),
        (573, "both", True),
        (574, "both", False),
        (0, "at most", True),
        (569, "at most", True),
        (570, "at most", False),
        (10_000, "shown", True),
    ],
)
def test_a_figure_beyond_its_bound_is_outside(count: int, side: Side, within: bool) -> None:
    assert figure(count, side=side).within is within


def test_a_figure_outside_is_named_in_the_table_and_in_the_verdict() -> None:
    found = [figure(500), figure(600)]
    table = as_markdown(found[1:], repetitions=10_000, made_by="today")
    assert "**6.00 % (4.30 to 5.73) OUTSIDE**" in table
    assert verdict(found[:1]).startswith("All 1 figures with a promise are within their bounds")
    assert verdict(found).startswith("1 of 2 figures with a promise are OUTSIDE their bounds")
    assert found[1].cell.key in verdict(found)


def test_the_docs_have_a_row_for_every_cell() -> None:
    docs = DOCS.read_text(encoding="utf-8")
    assert [cell.key for cell in all_cells() if f"| {cell.case} | {cell.users} |" not in docs] == []
