"""One look: false positives and coverage of every kind of metric, with covariates and without."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ab_platform.statistics.cupac import cross_fitted, fold_of
from ab_platform.statistics.cuped import Ratio, adjust
from ab_platform.statistics.lift import Estimate, Lift, Method, lift
from ab_platform.statistics.moments import Moments
from ab_platform.statistics.quantile import quantile
from ab_platform.statistics.winsorised import cap, capped
from benchmarks.calibration import worlds
from benchmarks.calibration.cell import Cell, Claim, Section, Simulate, Vector
from benchmarks.calibration.worlds import Draw, Split, Table, half, tenth

ALPHA = 0.05
TRUE_LIFT = 0.2
CAPPED_FROM = 0.99  # share of the users whom the cap leaves alone
STRONG = "mean, CUPED: a covariate that tells nine tenths, everyone gains alike"
SEVERAL = "mean, CUPED: seconds and visits before, and whether known"

Analyse = Callable[[Table, Table], Lift]
"""Compares the users of the treatment with those of the control."""

Truth = Callable[[Table, Table], float]
"""Gives the true lift; of a capped metric it depends on the cap, and so on who was sampled."""

SECTION = Section(
    "Metrics, at one look",
    "False positives: equal arms are called different, p < .05. Coverage: the 95 % interval holds the true lift of "
    "+20 %. Watch seconds are log-normal; where not said otherwise the deviation of their logarithm is 1, a skewness "
    "of 6.2, which needs that many users: with 3,600 + 400 instead of 18,000 + 2,000, equal arms are called different "
    "in 5.9 %. It is .5, a skewness of 1.8, in the rows of several covariates and of predictions. A tenth of users "
    "click, and on a tenth of impressions, at rates that differ from user to user. A capped lift is that at the "
    "sample's own cap.",
)
FALSE_POSITIVES, COVERAGE = Claim("false positives", ALPHA), Claim("coverage", 1.0 - ALPHA)


def cells() -> list[Cell]:
    """Return every metric at both splits."""
    before, history = [Ratio(1)], [Ratio(1), Ratio(2), Ratio(3)]
    rate, rate_before = Ratio(0, 1), [Ratio(2, 3)]
    mean = plain(Ratio(0))
    of_seconds, of_clicks = worlds.watch_seconds, worlds.clicks_and_impressions
    rows: list[tuple[str, int, Draw, Analyse, Truth]] = [
        ("mean: watch seconds", 20_000, of_seconds, mean, as_drawn),
        ("mean, interval by the delta method", 20_000, of_seconds, plain(Ratio(0), method="delta"), as_drawn),
        ("proportion: users who clicked", 4_000, worlds.clicked, mean, as_drawn),
        ("ratio: clicks / impressions", 4_000, of_clicks, plain(rate), as_drawn),
        ("mean, CUPED: seconds before", 20_000, worlds.watch_and_before, plain(Ratio(0), before), as_drawn),
        (STRONG, 800, worlds.likes_and_before, plain(Ratio(0), before), as_drawn),
        (SEVERAL, 4_000, worlds.watch_and_history, plain(Ratio(0), history), as_drawn),
        ("ratio, CUPED: the ratio before", 4_000, worlds.clicks_and_before, plain(rate, rate_before), as_drawn),
        ("mean, CUPAC: a cross-fitted prediction", 2_000, worlds.watch_and_history, predicted, as_drawn),
        ("median of watch seconds", 8_000, of_seconds, of_quantile(0.5), as_drawn),
        (".9 quantile of watch seconds", 8_000, of_seconds, of_quantile(0.9), as_drawn),
        ("mean, winsorised at the .99", 8_000, of_seconds, winsorised, at_the_cap),
    ]
    return [
        Cell(SECTION, case, split.text, (FALSE_POSITIVES, COVERAGE), compared(draw, analyse, split, truth=truth))
        for case, users, draw, analyse, truth in rows
        for split in (half(users), tenth(users))
    ]


def called_different(found: Lift) -> bool:
    """Whether the p-value is below alpha.

    Raises:
        RuntimeError: where there is none, since these worlds always give one.
    """
    if found.p_value is None:
        raise RuntimeError(f"no p-value: {found.reason}")
    return found.p_value < found.alpha


def holds(found: Lift, truth: float) -> bool:
    """Whether the interval holds a lift; a set without ends leaves out none that it could name.

    Raises:
        RuntimeError: where there is no interval, since these worlds always give one.
    """
    if found.unbounded:
        return True
    if found.low is None or found.high is None:
        raise RuntimeError(f"no interval: {found.reason}")
    return found.low <= truth <= found.high


def plain(outcome: Ratio, covariates: Sequence[Ratio] = (), *, method: Method = "fieller") -> Analyse:
    """Compare the arms' moments, adjusted for covariates."""

    def analyse(control: Table, treatment: Table) -> Lift:
        found = adjust(Moments.of(control), Moments.of(treatment), outcome, covariates)
        return lift(found.control, found.treatment, joint=found.joint, method=method)

    return analyse


def predicted(control: Table, treatment: Table) -> Lift:
    """Compare the outcome adjusted for a cross-fitted prediction from seconds and visits before, where known."""
    table = np.vstack([control, treatment])
    features = np.where(table[:, 3:] > 0.0, table[:, 1:3], np.nan)
    predictions = cross_fitted(features, table[:, 0], fold_of(np.arange(len(table))))
    both = np.column_stack([table[:, 0], predictions])
    return plain(Ratio(0), [Ratio(1)])(both[: len(control)], both[len(control) :])


def of_quantile(q: float) -> Analyse:
    """Compare a quantile over users."""

    def analyse(control: Table, treatment: Table) -> Lift:
        return lift(*(_quantile(arm[:, 0], q) for arm in (control, treatment)))

    return analyse


def winsorised(control: Table, treatment: Table) -> Lift:
    """Compare the means below the cap of both arms together."""
    most = cap(control[:, 0], treatment[:, 0], CAPPED_FROM)
    return plain(Ratio(0))(capped(control, most), capped(treatment, most))


def as_drawn(control: Table, treatment: Table) -> float:
    """Return the lift that the treatment was drawn with."""
    return TRUE_LIFT


def at_the_cap(control: Table, treatment: Table) -> float:
    """Return the lift of the means below the cap that the sample gave."""
    most = cap(control[:, 0], treatment[:, 0], CAPPED_FROM)
    return worlds.capped_mean(1.0 + TRUE_LIFT, most) / worlds.capped_mean(1.0, most) - 1.0


def compared(draw: Draw, analyse: Analyse, split: Split, *, truth: Truth) -> Simulate:
    """Compare a control with a treatment like it, and with one that is better by the true lift."""

    def simulate(rng: np.random.Generator, repetitions: int) -> Vector:
        counts = np.zeros(2)
        for _ in range(repetitions):
            control = draw(rng, split.control, 1.0)
            same = draw(rng, split.treatment, 1.0)
            better = draw(rng, split.treatment, 1.0 + TRUE_LIFT)
            held = holds(analyse(control, better), truth(control, better))
            counts += [called_different(analyse(control, same)), held]
        return counts

    return simulate


def _quantile(values: Vector, q: float) -> Estimate:
    found = quantile(values, q)
    if found.estimate is None:
        raise RuntimeError(f"no variance: {found.reason}")
    return found.estimate
