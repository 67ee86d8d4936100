"""All cells on several processes, in blocks whose figures do not depend on how many there are."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

import numpy as np

from benchmarks.calibration.cell import BLOCK, Figure, Vector, blocks, figures, run_block
from benchmarks.calibration.cells import all_cells

Job = tuple[int, int]
"""The place of a cell, and the number of a block."""


def measure_all(repetitions: int, processes: int, *, advance: Callable[[int, int, str], None]) -> list[Figure]:
    """Simulate all cells.

    Args:
        repetitions: of a cell, times its own factor.
        processes: how many.
        advance: told after each block how many are done, of how many, and of which case it was.
    """
    cells = all_cells()
    counts: list[Vector] = [np.zeros(len(cell.claims)) for cell in cells]
    jobs = _jobs(repetitions)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # each process has a core; small products need no threads
    # Not forked: a forked child may inherit locks that the parent's threads held.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(_run, job): job for job in jobs}
        for done, future in enumerate(as_completed(running), 1):
            place, _ = running[future]
            counts[place] += future.result()
            advance(done, len(jobs), cells[place].case)
    return [
        figure
        for cell, count in zip(cells, counts, strict=True)
        for figure in figures(cell, count, blocks(cell, repetitions) * BLOCK)
    ]


def _jobs(repetitions: int) -> list[Job]:
    """Go round the cells, each at its own pace, so that the time left can be told from the time taken."""
    numbers = [blocks(cell, repetitions) for cell in all_cells()]
    paced = [(block / number, place, block) for place, number in enumerate(numbers) for block in range(number)]
    return [(place, block) for _, place, block in sorted(paced)]


def _run(job: Job) -> Vector:
    place, block = job
    return run_block(all_cells()[place], block)
