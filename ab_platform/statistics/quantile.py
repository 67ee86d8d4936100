"""Quantile: the watch time, say, that nine of ten users stay below, with a variance that a lift can be made of.

    value      the order statistic at rank q n + (q + 1) / 3, between two neighbours in proportion: median-unbiased
    variance   of the order statistic under resampling, in closed form: it is the rank that varies, so each value is
               weighted by how probable its rank is, Beta((n + 1) q, (n + 1) (1 - q)). No draws, no density estimate
    clusters   watches of the same user are alike, so they tell less than as many users: n watches weigh as n / factor

At least 20 users must lie beyond the quantile, so that the .99 needs 2,000 in the smaller arm. From there, equal arms
are called different in 3.7 to 5.6 of 100, over log-normal (sigma 1), exponential and zero-inflated values, 50/50 and
90/10: in less than 4.3 only where both arms have 50 or fewer beyond. Where one arm has few and the other many, most
of the errors lie on one side. Clustered watches of users who watch more the longer they watch: 6.2 at the limit, 5.8
at twice that. No number is given below the limit, nor where so many users share one value that the quantile can only
stand still or jump; then the reason says so.

References: Maritz and Jarrett, "A note on estimating the variance of the sample median", Journal of the American
Statistical Association 73, 1978; Hyndman and Fan, "Sample quantiles in statistical packages", The American Statistician
50, 1996, definition 8; Deng, Knoblich and Lu, KDD 2018, section 4, for clusters. Schultzberg and Ankargren,
"Resampling-free bootstrap inference for quantiles", 2022, weight by Binomial(n + 1, q) instead: the same for many
users, too wide for few (2.8 of 100 with 20 beyond the .9).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ab_platform.statistics.lift import Estimate

Vector = NDArray[np.float64]
Owners = NDArray[np.intp]

LEAST_BEYOND = 20.0
"""Users beyond the quantile, n min(q, 1 - q), below which the interval is no longer calibrated.

With users of unlike numbers of watches, n is what it would be with like ones: see `_effective_users`.
"""

MOST_ON_ONE_VALUE = 0.6
"""Largest share of the weights that one value may hold.

