"""What one training came to on the test users, and the file that keeps it: arrays and JSON, and no code."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ab_platform.documents import made
from ab_platform.errors import DataError
from ab_platform.lineage import Recipe
from ab_platform.training import log_of
from ab_platform.training_log import Training
from models import durable
from models.ranking import Scores
from models.recommender import FitReport

_UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error)

PER_USER = ("recall_20", "recall_50", "ndcg_100", "novelty_20")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One training, judged.

    Attributes:
        recipe: all that it depends on.
        training: how it went.
        per_user: each metric of each test user, (users,), by its name in `PER_USER`.
        coverage_20: share of the catalogue among the first 20 of some test user.
    """

    recipe: Recipe
    training: Training
    per_user: Mapping[str, NDArray[np.float64]]
    coverage_20: float


def judged(recipe: Recipe, report: FitReport, scores: Scores) -> Evaluation:
    """Put together what training and scoring came to.

    Raises:
        DataError: a score is missing or not finite.
    """
    arrays = {name: getattr(scores, name) for name in PER_USER}
    wrong = next((name for name, array in arrays.items() if array is None or not np.isfinite(array).all()), None)
    if wrong is not None or report.ndcg is None:
        raise DataError(
            f"{recipe.recommender} leaves {wrong or 'validation NDCG@100'} without a finite value; it must rank at "
            "least one title for each user, so check what its `score` returns"
        )
    return Evaluation(recipe, log_of(report, report.ndcg), arrays, scores.coverage_20)


def place(folder: Path, recipe: Recipe) -> Path:
    """Return the file of an evaluation."""
    return folder / f"{recipe.recipe_hash}.npz"


def write(folder: Path, evaluation: Evaluation) -> None:
    """Keep an evaluation; it is there in full or not at all."""
    said = {
        "recipe": asdict(evaluation.recipe),
        "training": asdict(evaluation.training),
        "coverage_20": evaluation.coverage_20,
    }
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, said=np.array(json.dumps(said)), **evaluation.per_user)
    durable.write(place(folder, evaluation.recipe), content.getvalue())


def read(folder: Path, recipe: Recipe, *, users: int) -> Evaluation | None:
    """Return the evaluation of a recipe on so many test users; None where there is none.

    Raises:
        DataError: the file is damaged, or is of something else.
    """
    path = place(folder, recipe)
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            said = json.loads(str(file["said"]))
            per_user = {name: file[name] for name in PER_USER}
        training = made(Training, said["training"])
        found = Evaluation(Recipe(**said["recipe"]), training, per_user, said["coverage_20"])
    except _UNREADABLE as error:
        raise DataError(f"{path} is damaged ({error}); delete it, and the arm is evaluated again") from error
    lengths = {len(array) for array in per_user.values()}
    if found.recipe.recipe_hash != recipe.recipe_hash or lengths != {users}:
        raise DataError(
            f"{path} is of recipe {found.recipe.recipe_hash} on {max(lengths)} users, not of {recipe.recipe_hash} on "
            f"{users}; delete it, and the arm is evaluated again"
        )
    return found
