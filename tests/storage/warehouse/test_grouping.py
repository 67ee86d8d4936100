"""Shards are read together as long as they are small."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ab_platform.storage.warehouse.grouping import grouped, rows_of, shared


@pytest.mark.parametrize(
    ("rows", "groups"),
    [
        ([3, 3, 3, 3], [range(3), range(3, 4)]),
        ([0, 0, 0], [range(3)]),
        ([20, 1, 20], [range(1), range(1, 2), range(2, 3)]),
        ([20], [range(1)]),
    ],
)
def test_a_group_has_as_many_shards_as_fit_and_at_least_one(rows: list[int], groups: list[range]) -> None:
    assert list(grouped(rows, at_most=10)) == groups


def test_only_row_groups_that_may_have_an_experiment_count(tmp_path: Path) -> None:
    path = str(tmp_path / "rows.parquet")
    pq.write_table(pa.table({"experiment": ["a"] * 4 + ["b"] * 3 + ["d"] * 2}), path, row_group_size=3)
    assert [rows_of(path, [key]) for key in ("a", "b", "c", "d", "e")] == [6, 6, 3, 3, 0]
    assert rows_of(path, ["a", "d"]) == 9


def test_rows_of_a_row_group_are_shared_by_the_experiments_that_it_may_have(tmp_path: Path) -> None:
    path = str(tmp_path / "rows.parquet")
    pq.write_table(pa.table({"experiment": ["a"] * 4 + ["b"] * 3 + ["d"] * 2}), path, row_group_size=3)
    found = shared([path, path], ["d", "c", "a", "b", "z"])
    assert found == pytest.approx({"a": 2 * (3 + 1.5), "b": 2 * (1.5 + 1), "c": 2.0, "d": 2.0, "z": 0.0})
