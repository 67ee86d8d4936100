"""Sample ratio: did each arm get the users that its weight promises?

A mismatch means that assignment or logging lost users, and then no lift of the experiment can be believed. Two answers
stand side by side:

    chi-squared   Pearson's, for one look. It finds the smaller mismatch, and looked at daily over 28 days its alarm at
                  .001 goes off in nearly 1 % of healthy experiments
    e-value       evidence against the weights that may be looked at any time: in all looks together, an experiment that
                  is healthy comes to 1,000 with a chance of at most .001. It may stop an experiment by itself

Only users in arms count. Those held out of an experiment were promised nothing, and no count may contain them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

ALARM_BELOW = 0.001
"""An experiment is looked at often and its metrics rest on this, so a false alarm has to be rare."""

LEAST_EXPECTED = 5.0
"""Users the smallest arm must expect before Pearson's statistic is near its chi-squared (Cochran, 1954).

With half a user expected, a healthy experiment alarms in up to 1.4 % of looks instead of .1 %.
"""

CONCENTRATION = 300.0
"""How near the weights the e-value expects a mismatch to be: as if 300 users had been seen, split just as promised.

Of two arms alike it alarms at a chi-squared of 19.8 at 1,000 users, 17.9 at 10,000, 19.7 at 100,000 and 21.9 at a
million, where one look needs 10.8. With 30 it would be 17.8 to 24.3; with 3,000 it would be 56 at 1,000 users.
"""

_RESOLUTION = 1e-9  # an eigenvalue below is rounding, as the others are of the order of 1


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Users counted against users expected.

    Attributes:
        counts: users in each arm.
        expected: users that the weights promise each arm, of those in arms with a positive weight.
        chi2: Pearson's statistic; None with the reason where unknown.
        p_value: of chi2 or more, at one look; None with the reason where unknown.
        alarm: p-value below .001, an e-value of 1,000, or users in an arm of weight 0; with several tests alike, .001
            over and 1,000 times their number. No alarm is not yet healthy: see `healthy`.
        reason: why it alarms or is unknown.
        e_value: evidence against the weights, valid at any time; None where there is nothing to compare. It needs no
            least number of users, so it may be there, and alarm, where the p-value is unknown.
    """

    counts: tuple[int, ...]
    expected: tuple[float, ...]
    chi2: float | None
    p_value: float | None
    alarm: bool
    reason: str | None
    e_value: float | None = None

    @property
    def healthy(self) -> bool:
        """Whether the ratio was tested and found right; never while unknown."""
        return self.p_value is not None and not self.alarm

    @property
    def anytime_p(self) -> float | None:
        """The p-value that may be looked at any time, min(1, 1 / e)."""
        return None if self.e_value is None else 1.0 / max(1.0, self.e_value)


def sample_ratio(counts: Sequence[int], weights: Sequence[float], *, tests: int = 1) -> SampleRatio:
    """Test users per arm against the weights by Pearson's chi-squared and by the e-value.

    Arms of positive weight are tested, with one degree of freedom less than there are; one without any user counts as
    the 0 it is. An arm of weight 0 has no ratio: a user in it is an error of its own and alarms whatever the p-value.

    Args:
        counts: users in each arm; nobody held out.
        weights: what each arm was promised, in shares or in buckets, at least 0; only their ratios matter.
        tests: ratios tested alike, such as one a segment; an alarm in any of them stays as rare as one alone's
            (Bonferroni).

    Raises:
        ValueError: when lengths differ, a count or weight is below 0, or there is no test.
    """
    return stratified([counts], [weights], tests=tests)


