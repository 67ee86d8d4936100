"""Moments: count, means and centred cross-products of the per-user columns of one arm; they merge by `+`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Moments:
    """What is kept of the users of one arm.

    The cross-products are centred before they are rounded: raw sums of squares lose the variance where the mean is far
    from zero. `Moments.empty(columns)` is the neutral element of `+`.

    Attributes:
        n: users.
        means: `(columns,)`, zeros when there are no users.
        cross: `(columns, columns)`, sums over users of (x - mean x)(y - mean y).
    """

    n: int
    means: NDArray[np.float64]
    cross: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check the shapes.

        Raises:
            ValueError: when the count is negative or the shapes do not fit.
        """
        if self.n < 0:
            raise ValueError(f"moments count {self.n} users; the count must be at least 0")
        if self.means.ndim != 1 or self.cross.shape != (len(self.means), len(self.means)):
            raise ValueError(
                f"moments have means {self.means.shape} and cross-products {self.cross.shape}; "
                "they must be (columns,) and (columns, columns)"
            )

    @staticmethod
    def empty(columns: int) -> Moments:
        """Return the moments of no users."""
        return Moments(0, np.zeros(columns), np.zeros((columns, columns)))

    @staticmethod
    def of(values: ArrayLike) -> Moments:
        """Take the moments of per-user values, in two passes with a correction of the mean.

        Args:
            values: `(users, columns)`, finite.

        Raises:
            ValueError: for another shape, or values that are not finite.
        """
        table = np.asarray(values, dtype=np.float64)
        _check_table(table)
        users, columns = table.shape
        if users == 0:
            return Moments.empty(columns)
        rounded_means = table.mean(axis=0)
        centred = table - rounded_means
        correction = centred.mean(axis=0)  # what rounding left out of the mean
        products = np.einsum("ui,uj->ij", centred, centred)  # BLAS would wake its threads for a few columns
        cross = products - users * np.outer(correction, correction)
        return Moments(users, rounded_means + correction, cross)

    @staticmethod
    def from_exact_sums(
        n: int, sums: Sequence[int], products: Sequence[Sequence[int]], *, scale: Sequence[float]
    ) -> Moments:
        """Take the moments from integer sums, such as clicks and milliseconds that a database added up.

        Args:
            n: users.
            sums: `(columns,)` sums over users.
            products: `(columns, columns)` sums over users of the products of two columns.
            scale: `(columns,)` unit of each column, such as 0.001 for milliseconds that are to be seconds.

        Raises:
            ValueError: when the lengths differ, or no users could have these sums.
            TypeError: for a sum that is not an integer.
        """
        _check_sums(n, sums, products=products, scale=scale)
        units = np.asarray(scale, dtype=np.float64)
        means = np.array([index(total) / max(n, 1) for total in sums], dtype=np.float64)
        return Moments(n, means * units, _centred(n, sums, products) * np.outer(units, units))

    def __add__(self, other: Moments) -> Moments:
        """Merge with the moments of other users.

        The parallel formula of Chan, Golub and LeVeque ("Algorithms for computing the sample variance", The American
        Statistician 37, 1983), for several columns at once.

        Raises:
            ValueError: when the columns differ.
        """
        if len(self.means) != len(other.means):
            raise ValueError(f"moments of {len(self.means)} and {len(other.means)} columns; they must have the same")
        n = self.n + other.n
        share = other.n / max(n, 1)
        apart = other.means - self.means
        return Moments(
            n, self.means + share * apart, self.cross + other.cross + self.n * share * np.outer(apart, apart)
        )

    def covariance(self) -> NDArray[np.float64]:
        """Return the unbiased covariance of the columns over users, `(columns, columns)`.

        Raises:
            ValueError: for fewer than 2 users.
        """
        if self.n < 2:
            raise ValueError(f"moments count {self.n} users; a covariance needs at least 2")
        return self.cross / (self.n - 1)

    def select(self, *columns: int | None) -> Moments:
        """Return the moments of some columns, in the order given; None is the constant 1.

        The constant is the neutral denominator: its mean is 1, it varies with nothing, and so a mean is the ratio of a
        column to it.
        """
        constant = len(self.means)
        chosen = np.array([constant if column is None else column for column in columns], dtype=np.intp)
        means, cross = np.ones(constant + 1), np.zeros((constant + 1, constant + 1))
        means[:constant], cross[:constant, :constant] = self.means, self.cross
        return Moments(self.n, means[chosen], cross[chosen[:, None], chosen])


def _check_table(table: NDArray[np.float64]) -> None:
    if table.ndim != 2:
        raise ValueError(f"per-user values have shape {table.shape}; it must be (users, columns)")
    missing = int(np.count_nonzero(~np.isfinite(table)))
    if missing:
        raise ValueError(f"per-user values hold {missing} numbers that are not finite; fill or drop them first")


def _check_sums(n: int, sums: Sequence[int], *, products: Sequence[Sequence[int]], scale: Sequence[float]) -> None:
    columns = len(sums)
    if {len(products), len(scale), *map(len, products)} != {columns}:
        raise ValueError(
            f"{columns} sums with {len(products)} rows of products and {len(scale)} scales; each needs one per column"
        )
    if any(products[i][j] != products[j][i] for i in range(columns) for j in range(i)):
        raise ValueError("products differ above and below the diagonal; give both, products[i][j] == products[j][i]")
    if n == 0 and any(sums):
        raise ValueError(f"no users but sums {list(sums)}; without users every sum must be 0")


def _centred(n: int, sums: Sequence[int], products: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Return S_xy - S_x S_y / n: integers of any length up to the one division, so nothing cancels."""
    count, totals = index(n), [index(total) for total in sums]
    exact = [
        [count * index(product) - x * y for product, y in zip(row, totals, strict=True)]
        for row, x in zip(products, totals, strict=True)
    ]
    for column, row in enumerate(exact):
        if row[column] < 0:
            raise ValueError(
                f"column {column} has a variance below 0; its sum and its sum of squares must be of the same users"
            )
    cross = [[each / max(count, 1) for each in row] for row in exact]
    return np.array(cross, dtype=np.float64).reshape(len(sums), len(sums))
