"""Multiplicity: p-values and interval levels of a family of rows, so that many rows do not find what is not there.

    holm                 the chance of any false finding is at most alpha, whatever the rows have to do with each other
                         (Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6, 1979)
    benjamini_hochberg   of what is found, the expected share of false findings is at most alpha, for rows that are
                         independent or positively dependent (Benjamini and Hochberg, J. R. Statist. Soc. B 57, 1995)
    none                 every row for itself

Each row gets the level at which its own interval leaves out the null exactly when the row is rejected. With
Benjamini-Hochberg these are the intervals whose rate of false coverage among the rejected rows is at most alpha
(Benjamini and Yekutieli, J. Am. Statist. Assoc. 100, 2005). With Holm they agree with the tests and promise no more: of
six rows that all clearly differ, at alpha .05, some interval misses in 16 % of families, where alpha / 6 for each would
miss in 5 %. Rejected is strictly below.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, get_args

Adjustment = Literal["none", "holm", "benjamini_hochberg"]


@dataclass(frozen=True, slots=True)
class Adjusted:
    """One row of a family.

    Attributes:
        p_value: adjusted; below the family's alpha exactly when the row is rejected. None where there was none.
        alpha: level of the row's own interval; the raw p-value is below it exactly when the row is rejected.
    """

    p_value: float | None
    alpha: float


def adjust(p_values: Sequence[float | None], *, alpha: float, method: Adjustment) -> tuple[Adjusted, ...]:
    """Adjust the p-values of a family, in their order.

    A row whose p-value could not be computed is counted all the same, as one that is never rejected: it was planned,
    and the family must not become smaller, and its other rows easier to reject, because something failed.

    Args:
        p_values: one a row, two-sided or not; None where it could not be computed.
        alpha: error rate of the family, in (0, 1).
        method: `holm`, `benjamini_hochberg`, or `none`.

    Raises:
        ValueError: for a p-value or an alpha out of its range, or an unknown method.
    """
    _check(p_values, alpha, method)
    rows = len(p_values)
    ordered = sorted(p_value for p_value in p_values if p_value is not None)
    match method:
        case "none":
            levels, raised = [alpha] * len(ordered), ordered
        case "holm":
            levels, raised = _holm_levels(ordered, rows, alpha), _holm_raised(ordered, rows)
        case "benjamini_hochberg":
            levels, raised = _hochberg_levels(ordered, rows, alpha), _hochberg_raised(ordered, rows)
    adjusted: dict[float | None, Adjusted] = {
        p_value: _agreeing(p_value, up, level, alpha)
        for p_value, up, level in zip(ordered, raised, levels, strict=True)
    }
    adjusted[None] = Adjusted(None, min(levels, default=alpha if method == "none" else alpha / max(rows, 1)))
    return tuple(adjusted[p_value] for p_value in p_values)


def _holm_levels(ordered: Sequence[float], rows: int, alpha: float) -> list[float]:
    """Return alpha / (rows left) down to the first row that is not rejected, whose level the rest share."""
    levels: list[float] = []
    for place, p_value in enumerate(ordered):
        stopped = place > 0 and not ordered[place - 1] < levels[-1]
        tied = place > 0 and p_value == ordered[place - 1]
        levels.append(levels[-1] if stopped or tied else alpha / (rows - place))
    return levels


def _holm_raised(ordered: Sequence[float], rows: int) -> list[float]:
    return list(accumulate((min(1.0, (rows - place) * p_value) for place, p_value in enumerate(ordered)), max))


def _hochberg_levels(ordered: Sequence[float], rows: int, alpha: float) -> list[float]:
    """Return alpha * rejected / rows for every row; as if one were rejected where none is."""
    by_rank = [min(alpha, alpha * rank / rows) for rank in range(1, len(ordered) + 1)]  # .05 * 3 / 3 is above .05
    rejected = [level for p_value, level in zip(ordered, by_rank, strict=True) if p_value < level]
    return [rejected[-1] if rejected else by_rank[0] for _ in ordered]


def _hochberg_raised(ordered: Sequence[float], rows: int) -> list[float]:
    largest_first = [min(1.0, rows / rank * p_value) for rank, p_value in enumerate(ordered, 1)][::-1]
    return list(accumulate(largest_first, min))[::-1]


def _agreeing(p_value: float, raised: float, level: float, alpha: float) -> Adjusted:
    """Put the adjusted p-value on the side of alpha where the row's level put the raw one.

    They differ where a product and a quotient round apart: 3 * p < alpha is not p < alpha / 3 to the last bit.
    """
    below = p_value < level
    return Adjusted(min(raised, math.nextafter(alpha, 0.0)) if below else max(raised, alpha), level)


def _check(p_values: Sequence[float | None], alpha: float, method: str) -> None:
    if method not in get_args(Adjustment):
        raise ValueError(f"method is {method!r}; it must be one of {', '.join(get_args(Adjustment))}")
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1, such as 0.05")
    wrong = [p_value for p_value in p_values if p_value is not None and not 0.0 <= p_value <= 1.0]
    if wrong:
        raise ValueError(f"p-value is {wrong[0]}; it must lie between 0 and 1, or be None where there is none")
