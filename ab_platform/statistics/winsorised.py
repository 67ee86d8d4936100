"""Winsorised values: what one user may count for at most, so that a few heavy users do not drown the lift of all.

The estimand is the mean of min(value, cap). The cap comes from the users of both arms together, blind to who is in
which: an arm's own cap would cut the arms differently, and so make a difference where there is none. It is part of
the result, since a lift of capped values means nothing without it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def cap(control_values: NDArray[Any], treatment_values: NDArray[Any], share: float) -> float:
    """Return the value that a share of the users of both arms do not exceed.

    It is the nearest-rank quantile: the smallest value that occurred with at least that share of users at or below it.
    Of equal arms the capped means are equal in expectation, exactly, since the cap does not know the arm.

    Args:
        control_values: `(users,)`, one value a user, finite.
        treatment_values: `(users,)`, likewise.
        share: of users, in (0, 1]; 0.999 caps one user in a thousand, 1 caps nobody.

    Raises:
        ValueError: for another share, no users at all, or values that are not finite or not one a user.
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"share is {share}; it must lie above 0 and up to 1, such as 0.999")
    for name, values in (("control", control_values), ("treatment", treatment_values)):
        _check(values, name)
    pooled = np.concatenate([control_values, treatment_values]).astype(np.float64)
    if len(pooled) == 0:
        raise ValueError("no users in either arm; a cap needs at least 1 value")
    return float(np.quantile(pooled, share, method="inverted_cdf"))


def capped(values: NDArray[Any], cap: float) -> NDArray[np.float64]:
    """Return min(value, cap) of each value, in any shape; values below the cap keep their digits."""
    if np.isnan(cap):
        raise ValueError("cap is nan; it must be a number, such as the one that `cap` returns")
    return np.minimum(np.asarray(values, dtype=np.float64), cap)


def _check(values: NDArray[Any], name: str) -> None:
    if np.ndim(values) != 1:
        raise ValueError(f"{name} values have shape {np.shape(values)}; it must be (users,)")
    missing = int(np.count_nonzero(~np.isfinite(values)))
    if missing:
        raise ValueError(f"{name} values hold {missing} numbers that are not finite; fill or drop them first")
