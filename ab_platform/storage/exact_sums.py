"""Exact sums of per-user columns: integers as the database adds them up, which merge without a rounding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ab_platform.statistics.moments import Moments
from ab_platform.storage.per_user import PerUser, limb_names, limb_pairs, limbs_of, product_names

Pair = tuple[str, str]


@dataclass(frozen=True)
class ExactSums:
    """Users, the sum of each limb, and the products of two limbs that were asked for.

    Attributes:
        n: users.
        sums: by limb.
        products: by pair of limbs, in the order of their names.
    """

    n: int
    sums: Mapping[str, int]
    products: Mapping[Pair, int]

    @staticmethod
    def of(row: Mapping[str, object], families: Sequence[Sequence[PerUser]]) -> ExactSums:
        """Read a row of the query `per_user.sums`."""
        columns = sorted({column for family in families for column in family})
        return ExactSums(
            _integer(row["n"]),
            {name: _integer(row[f"sum_{name}"]) for name in limb_names(columns)},
            {pair: _integer(row[name]) for pair, name in product_names(families).items()},
        )

    @staticmethod
    def zero(families: Sequence[Sequence[PerUser]]) -> ExactSums:
        """Return the sums of nobody."""
        columns = sorted({column for family in families for column in family})
        return ExactSums(0, dict.fromkeys(limb_names(columns), 0), dict.fromkeys(limb_pairs(families), 0))

    @staticmethod
    def total(parts: Iterable[ExactSums]) -> ExactSums:
        """Merge the sums of disjoint users; without a part, those of nobody."""
        found = list(parts)
        if not found:
            return ExactSums(0, {}, {})
        return ExactSums(
            sum(part.n for part in found),
            {name: sum(part.sums[name] for part in found) for name in found[0].sums},
            {pair: sum(part.products[pair] for part in found) for pair in found[0].products},
        )

    def among(self, users: int) -> ExactSums:
        """Return the same sums over more users, of whom the further ones are 0 throughout."""
        return ExactSums(users, self.sums, self.products)

    def moments(self, columns: Sequence[PerUser]) -> Moments:
        """Put the limbs of some columns back together, in Python's integers, and centre.

        Args:
            columns: all of one family.
        """
        if self.n == 0:
            return Moments.empty(len(columns))
        limbs = limb_names(columns)
        weights = np.zeros((len(columns), len(limbs)), dtype=object)
        for place, column in enumerate(columns):
            for name, weight in limbs_of(column):
                weights[place, limbs.index(name)] = weight
        sums = np.array([self.sums[name] for name in limbs], dtype=object)
        products = np.array([[self.products[_ordered(x, y)] for y in limbs] for x in limbs], dtype=object)
        return Moments.from_exact_sums(
            self.n,
            (weights @ sums).tolist(),
            (weights @ products @ weights.T).tolist(),
            scale=[1.0 / column.steps for column in columns],
        )


def _ordered(one: str, other: str) -> Pair:
    return (one, other) if one <= other else (other, one)


def _integer(value: object) -> int:
    assert value is not None
    return int(value)  # type: ignore[call-overload,no-any-return]
