"""CUPAC: a prediction of what a user would do anyway, made from the time before exposure, as CUPED's covariate.

Where CUPED fits one line through one covariate, any model of many features may stand here; what it explains leaves the
variance (Tang et al., "Control using predictions as covariates in switchback experiments", DoorDash, 2020). A model
that has seen a user's outcome predicts some of its noise, and with it some of the lift, which the adjustment then takes
away; so each user's prediction comes from the users of the other folds (Chernozhukov et al., "Double/debiased machine
learning for treatment and structural parameters", The Econometrics Journal 21, 2018). The model is blind to the arm,
and no feature may depend on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

Predict = Callable[[Matrix], Vector]
"""Features `(users, k)` to predictions `(users,)`."""

Fit = Callable[[Matrix, Vector], Predict]
"""Features `(users, k)` and outcome `(users,)` of the training users to a model. Missing features arrive as NaN."""

_PENALTIES = np.geomspace(1e-4, 1e6, 41)  # in units of the mean eigenvalue: from least squares to the mean alone
_CONSTANT = 1e-12  # a column that varies by less, relative to its size, is constant


def ridge(features: Matrix, outcome: Vector) -> Predict:
    """Fit a line in the features, their squares, their logarithms and what is missing, shrunk as far as is best.

    The penalty minimises the generalised cross-validation score n RSS / (n - df)^2 of Golub, Heath and Wahba
    ("Generalized cross-validation as a method for choosing a good ridge parameter", Technometrics 21, 1979), in closed
    form from one eigendecomposition. A missing feature is set to its mean, with an indicator; constant columns are
    harmless. Beyond what training users had, a feature counts as the closest that one had, so that squares do not run
    away.

    Args:
        features: `(users, k)`, NaN where missing.
        outcome: `(users,)`.
    """
    basis = _Basis.of(features)
    columns = basis.expand(features)
    means = columns.mean(axis=0)
    scales = _scales(columns, means)
    level = float(outcome.mean())
    slopes = _shrunk_slopes((columns - means) / scales, outcome - level) / scales

    def predict(others: Matrix) -> Vector:
        predictions: Vector = level + (basis.expand(others) - means) @ slopes
        return predictions

    return predict


def cross_fitted(features: NDArray[Any], outcome: NDArray[Any], folds: NDArray[Any], *, fit: Fit = ridge) -> Vector:
    """Predict each user's outcome by a model of the users of the other folds.

    Predictions are centred in each fold: a covariate's level means nothing, but the models' levels differ, and
    each is low where its fold's own outcomes are high, so that they alone would seem to save variance.

    Args:
        features: `(users, k)` of the time before exposure, both arms together; NaN where missing.
        outcome: `(users,)`, finite.
        folds: `(users,)` integers, by `fold_of`; they must not depend on features, outcome or arm.
        fit: trains a model; `ridge`, or one's own.

    Returns:
        `(users,)`, to be one more covariate of CUPED; it varies with no user's own outcome.

    Raises:
        ValueError: for other shapes, numbers that are not finite, fewer than 2 folds, or a model that does not give one
            finite prediction a user.
    """
    table, target = np.asarray(features, dtype=np.float64), np.asarray(outcome, dtype=np.float64)
    _check(table, target, folds)
    predictions = np.empty(len(target))
    for fold in np.unique(folds):
        held_out = folds == fold
        model = fit(table[~held_out], target[~held_out])
        predicted = np.asarray(model(table[held_out]), dtype=np.float64)
        _check_predictions(predicted, int(held_out.sum()))
        apart = predicted - predicted[0]  # exactly 0 where all are equal, which rounding of a mean would not be
        predictions[held_out] = apart - apart.mean()
    return predictions


def fold_of(users: NDArray[Any], *, folds: int = 5) -> NDArray[np.int64]:
    """Return each user's fold, which depends on nothing but the user.

    Args:
        users: `(users,)` integers, such as ids or hashes of them; near ones are mixed apart (SplitMix64 of Steele, Lea
            and Flood, "Fast splittable pseudorandom number generators", 2014).
        folds: how many.

    Raises:
        ValueError: for fewer than 2 folds, fewer users than folds, or users that are not integers.
    """
    if folds < 2:
        raise ValueError(f"folds is {folds}; it must be at least 2, so that others are left to learn from")
    if users.ndim != 1 or not np.issubdtype(users.dtype, np.integer):
        raise ValueError(f"users are {users.dtype} of shape {users.shape}; they must be integers (users,)")
    if len(users) < folds:
        raise ValueError(f"{len(users)} users for {folds} folds; there must be at least one user a fold")
    mixed = users.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) % np.uint64(folds)).astype(np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class _Basis:
    """What the training users' features were like: their mean, scale and range, each `(k,)`."""

    means: Vector
    scales: Vector
    lows: Vector
    highs: Vector

    @staticmethod
    def of(features: Matrix) -> _Basis:
        known = ~np.isnan(features)
        counts = np.maximum(known.sum(axis=0), 1)
        means = np.where(known, features, 0.0).sum(axis=0) / counts
        filled = np.where(known, features, means)
        return _Basis(means, _scales(filled, means), filled.min(axis=0), filled.max(axis=0))

    def expand(self, features: Matrix) -> Matrix:
        """Return `(users, 4 k)`: the features in their scale, squares, logarithms where none is below 0, indicators."""
        missing = np.isnan(features)
        filled = np.clip(np.where(missing, self.means, features), self.lows, self.highs)
        scaled = (filled - self.means) / self.scales
        logarithms = np.where(self.lows >= 0.0, np.log1p(np.maximum(filled, 0.0)), 0.0)
        return np.hstack([scaled, scaled**2, logarithms, missing])


