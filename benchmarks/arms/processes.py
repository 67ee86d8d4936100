"""Each side in a process of its own, with the same number of threads, one after the other."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from benchmarks.arms import matrices
from benchmarks.arms.side import SCORES, Outcome, Rates, Trial, parsed
from models.interactions import HeldOut
from models.ranking import evaluate
from models.recommender import Recommender

ROOT = Path(__file__).parents[2]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
TOLD = 20
"""Lines of what a failed side printed."""


class Left:
    """Scores that a side left behind, as the recommender that gave them."""

    def __init__(self, scores: NDArray[np.float32]) -> None:
        self._scores = scores
        self.items = tuple(str(item) for item in range(scores.shape[1]))

    def score(self, histories: csr_matrix) -> NDArray[np.float32]:
        """Return a copy of the scores of all histories."""
        assert self._scores.shape == histories.shape
        return self._scores.copy()


def run(trial: Trial, python: Path) -> tuple[Outcome | Rates, float | None]:
    """Run a side to its end; return what it measured, and NDCG@100 of the scores that it left behind.

    Raises:
        SystemExit: the side failed.
    """
    with tempfile.TemporaryDirectory(prefix="abp-arms-") as folder:
        done = subprocess.run(
            [str(python), "-m", f"benchmarks.arms.{trial.side}"],
            input=json.dumps(asdict(trial)) + "\n",
            cwd=folder,
            env=environment(os.environ, trial.threads),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = "\n".join(done.stderr.splitlines()[-TOLD:])
            raise SystemExit(f"{last}\n{trial.side} stopped with status {done.returncode}; it was asked {trial}")
        answer = parsed(done.stdout, Rates) if trial.side == "rates" else parsed(done.stdout, Outcome)
        return answer, judge(trial, Path(folder) / SCORES) if trial.judged else None


def environment(ours: Mapping[str, str], threads: int) -> dict[str, str]:
    """Return the variables of a side: those of this process, our modules to import, and the number of threads."""
    return {**ours, "PYTHONPATH": str(ROOT), **dict.fromkeys(THREADS, str(threads))}


def judge(trial: Trial, scores: Path) -> float:
    """Return the mean NDCG@100 of scores, by our evaluation whatever side they are from."""
    read = matrices.read(Path(trial.data))
    users = slice(trial.judged)
    names = tuple(str(user) for user in range(trial.judged))
    held_out = HeldOut(read.fold_in[users], read.held_out[users], names)
    # Of a recommender, an evaluation asks for its scores and its items alone.
    left = cast(Recommender, Left(np.load(scores)))
    return evaluate(left, held_out, block_users=trial.judged).mean_ndcg_100