def stratified(
    counts_by_phase: Sequence[Sequence[int]], weights_by_phase: Sequence[Sequence[float]], *, tests: int = 1
) -> SampleRatio:
    """Test users per arm over phases of different weights, such as the steps of a ramp.

    What an arm expects is added up over phases, and so is the covariance of its counts, N_k (diag w_k - w_k w_k').
    The statistic is the deviation's quadratic form in the inverse of that sum, chi-squared with one degree of freedom
    less than there are arms (less one for each further set of arms that shared no phase); of one phase it is Pearson's.
    Users are lost in the same arm in every phase, which one sum shows best: one test a phase added up would spend
    degrees of freedom on every phase, and Pearson's formula on the sums takes the planned change of weights for noise.
    Losses that turn around between phases cancel out here; the e-value, a product over phases, still sees them.

    Args:
        counts_by_phase: `(phases, arms)` users first seen in the phase; nobody held out.
        weights_by_phase: `(phases, arms)`, as in `sample_ratio`.
        tests: as in `sample_ratio`.

    Raises:
        ValueError: when lengths differ, a count or weight is below 0, or there is no phase or no test.
    """
    _check(counts_by_phase, weights_by_phase, tests)
    counts, shares = np.array(counts_by_phase, dtype=np.int64), _shares(weights_by_phase)
    promised = np.where(shares > 0.0, counts, 0)  # users in arms that may have some
    expected = promised.sum(axis=1) @ shares
    incomparable = _incomparable(promised, shares)
    unknown = incomparable or _too_few(expected)
    chi2 = p_value = e = None
    if incomparable is None:
        e = _capped_exp(sum(log_e_values(*phase).item() for phase in zip(promised, shares, strict=True)))
        if unknown is None:
            chi2, p_value = _chi_squared(promised, shares)
    alarms = _alarms(counts, shares, p_value=p_value, e=e, tests=tests)
    reason = "; ".join(alarms if unknown is None else [*alarms, unknown]) or None
    totals = tuple(int(total) for total in counts.sum(axis=0))
    return SampleRatio(totals, tuple(expected.tolist()), chi2, p_value, bool(alarms), reason, e)


def e_value(counts: Sequence[int], weights: Sequence[float], *, concentration: float = CONCENTRATION) -> float:
    """Return the evidence against the weights: how much likelier the counts are under shares near them.

    The likelihood of the users, as they came, averaged over shares from Dirichlet(concentration * weights), over their
    likelihood under the weights. Under the weights it is a martingale of expectation 1 as users come, so the chance
    that it ever reaches 1/p is at most p (Lindon and Malek, "Anytime-valid inference for multinomial count data",
    NeurIPS 2022; the inequality is Ville's). Arms of weight 0 are left out; a user there is an error of its own.

    Args:
        counts: users in each arm.
        weights: what each arm was promised; only their ratios matter.
        concentration: how near the weights a mismatch is expected, above 0; fixed before the first user.

    Returns:
        0 to the largest float, at which it is capped; 1 when there are no users, or one arm.

    Raises:
        ValueError: when lengths differ, or a count, weight or the concentration is out of its range.
    """
    _check([counts], [weights], tests=1)
    return _capped_exp(log_e_values(counts, weights, concentration=concentration).item())


def log_e_values(counts: ArrayLike, weights: ArrayLike, *, concentration: float = CONCENTRATION) -> NDArray[np.float64]:
    """Return the natural logarithm of the e-value of many counts at once, such as of every day of an experiment.

    Args:
        counts: `(..., arms)` users.
        weights: `(arms,)`, as in `e_value`.
        concentration: as in `e_value`.

    Raises:
        ValueError: when the concentration is not above 0.
    """
    if not 0.0 < concentration < math.inf:
        raise ValueError(f"concentration is {concentration}; it must be above 0, such as {CONCENTRATION:g}")
    given = np.asarray(weights, dtype=np.float64)
    share = given[given > 0.0] / given.sum()
    users = np.asarray(counts, dtype=np.float64)[..., given > 0.0]
    prior = concentration * share
    per_arm = special.gammaln(prior + users) - special.gammaln(prior) - users * np.log(share)
    total = special.gammaln(concentration) - special.gammaln(concentration + users.sum(axis=-1))
    logarithms: NDArray[np.float64] = np.asarray(total + per_arm.sum(axis=-1), dtype=np.float64)
    return logarithms


def _capped_exp(logarithm: float) -> float:
    """Return e^x, at most the largest float: less evidence stays valid, and infinity cannot be stored."""
    return math.exp(logarithm) if logarithm < math.log(sys.float_info.max) else sys.float_info.max


