"""Products of users' columns with each other, exactly, and the names that they have in a query's answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from ab_platform.storage import per_user
from ab_platform.storage.per_user import PerUser
from ab_platform.storage.running_totals import stored_as

Families = Sequence[Sequence[PerUser]]
Ints = NDArray[np.signedinteger]
Floats = NDArray[np.float64]

EXACT_IN_FLOATS = 2.0**53
"""Whole numbers up to it are floats, and so are their sums up to it."""


@dataclass(frozen=True)
class Asked:
    """Columns whose sums and products are wanted.

    A user is a column of a matrix: 1, then the limbs of what is asked, `(1 + limbs, users)`.

    Attributes:
        families: the columns whose products with each other are wanted.
    """

    families: Families

    @staticmethod
    @lru_cache(maxsize=100)
    def of(families: tuple[tuple[PerUser, ...], ...]) -> Asked:
        """Return those of some families, whose rows are named once for many users."""
        return Asked(families)

    @cached_property
    def columns(self) -> tuple[PerUser, ...]:
        """Every column, once."""
        return tuple(sorted({column for family in self.families for column in family}))

    @cached_property
    def rows(self) -> Mapping[PerUser, slice]:
        """The rows of the matrix that a column's limbs are."""
        ends = np.cumsum([1, *(len(per_user.limbs_of(column)) for column in self.columns)]).tolist()
        return {column: slice(begin, end) for column, begin, end in zip(self.columns, ends, ends[1:], strict=False)}

    @cached_property
    def by_stored_name(self) -> Mapping[str, tuple[PerUser, ...]]:
        """The columns that are made of the same totals."""
        names = dict.fromkeys(stored_name(each) for each in self.columns)
        return {name: tuple(each for each in self.columns if stored_name(each) == name) for name in names}

    @cached_property
    def kept(self) -> tuple[tuple[str, PerUser], ...]:
        """The totals that are needed, each with one of the columns that are made of it."""
        return tuple((name, columns[0]) for name, columns in self.by_stored_name.items())

    @cached_property
    def length(self) -> int:
        """How many rows the matrix has."""
        return 1 + len(per_user.limb_names(self.columns))

    def near(self, measures: Collection[str]) -> Asked:
        """Return the families of which some measures of the experiment are part: what is multiplied with these."""
        wanted = (
            any(each.source == "during" and stored_as(each) in measures for each in family) for family in self.families
        )
        return Asked.of(tuple(tuple(family) for family, near in zip(self.families, wanted, strict=True) if near))

    def rows_of(self, columns: Iterable[PerUser]) -> list[int]:
        """Return the rows of some columns."""
        return [row for column in columns for row in range(self.rows[column].start, self.rows[column].stop)]

    def named(self, products: Ints) -> dict[str, int]:
        """Name the products of all rows with all, (rows, rows), as the query `per_user.sums` does."""
        names = per_user.limb_names(self.columns)
        found = {"n": int(products[0, 0])}
        found |= {f"sum_{name}": int(products[0, row]) for row, name in enumerate(names, start=1)}
        return found | {name: int(products[one, other]) for one, other, name in self._pairs}

    @cached_property
    def _pairs(self) -> tuple[tuple[int, int, str], ...]:
        place = {name: row for row, name in enumerate(per_user.limb_names(self.columns), start=1)}
        names = per_user.product_names(self.families)
        return tuple((place[one], place[other], name) for (one, other), name in names.items())


def stored_name(column: PerUser) -> str:
    """Return the name of the totals that a column is made of."""
    if column.name == "known":
        return "known"
    if column.name.startswith("due_"):
        return "entered"
    if column.name.startswith("returned_"):
        return column.name
    return f"{'now' if column.source == 'during' else 'before'}_{stored_as(column)}"


def divide(column: PerUser, whole: Ints, into: Floats) -> None:
    """Write the limbs of a column.

    Args:
        column: which.
        whole: in whole steps, (users,).
        into: (limbs, users).
    """
    if len(into) == 1:
        into[0] = whole > 0 if column.name == "clicked" else whole
    else:
        whole = whole.astype(np.promote_types(whole.dtype, np.int32), copy=False)
        into[0], into[1] = whole >> per_user.LIMB_BITS, whole & (per_user.LIMB - 1)


def largest(column: PerUser, kind: np.dtype[np.signedinteger]) -> int:
    """Return how large a limb can be of a column that is kept in so many bytes."""
    whole = int(np.iinfo(kind).max) + 1
    return whole if column.steps == 1 else max(whole >> per_user.LIMB_BITS, per_user.LIMB)


def multiplied(one: Floats, other: Floats, *, at_most: int) -> Ints:
    """Return one other' of whole numbers, (rows, users) each, exactly: in floats where these hold it, for their speed.

    Args:
        one: whole numbers.
        other: whole numbers.
        at_most: how large any may be, going by how they are kept; if that is too large, they are looked at.
    """
    if float(at_most) ** 2 * one.shape[1] >= EXACT_IN_FLOATS:
        most = max(float(np.abs(each).max(initial=0.0)) for each in (one, other))
        if most**2 * one.shape[1] >= EXACT_IN_FLOATS:
            product: Ints = one.astype(np.int64) @ other.astype(np.int64).T
            return product
    return (one @ other.T).astype(np.int64)
