"""The service's benchmark, small: its driver, its ratios, its bars, and a run of all that needs no server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.service import bulk, driver, report, sides
from benchmarks.service.found import Assigned, Bulk, Pair, Ratio, Steady, Taken

ROOT = Path(__file__).parent.parent


def ratio(*rates: tuple[float, float]) -> Ratio:
    return Ratio(tuple(Pair(ours, other) for ours, other in rates))


def test_a_ratio_is_the_median_over_rounds_and_not_the_ratio_of_medians() -> None:
    found = ratio((50.0, 100.0), (90.0, 100.0), (300.0, 600.0))
    assert found.median == 0.5
    assert found.spread == (0.5, 0.9)
    assert found.busy is None


def test_a_bar_that_is_missed_is_told() -> None:
    assigned = Assigned(1, ratio((70.0, 100.0)), 1.0, 2.0, 0.1)
    taken = [Taken(50, 1, ratio((70.0, 100.0)), 1.0), Taken(50, 4, ratio((50.0, 100.0)), 1.0)]
    found = {"assignments sqlite": [assigned], "events sqlite": taken}
    assert [holds for _, _, holds in report.bars(found)] == [False, False]
    assert "**does not hold**" in report.section(found, "a command", 60.0)


def test_memory_that_grows_is_not_called_flat() -> None:
    seconds = tuple(float(second) for second in range(0, 601, 10))
    flat = Steady(10.0, 1_000, 100.0, 0, 10.0, seconds, (500_000_000,) * len(seconds))
    growing = Steady(10.0, 1_000, 100.0, 0, 10.0, seconds, tuple(500_000_000 + 100_000 * int(each) for each in seconds))
    assert report.first_and_last(flat) == (500_000_000, 500_000_000)
    assert ": flat, within 5%" in report.steady_section(flat, "a command")
    assert "**not** within 5%" in report.steady_section(growing, "a command")


def test_both_sides_of_the_bulk_comparison_assign_alike() -> None:
    found: Bulk = bulk.measure(bulk.Sizes(users=2_000, compared=300, rounds=1))
    assert (found.compared, found.different) == (300, 0)


def test_the_driver_counts_each_reply_and_keeps_its_pace(tmp_path: Path) -> None:
    asked = [driver.request("POST", "/v1/assignments", b"{}")] * 7
    with sides.bare(tmp_path) as bare:
        once = driver.run(bare.port, asked, connections=3)
        paced = driver.run(bare.port, asked, connections=2, seconds=0.5, per_second=20.0, mark=b"{}")
        lost = driver.run(bare.port, [driver.request("GET", "/nowhere", b"")], connections=1)
    assert (once.requests, once.failed, len(once.latencies)) == (7, 0, 7)
    assert (paced.requests, paced.marked) == (10, 10)
    assert (lost.requests, lost.failed) == (1, 1)
    assert np.all(once.latencies > 0.0)


@pytest.mark.skipif(sys.platform != "linux", reason="memory and processor time are read from /proc")
def test_the_small_run_measures_everything_once(tmp_path: Path) -> None:
    page = tmp_path / "service.md"
    command = [sys.executable, "-m", "benchmarks.service", "--small", "--only", "sqlite", "--output", str(page)]
    environment = {**os.environ, "ABP_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    for _ in range(2):
        subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True)
    kept = (tmp_path / "benchmarks" / "service.jsonl").read_text(encoding="utf-8").splitlines()
    assert len({json.loads(line)["key"] for line in kept}) == len(kept) == 4
    text = page.read_text(encoding="utf-8")
    for title in ("Assignments", "Slates", "Events", "As workers are added", "Memory"):
        assert f"### {title}\n" in text
