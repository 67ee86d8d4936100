"""Comparisons whose figures are known, without a recommender: each user's scores are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ab_platform.offline.arms import OfflineArm, Run
from ab_platform.offline.comparing import compare
from ab_platform.offline.evaluation import PER_USER, Evaluation
from ab_platform.offline.protocol import OfflineSplit
from ab_platform.offline.results import Comparison
from ab_platform.training_log import Training
from models.interactions import HeldOut, Interactions, UserSplit

USERS = 40
CONTROL = "control"


def split(interactions: Sequence[int] = (3, 8, 20, 200) * 10) -> OfflineSplit:
    """Return a split whose test users have so many titles each, a title of them to be found."""
    items = tuple(f"t{number:03d}" for number in range(300))
    shown = np.zeros((len(interactions), 300), dtype=np.float32)
    for row, number in enumerate(interactions):
        shown[row, 1:number] = 1
    found = np.zeros_like(shown)
    found[:, 0] = 1
    test = HeldOut(csr_matrix(shown), csr_matrix(found), tuple(f"u{row:03d}" for row in range(len(interactions))))
    train = Interactions.from_rows(["a", "b"], ["t000", "t001"])
    wide = csr_matrix((train.matrix.data, train.matrix.indices, train.matrix.indptr), shape=(2, 300))
    parts = UserSplit(Interactions(wide, train.users, items, train.times), test, test)
    return OfflineSplit("made", parts, "hash", "made by a test")


def evaluation(run: Run, per_user: NDArray[np.float64]) -> Evaluation:
    """Return what a training came to, every metric the same for a user, and so the coverage."""
    training = Training(5 + run.seed, 9, 0.25, 2.0, "cpu", "float32", {})
    values = dict.fromkeys(PER_USER, per_user)
    return Evaluation(run.arm.recipe(split(), run.seed), training, values, float(per_user.mean()))


def comparison(shifts: Mapping[str, float], *, seeds: Sequence[int] = (1, 2, 3)) -> Comparison:
    """Compare arms whose users differ from the control's by so much on average, and by chance.

    Args:
        shifts: by label; the control is there besides, as `control`.
        seeds: of every arm.
    """
    rng = np.random.default_rng(8)
    common = rng.uniform(0.2, 0.6, USERS)
    arms = {label: OfflineArm(label, "noisy", {"noise": 0.5}) for label in (CONTROL, *shifts)}
    planned = [Run(arm, seed) for arm in arms.values() for seed in seeds]
    found = [evaluation(run, common + shifts.get(run.arm.label, 0.0) + rng.normal(0, 0.02, USERS)) for run in planned]
    return compare(split(), planned, found, control=CONTROL)


def renamed(found: Comparison, dataset: str) -> Comparison:
    """Return a comparison on a data set of another name."""
    return replace(found, split=replace(found.split, dataset=dataset))
