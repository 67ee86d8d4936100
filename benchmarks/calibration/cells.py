"""All cells of the table, in its order."""

from __future__ import annotations

from functools import lru_cache

from benchmarks.calibration import baselines, families, guardrails, looks, one_look, sample_ratios
from benchmarks.calibration.cell import Cell


@lru_cache(maxsize=1)
def all_cells() -> tuple[Cell, ...]:
    """Return every cell; no two have the same key."""
    parts = (one_look, guardrails, baselines, looks, sample_ratios, families)
    return tuple(cell for part in parts for cell in part.cells())