def _scales(columns: Matrix, means: Vector) -> Vector:
    """Return the standard deviation of each column, infinite where it is constant, so that it counts for nothing."""
    deviations = np.sqrt(np.mean((columns - means) ** 2, axis=0))
    return np.where(deviations > _CONSTANT * np.abs(columns).max(axis=0), deviations, np.inf)


def _shrunk_slopes(columns: Matrix, outcome: Vector) -> Vector:
    """Return the ridge slopes of centred columns with the penalty of the least generalised cross-validation score."""
    n = len(outcome)
    eigenvalues, vectors = np.linalg.eigh(columns.T @ columns)
    eigenvalues = np.maximum(eigenvalues, 0.0)
    if not eigenvalues.any():
        return np.zeros(columns.shape[1])
    along = vectors.T @ (columns.T @ outcome)
    penalties = _PENALTIES[:, None] * eigenvalues.mean()
    kept = eigenvalues / (eigenvalues + penalties)  # (penalties, columns)
    explained = along**2 * (eigenvalues + 2.0 * penalties) / (eigenvalues + penalties) ** 2
    residual = np.maximum(outcome @ outcome - explained.sum(axis=1), 0.0)
    free = n - 1.0 - kept.sum(axis=1)
    scores = np.where(free > 0.0, n * residual / np.maximum(free, 1e-300) ** 2, np.inf)
    best = penalties[int(scores.argmin())]
    slopes: Vector = vectors @ (along / (eigenvalues + best))
    return slopes


def _check(features: Matrix, outcome: Vector, folds: NDArray[Any]) -> None:
    if features.ndim != 2 or outcome.shape != features.shape[:1] or np.shape(folds) != outcome.shape:
        raise ValueError(
            f"features {features.shape}, outcome {outcome.shape} and folds {np.shape(folds)}; "
            "they must be (users, k), (users,) and (users,)"
        )
    if not np.issubdtype(np.asarray(folds).dtype, np.integer):
        raise ValueError(f"folds are {np.asarray(folds).dtype}; they must be integers, such as `fold_of` gives")
    if np.isinf(features).any() or not np.isfinite(outcome).all():
        raise ValueError("features or outcome hold numbers that are not finite; only a missing feature may be NaN")
    present = len(np.unique(folds))
    if present < 2:
        raise ValueError(f"the users are in {present} fold; at least 2 are required, to learn from others")


def _check_predictions(predicted: Vector, users: int) -> None:
    if predicted.shape != (users,):
        raise ValueError(f"the model gave predictions of shape {predicted.shape}; it must give one a user, ({users},)")
    missing = int(np.count_nonzero(~np.isfinite(predicted)))
    if missing:
        raise ValueError(f"the model gave {missing} predictions that are not finite; each user needs a finite one")
