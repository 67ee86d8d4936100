"""Which columns of users follow from totals that grow from day to day; `warehouse.totals` keeps these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ab_platform.metrics import MEASURES, RETENTION, Measure
from ab_platform.storage.per_user import PerUser


def tells(families: Sequence[Sequence[PerUser]]) -> bool:
    """Tell whether running totals give the sums of some columns: of all but what is known apart from events."""
    return all(
        each.source == "during" or (each.source == "before" and RETENTION.fullmatch(each.name) is None)
        for family in families
        for each in family
    )


def measures_of(columns: Iterable[PerUser]) -> frozenset[Measure]:
    """Return the measures that columns are made of."""
    names = {stored_as(each) for each in columns}
    return frozenset(measure for measure in MEASURES if measure in names)


def returns_of(columns: Iterable[PerUser]) -> frozenset[int]:
    """Return after how many days it has to be noted whether users were there."""
    found = (RETENTION.fullmatch(each.name) for each in columns)
    return frozenset(int(each.group(2)) for each in found if each and each.group(1) == "returned")


def stored_as(column: PerUser) -> str:
    """Return the measure that a column is made of."""
    return "clicks" if column.name == "clicked" else column.name
