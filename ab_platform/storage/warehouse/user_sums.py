"""The exact sums of users' totals, of everybody, or by how much a day changes them.

Let x be the columns of a user who counts, such as what was watched and what had been watched before. The exact sums
are those of x x', over users. A day changes them by x x' after the day less x x' before it, over the users who came,
entered or left; of one who only came, only what the day changed is multiplied. All of it is integers, so it is what
`per_user.sums` gives, to the digit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ab_platform.metrics import RETENTION
from ab_platform.storage.per_user import PerUser
from ab_platform.storage.running_totals import stored_as
from ab_platform.storage.warehouse.numbered import Deeds
from ab_platform.storage.warehouse.products import (
    Asked,
    Families,
    Floats,
    Ints,
    divide,
    largest,
    multiplied,
    stored_name,
)
from ab_platform.storage.warehouse.totals import NOBODY, At, Day, Totals

Sums = Counter[tuple[str, str, str]]
"""By (surface, arm, name of a sum in `per_user.sums`)."""

USERS_AT_ONCE = 1 << 14
"""Whose columns are multiplied at once, while they are near the processor."""


class UserSums:
    """The sums of some columns of users.

    Args:
        totals: of the users.
        families: columns whose sums and products are wanted.
    """

    def __init__(self, totals: Totals, families: Families) -> None:
        self._totals, self._asked = totals, Asked.of(tuple(map(tuple, families)))
        found = (RETENTION.fullmatch(each.name) for each in self._asked.columns)
        self._days = sorted({int(each.group(2)) for each in found if each})

    def everybody(self) -> Sums:
        """Add up all users who count."""
        found: Sums = Counter()
        users = np.arange(len(self._totals.users))
        for surface in range(len(self._totals.surfaces)):
            number = np.broadcast_to(np.int16(surface), users.shape)
            found.update(self._of(At(users, number, users + surface * len(users))))
        return found

    def take(self, day: Day) -> Sums:
        """Let the totals take a day on, and return by how much that changed the sums."""
        totals, change = self._totals, Sums()
        found = totals.find(day)
        aside = np.zeros(len(totals.users) * len(totals.surfaces), dtype=np.bool_)
        aside[totals.cells_of(day.left)] = True
        for days in self._days:
            aside[totals.entered_before(days - 1)] = True  # their day is over with this one
        moved = totals.at_cells(np.flatnonzero(aside))
        change.subtract(self._of(moved))
        change.update(self._more(found.came, day.deeds, aside))
        totals.take(day, found)
        for touched in (moved, found.entered):
            change.update(self._of(touched))
        return change

    def _of(self, at: At) -> Sums:
        """Add up those of some users who count."""
        found: Sums = Counter()
        arms = self._totals.counting(at)
        for surface, where in enumerate(self._totals.surfaces):
            on = at.surfaces == surface
            at_most = self._largest(self._asked)
            for arm, who in enumerate(self._totals.arms if on.any() else ()):
                products = np.zeros((self._asked.length, self._asked.length), dtype=np.int64)
                for cells in _some(at.cells[on & (arms == arm)]):
                    limbs = self._limbs(self._asked, cells)
                    products += multiplied(limbs, limbs, at_most=at_most)
                found.update(_named(where, who, self._asked.named(products)))
        return found

    def _more(self, at: At, done: Deeds, aside: NDArray[np.bool_]) -> Sums:
        """Return by how much the sums change of users who entered before and did something more.

        Most do but one thing, such as to look: of them only the products of what that changes are needed.
        """
        totals, stored = self._totals, {stored_as(each) for each in self._asked.columns if each.source == "during"}
        measures = {measure: values for measure, values in done.measures.items() if measure in stored}
        arms = np.where(aside.take(at.cells), NOBODY, totals.counting(at))
        group = np.where(arms == NOBODY, NOBODY, at.surfaces * len(totals.arms) + arms)
        common = [each for each, values in measures.items() if 2 * np.count_nonzero(values) >= len(values)]
        busy = np.zeros(len(group), dtype=np.bool_)
        for measure in measures.keys() - common:
            busy |= measures[measure] != 0
        groups = list(product(totals.surfaces, totals.arms))
        found = np.zeros((len(groups), self._asked.length, self._asked.length), dtype=np.int64)
        near = self._asked.near(common)
        rows = [0, *self._asked.rows_of(near.columns)]
        of_near = np.ix_(range(len(groups)), rows, rows)
        for first in range(0, len(group) if groups else 0, USERS_AT_ONCE):
            few = slice(first, first + USERS_AT_ONCE)
            members = _members(np.where(busy[few], NOBODY, group[few]), len(groups))
            found[of_near] += self._change(near, at.cells[few], {each: measures[each][few] for each in common}, members)
            some = np.flatnonzero(busy[few])
            more = {each: values[few][some] for each, values in measures.items()}
            found += self._change(self._asked, at.cells[few][some], more, _members(group[few][some], len(groups)))
        change: Sums = Counter()
        for products, (surface, arm) in zip(found, groups, strict=True):
            change.update(_named(surface, arm, self._asked.named(products)))
        return change

    def _change(self, asked: Asked, cells: Ints, more: Mapping[str, Ints], members: Floats) -> Ints:
        """Return by how much the products of each group change with what its users did more, (groups, rows, rows).

        With x after the day and y before it, d = x - y: x x' - y y' is d y' + y d' + d d'.

        Args:
            asked: columns whose products are wanted.
            cells: of the users.
            more: what they did, in whole steps.
            members: 1 for each member of a group, (groups, users).
        """
        changed = [each for each in asked.columns if self._is_changed(each, more)]
        rows, limbs, after = asked.rows_of(changed), self._limbs(asked, cells), np.empty((asked.length, len(cells)))
        for column in changed:
            whole: Ints = np.add(self._totals.column(stored_name(column)).take(cells), more[stored_as(column)])
            divide(column, whole, after[asked.rows[column]])
        grown = after[rows] - limbs[rows]
        most = max(self._largest(asked), int(np.abs(grown).max(initial=0.0)))
        shape = (len(members), len(rows))
        of_group = (grown * members[:, None]).reshape(shape[0] * shape[1], len(cells))
        change = multiplied(of_group, limbs, at_most=most).reshape(*shape, asked.length)
        change[:, :, rows] += change[:, :, rows].transpose(0, 2, 1)
        change[:, :, rows] += multiplied(of_group, grown, at_most=most).reshape(*shape, len(rows))
        found = np.zeros((len(members), asked.length, asked.length), dtype=np.int64)
        found[:, rows] = change
        found[:, :, rows] = change.transpose(0, 2, 1)
        return found

    def _is_changed(self, column: PerUser, more: Mapping[str, Ints]) -> bool:
        return column.source == "during" and stored_as(column) in more

    def _limbs(self, asked: Asked, cells: Ints) -> Floats:
        """Return 1 and the limbs of the columns of users, (1 + limbs, users)."""
        found = np.empty((asked.length, len(cells)))
        found[0] = 1.0
        for name, columns in asked.by_stored_name.items():
            whole = self._totals.column(name).take(cells)
            for column in columns:
                values = self._due(column, whole) if column.name.startswith("due_") else whole
                divide(column, values, found[asked.rows[column]])
        return found

    def _due(self, column: PerUser, entered: Ints) -> Ints:
        """Tell who has so many days behind them."""
        days = int(column.name.removeprefix("due_"))
        found: Ints = ((entered != NOBODY) & (self._totals.through - entered.astype(np.int64) >= days)).astype(np.int8)
        return found

    def _largest(self, asked: Asked) -> int:
        columns = self._totals.columns
        return max((largest(column, columns[name].dtype) for name, column in asked.kept), default=1)


def cells_of(sums: Sums) -> list[dict[str, Any]]:
    """Return sums as rows: one a surface and arm of which anybody counts."""
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    for (surface, arm, name), value in sums.items():
        cells.setdefault((surface, arm), {"surface": surface, "arm": arm})[name] = value
    return [cells[key] for key in sorted(cells) if cells[key]["n"]]


def _named(surface: str, arm: str, sums: Mapping[str, int]) -> Sums:
    return Counter({(surface, arm, name): value for name, value in sums.items()})


def _members(group: Ints, groups: int) -> Floats:
    found: Floats = (group == np.arange(groups)[:, None]).astype(np.float64)
    return found


def _some(cells: Ints) -> Iterator[Ints]:
    return (cells[first : first + USERS_AT_ONCE] for first in range(0, len(cells), USERS_AT_ONCE))
