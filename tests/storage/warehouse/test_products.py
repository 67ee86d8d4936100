"""Products of whole numbers are exact, and have the names of the query's."""

from __future__ import annotations

import numpy as np
import pytest

from ab_platform.storage.per_user import KNOWN_BEFORE, PerUser, limb_names, product_names
from ab_platform.storage.warehouse.products import Asked, divide, largest, multiplied

WATCHED, CLICKS = PerUser("watch_seconds"), PerUser("clicks")
FAMILIES = ((WATCHED, CLICKS), (CLICKS, PerUser("clicks", "before"), KNOWN_BEFORE))


@pytest.mark.parametrize("at_most", [1 << 40, 1 << 60])
def test_products_beyond_what_floats_hold_are_exact(at_most: int) -> None:
    many = float((1 << 31) + 1)
    found = multiplied(np.array([[many, 1.0]]), np.array([[many, 1.0]]), at_most=at_most)
    assert found.tolist() == [[int(many) ** 2 + 1]]


def test_every_sum_and_product_of_the_query_is_named() -> None:
    asked = Asked(FAMILIES)
    named = asked.named(np.arange(asked.length**2).reshape(asked.length, -1))
    columns = {column for family in FAMILIES for column in family}
    assert named.keys() == {"n", *(f"sum_{name}" for name in limb_names(columns)), *product_names(FAMILIES).values()}


@pytest.mark.parametrize("whole", [0, 1, 65_535, 65_536, -1, -65_537, (1 << 40) + 3])
def test_limbs_put_together_are_the_whole(whole: int) -> None:
    high_and_low = np.empty((2, 1))
    divide(WATCHED, np.array([whole]), high_and_low)
    assert high_and_low[0, 0] * 65_536 + high_and_low[1, 0] == whole


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.int64])
@pytest.mark.parametrize("column", [WATCHED, CLICKS])
def test_no_limb_is_larger_than_it_can_be(column: PerUser, kind: type[np.signedinteger]) -> None:
    ends = np.array([np.iinfo(kind).min, -1, 0, np.iinfo(kind).max], dtype=kind)
    limbs = np.empty((2 if column is WATCHED else 1, len(ends)))
    divide(column, ends, limbs)
    assert np.abs(limbs).max() <= largest(column, np.dtype(kind))
