"""A query's folder goes with it, and what a killed one left goes a day later."""

from __future__ import annotations

import os
from pathlib import Path
from time import time

from ab_platform.storage.warehouse.temporary import PREFIX, temporary


def test_the_folder_is_there_for_the_query_alone(tmp_path: Path) -> None:
    with temporary(tmp_path) as folder:
        (folder / "rows").touch()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_query_left_goes_after_a_day(tmp_path: Path) -> None:
    (old, young, other) = (tmp_path / name for name in (f"{PREFIX}old", f"{PREFIX}young", "user_days"))
    for each in (old, young, other):
        each.mkdir()
        (each / "rows").touch()
    for each in (old, other):
        os.utime(each, (time() - 90_000, time() - 90_000))
    with temporary(tmp_path):
        assert not old.exists()
    assert young.exists()
    assert other.exists()
