"""Where a split is uneven: do segments share one split, in which days, how many users are missing, what would be seen.

Users are lost in logging and never made, so of two arms the one with too few lost them. All functions take counts of
distinct users: a user stands in one segment and on one day.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

LEAST_EXPECTED = 5.0
"""Users every cell must expect before Pearson's statistic is near its chi-squared (Cochran, 1954)."""


@dataclass(frozen=True, slots=True)
class Homogeneity:
    """Whether the rows of a table share one split.

    Attributes:
        chi2: Pearson's statistic; None with the reason where unknown.
        degrees: of freedom.
        p_value: of one split in all rows.
        reason: why it is unknown.
    """

    chi2: float | None
    degrees: int | None
    p_value: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Missing:
    """Users whom an arm should have beside those it has.

    Attributes:
        users: how many; below 0 where the arm has too many.
        standard_error: of that number, for users who were as many as the weights promise on average.
    """

    users: float
    standard_error: float

    @property
    def z(self) -> float:
        """The number in standard errors."""
        return self.users / self.standard_error if self.standard_error else 0.0


@dataclass(frozen=True, slots=True)
class Window:
    """Days in a row in which an arm has too few users.

    Attributes:
        start: place of the first day.
        end: the place after the last.
        likelihood_ratio: logarithm of how much likelier the counts are with a loss in these days than without.
    """

    start: int
    end: int
    likelihood_ratio: float


def homogeneity(counts: ArrayLike) -> Homogeneity:
    """Test whether segments share one split, whatever it is.

    Estimand: none; the hypothesis is that an arm's share is the same in every segment. Assumption: each user is counted
    once. Pearson's chi-squared of a contingency table (Cochran, 1954). Segments that expect fewer than 5 users in some
    arm are taken together, since alone they would be too thin.

    Args:
        counts: `(segments, arms)` users.
    """
    table = np.asarray(counts, dtype=np.int64)
    table = _together(table[:, table.any(axis=0)])
    if min(table.shape) < 2:
        kinds = "segments" if table.shape[0] < 2 else "arms"
        return Homogeneity(None, None, None, f"fewer than 2 {kinds} have enough users to be compared")
    found = stats.contingency.chi2_contingency(table, correction=False)
    return Homogeneity(float(found.statistic), int(found.dof), float(found.pvalue), None)


def _together(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Add up the rows that are too thin; drop what is too thin even so."""
    users = table.sum(axis=1)
    if not users.any():
        return table[:0]
    least = users * table.sum(axis=0).min() / users.sum()
    enough = least >= LEAST_EXPECTED
    rest = table[~enough].sum(axis=0, keepdims=True)
    whole = least[~enough].sum() >= LEAST_EXPECTED
    joined: NDArray[np.int64] = np.vstack([table[enough], rest]) if whole else table[enough]
    return joined


def missing(users: int, others: int, *, share: float) -> Missing:
    """Estimate how many users an arm lost, from the users of the other arms.

    Estimand: users of the arm who were not counted. Assumption: the other arms lost nobody. They tell that the arm
    should have others * r with r = share / (1 - share), and what it had before the loss is Poisson around that, as are
    the others' users; so the error's variance is others * r (1 + r), a prediction's.

    Args:
        users: of the arm.
        others: of all other arms.
        share: of all users that the weights promise the arm, in (0, 1).

    Raises:
        ValueError: for a share that is not as above.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"share is {share}; it must be above 0 and below 1")
    ratio = share / (1.0 - share)
    return Missing(others * ratio - users, math.sqrt(others * ratio * (1.0 + ratio)))


def loss_window(users: ArrayLike, expected: ArrayLike, totals: ArrayLike) -> Window | None:
    """Find the days in a row that a loss of one arm's users explains best.

    The scan statistic of Kulldorff ("A spatial scan statistic", Communications in Statistics 26, 1997) with what the
    weights promise in place of the share outside: log-likelihood ratio c log(c / e) + (n - c) log((n - c) / (n - e)) of
    c users seen in the arm, e expected there and n in all arms, over all windows with c < e.

    Args:
        users: `(days,)` users of the arm.
        expected: `(days,)` of all arms' users, those that the weights promise the arm.
        totals: `(days,)` users of all arms.

    Returns:
        None where the arm has no fewer users than expected in any days.
    """
    c, e, n = (_window_sums(each) for each in (users, expected, totals))
    ratio = special.xlogy(c, c) - special.xlogy(c, e) + special.xlogy(n - c, n - c) - special.xlogy(n - c, n - e)
    ratio = np.where((c < e) & np.triu(np.ones(c.shape, dtype=bool), 1), ratio, -np.inf)
    if not np.isfinite(ratio).any():
        return None
    start, end = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    return Window(int(start), int(end), float(ratio[start, end]))


def _window_sums(daily: ArrayLike) -> NDArray[np.float64]:
    """Return the sum from day i up to before day j, `(days + 1, days + 1)`; 0 where j is not after i."""
    upto = np.concatenate([[0.0], np.cumsum(np.asarray(daily, dtype=np.float64))])
    sums: NDArray[np.float64] = np.maximum(upto[None, :] - upto[:, None], 0.0)
    return sums


def detectable_loss(users: int, share: float, *, arms: int, alpha: float = 0.001, power: float = 0.8) -> float | None:
    """Return the smallest loss of one arm's users that Pearson's test finds with some power.

    Losing the fraction d of an arm with share s shifts the shares by a squared chi-squared distance of
    s (1 - s) d^2 / (1 - s d)^2 a user. Set equal to the noncentrality over the users, it gives d = q / (1 + s q) with
    q = sqrt(noncentrality / (users s (1 - s))) (noncentral chi-squared: Cohen, "Statistical Power Analysis", 1988,
    chapter 7).

    Args:
        users: seen in all arms.
        share: that the weights promise the arm, in (0, 1).
        arms: of positive weight, at least 2.
        alpha: of the test.
        power: chance of finding it.

    Returns:
        A fraction of the arm's users; None where not even losing them all would be found.

    Raises:
        ValueError: for a share or number of arms that is not as above.
    """
    if not 0.0 < share < 1.0 or arms < 2:
        raise ValueError(f"share is {share} and arms are {arms}; a share in (0, 1) and at least 2 arms are required")
    if users < 1:
        return None
    q = math.sqrt(_noncentrality(arms - 1, alpha, power) / (users * share * (1.0 - share)))
    lost = q / (1.0 + share * q)
    return lost if lost < 1.0 else None


def users_to_detect(loss: float, share: float, *, arms: int, alpha: float = 0.001, power: float = 0.8) -> int:
    """Return how many users a loss needs before Pearson's test finds it; the inverse of `detectable_loss`."""
    distance = share * (1.0 - share) * loss**2 / (1.0 - share * loss) ** 2
    return math.ceil(_noncentrality(arms - 1, alpha, power) / distance)


@cache
def _noncentrality(degrees: int, alpha: float, power: float) -> float:
    critical = float(special.chdtri(degrees, alpha))
    return float(optimize.brentq(lambda found: stats.ncx2.sf(critical, degrees, found) - power, 1e-9, 1e3))