def _check(counts_by_phase: Sequence[Sequence[int]], weights_by_phase: Sequence[Sequence[float]], tests: int) -> None:
    if tests < 1:
        raise ValueError(f"tests is {tests}; it must be at least 1, the ratio itself")
    if len(counts_by_phase) != len(weights_by_phase) or not counts_by_phase:
        raise ValueError(
            f"{len(counts_by_phase)} phases of counts and {len(weights_by_phase)} of weights; "
            "each needs both, and there must be one"
        )
    for counts, weights in zip(counts_by_phase, weights_by_phase, strict=True):
        if len(counts) != len(weights):
            raise ValueError(f"{len(counts)} counts and {len(weights)} weights; each arm needs one of both")
        if len(counts) != len(counts_by_phase[0]):
            raise ValueError(f"phases of {len(counts_by_phase[0])} and {len(counts)} arms; give every arm in each")
        if any(count < 0 for count in counts):
            raise ValueError(f"counts are {list(counts)}; each must be at least 0")
        if not all(0.0 <= weight < math.inf for weight in weights) or not any(weights):
            raise ValueError(f"weights are {list(weights)}; each must be finite and at least 0, and one above 0")


def _shares(weights_by_phase: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    weights = np.array(weights_by_phase, dtype=np.float64)
    shares: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return shares


def _incomparable(counts: NDArray[np.int64], shares: NDArray[np.float64]) -> str | None:
    """Say why there is nothing to compare, or None."""
    used = counts.any(axis=1)
    if not used.any():
        return "no users in any arm of positive weight; the ratio is unknown until there are"
    if np.count_nonzero(shares[used], axis=1).max() < 2:
        return "1 arm has a positive weight; a ratio needs at least 2"
    return None


def _too_few(expected: NDArray[np.float64]) -> str | None:
    """Say why there is no p-value though there is an e-value, or None."""
    least = expected[expected > 0.0].min()
    if least >= LEAST_EXPECTED:
        return None
    return f"the smallest arm expects {least:.3g} users; at least {LEAST_EXPECTED:g} are required"


def _chi_squared(counts: NDArray[np.int64], shares: NDArray[np.float64]) -> tuple[float, float]:
    """Return the statistic of counts and shares, `(phases, arms)`, and its upper tail."""
    users = counts.sum(axis=1)
    expected = users @ shares
    tested = expected > 0.0
    scale = np.sqrt(expected[tested])
    between = (shares * users[:, None]).T @ shares  # what the weights' own change adds, w w' per phase
    covariance = np.eye(len(scale)) - between[np.ix_(tested, tested)] / np.outer(scale, scale)
    deviation = (counts.sum(axis=0) - expected)[tested] / scale
    eigenvalues, directions = np.linalg.eigh(covariance)
    free = eigenvalues > _RESOLUTION
    chi2 = float(np.sum((directions[:, free].T @ deviation) ** 2 / eigenvalues[free]))
    return chi2, float(special.chdtrc(np.count_nonzero(free), chi2))


def _alarms(
    counts: NDArray[np.int64], shares: NDArray[np.float64], *, p_value: float | None, e: float | None, tests: int
) -> list[str]:
    alarms = [
        f"arm {arm} has weight 0 but {users} users; nobody may be assigned to it"
        for arm, users in enumerate(np.where(shares == 0.0, counts, 0).sum(axis=0).tolist())
        if users > 0
    ]
    shared = "" if tests == 1 else f" / {tests} tests"
    found = []
    if p_value is not None and p_value < ALARM_BELOW / tests:
        found.append(f"p is {p_value:.2g}, below {ALARM_BELOW}{shared}")
    if e is not None and e >= tests / ALARM_BELOW:
        found.append(f"the e-value is {e:.2g}, at least {1.0 / ALARM_BELOW:,.0f}{shared.replace('/', 'x')}")
    if found:
        alarms.append(f"{' and '.join(found)}; find where users were lost before reading any lift")
    return alarms