A unit of 1 standard error puts .4 of the weight on one value, of 2 standard errors .65. With this limit at most 5.8 of
100 equal arms with rounded values are called different; without it, up to 13 in units of 3 to 6 standard errors.
"""

_ROUNDING = 1e-9  # 200 users times 1 - 0.9 are a little below 20
_NEGLIGIBLE = 1e-10  # weight left out at either end, so that a million users need a few thousand weights


@dataclass(frozen=True, slots=True)
class QuantileEstimate:
    """A quantile of one arm.

    Attributes:
        value: the quantile; None without users.
        estimate: the value with its variance, to make a lift of; None where the variance is unknown.
        reason: why it is unknown.
    """

    value: float | None
    estimate: Estimate | None
    reason: str | None


def quantile(values: NDArray[Any], q: float, *, users: NDArray[Any] | None = None) -> QuantileEstimate:
    """Estimate a quantile of one arm.

    The estimand is the q-quantile over users, or, with `users`, over all watches of all users, so that a user counts as
    often as they watch. Users are independent; around the quantile the values are dense compared to the standard error.

    Args:
        values: `(users,)` one value a user, or `(watches,)` with `users`; finite.
        q: in (0, 1), such as 0.9.
        users: `(watches,)` whose watch each value is; the estimate then counts users, those with a watch.

    Raises:
        ValueError: for another q or shape, or values that are not finite.
    """
    ordered = _checked(values, q, users)
    if len(ordered) == 0:
        return QuantileEstimate(None, None, "no users; a quantile needs some")
    value = _at_rank(ordered, q * len(ordered) + (q + 1.0) / 3.0)
    owners = np.arange(len(ordered)) if users is None else np.unique(users, return_inverse=True)[1]
    beyond = _effective_users(owners) * min(q, 1.0 - q)
    if beyond < LEAST_BEYOND * (1.0 - _ROUNDING):
        return QuantileEstimate(value, None, _too_few(beyond))
    factor = 1.0 if users is None else _cluster_factor(values, value, owners=owners)
    first, weights = _rank_weights(len(ordered), q, factor)
    window = ordered[first : first + len(weights)]
    common, share = _most_common(window, weights)
    if share > MOST_ON_ONE_VALUE:
        return QuantileEstimate(value, None, _tied(common))
    return QuantileEstimate(value, Estimate(value, _spread(window, weights), int(owners.max()) + 1), None)


def _checked(values: NDArray[Any], q: float, users: NDArray[Any] | None) -> Vector:
    """Return the values in order.

    Raises:
        ValueError: when they are no values to take a quantile of.
    """
    if not 0.0 < q < 1.0:
        raise ValueError(f"q is {q}; it must lie between 0 and 1, such as 0.9")
    if np.ndim(values) != 1:
        raise ValueError(f"values have shape {np.shape(values)}; it must be (users,), or (watches,) with their users")
    if users is not None and np.shape(users) != np.shape(values):
        raise ValueError(f"{len(values)} values have users of shape {np.shape(users)}; each value needs one user")
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    missing = int(np.count_nonzero(~np.isfinite(ordered)))
    if missing:
        raise ValueError(f"values hold {missing} numbers that are not finite; fill or drop them first")
    return ordered


def _at_rank(ordered: Vector, rank: float) -> float:
    """Return the value at a rank, counted from 1 and held within the values."""
    return float(np.interp(rank - 1.0, np.arange(len(ordered)), ordered))


def _effective_users(owners: Owners) -> float:
    """Return (sum of watches)^2 / sum of squared watches over users (Kish, "Survey Sampling", 1965): all, if alike.

    It does not look at the values: a limit that did would let pass the samples whose variance looks too small.
    """
    watches = np.bincount(owners).astype(np.float64)
    return float(watches.sum() ** 2 / (watches @ watches))


def _cluster_factor(values: NDArray[Any], value: float, *, owners: Owners) -> float:
    """Return how many watches tell as much as one independent value.

    The variance of the share of watches below the quantile, a ratio over users by the delta method, is divided by that
    of as many independent watches. A watch at the quantile is half below it. Watches that seem to tell more than as
    many users are not believed: the factor is at least 1.
    """
    below = 0.5 * ((values < value).astype(np.float64) + (values <= value))
    apart = below - below.mean()
    independent = float(apart @ apart) / (len(values) - 1)
    if independent == 0.0:
        return 1.0
    together = np.bincount(owners, weights=apart)
    clustered = float(together @ together) / (len(together) - 1) * len(together)
    return max(clustered / (independent * len(values)), 1.0)


def _rank_weights(count: int, q: float, factor: float) -> tuple[int, Vector]:
    """Return the index of the first order statistic that counts, and the weights from there on; they sum to 1."""
    effective = count / factor
    a, b = (effective + 1.0) * q, (effective + 1.0) * (1.0 - q)
    first = int(np.floor(special.betaincinv(a, b, _NEGLIGIBLE) * count))
    last = int(np.ceil(special.betainccinv(a, b, _NEGLIGIBLE) * count))
    weights: Vector = np.diff(special.betainc(a, b, np.arange(first, last + 1) / count))
    return first, weights / weights.sum()


def _most_common(values: Vector, weights: Vector) -> tuple[float, float]:
    """Return the value, of some in order, that holds the most weight, and how much."""
    starts = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    shares = np.add.reduceat(weights, starts)
    most = int(shares.argmax())
    return float(values[starts[most]]), float(shares[most])


def _spread(values: Vector, weights: Vector) -> float:
    apart = values - weights @ values
    return float(weights @ apart**2)


def _too_few(beyond: float) -> str:
    return (
        f"{beyond:.3g} users lie beyond the quantile; at least {LEAST_BEYOND:g} are required: "
        "wait for more, or take a quantile nearer the median"
    )


def _tied(value: float) -> str:
    return (
        f"the quantile sits on a value that many users share, {value:g}, so that it can only stay or jump; "
        "measure in a finer unit, or compare the share of users above it"
    )
