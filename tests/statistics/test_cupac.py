"""CUPAC: predictions from others only; they save what is there to save, and nothing where there is nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ab_platform.statistics.cupac import Fit, Matrix, Predict, Vector, cross_fitted, fold_of, ridge
from ab_platform.statistics.cuped import Adjusted, Ratio, adjust
from ab_platform.statistics.moments import Moments


def adjusted(outcome: Vector, covariate: Vector, treated: NDArray[np.bool_]) -> Adjusted:
    table = np.column_stack([outcome, covariate])
    return adjust(Moments.of(table[~treated]), Moments.of(table[treated]), Ratio(0), [Ratio(1)])


def saved(outcome: Vector, covariate: Vector, treated: NDArray[np.bool_]) -> float:
    share = adjusted(outcome, covariate, treated).variance_saved
    return 0.0 if share is None else share


def difference(found: Adjusted) -> float:
    assert found.control.value is not None
    assert found.treatment.value is not None
    return found.treatment.value - found.control.value


def alternating(users: int) -> NDArray[np.bool_]:
    odd: NDArray[np.bool_] = np.arange(users) % 2 == 1
    return odd


def nonlinear(rng: np.random.Generator, users: int) -> tuple[Matrix, Vector]:
    """Seconds watched before exposure, a taste that matters at both ends, days since the last visit, partly missing."""
    seconds, taste = np.exp(4.0 + 1.5 * rng.standard_normal(users)), rng.standard_normal(users)
    days = rng.exponential(5.0, users)
    outcome = np.log1p(seconds) + taste**2 - 0.2 * days + rng.standard_normal(users)
    days[rng.random(users) < 0.2] = np.nan
    return np.column_stack([seconds, taste, days]), outcome


def least_squares(features: Matrix, outcome: Vector) -> Predict:
    """Fit without a penalty: what overfits most."""
    level = outcome.mean()
    slopes = np.linalg.lstsq(features - features.mean(axis=0), outcome - level, rcond=None)[0]

    def predict(others: Matrix) -> Vector:
        predictions: Vector = level + (others - features.mean(axis=0)) @ slopes
        return predictions

    return predict


def level_only(features: Matrix, outcome: Vector) -> Predict:
    level = float(outcome.mean())
    return lambda others: np.full(len(others), level)


# What it saves


def test_predictions_save_more_than_the_best_single_covariate() -> None:
    rng = np.random.default_rng(111)
    features, outcome = nonlinear(rng, 4_000)
    treated = alternating(4_000)
    predictions = cross_fitted(features, outcome, fold_of(np.arange(4_000)))
    filled = np.where(np.isnan(features), np.nanmean(features, axis=0), features)
    single = max(saved(outcome, filled[:, column], treated) for column in range(3))
    # Of the variance 1.5^2 + 2 + 1 + 1, all but the noise and the missing days can be saved: about 80 %.
    assert single < 0.35
    assert saved(outcome, predictions, treated) > 0.65


def test_a_linear_outcome_is_predicted_as_far_as_it_can_be() -> None:
    rng = np.random.default_rng(112)
    features = rng.standard_normal((5_000, 2))
    signal = features @ np.array([2.0, -1.0])
    outcome = 10.0 + signal + rng.standard_normal(5_000)
    predictions = cross_fitted(features, outcome, fold_of(np.arange(5_000)))
    assert np.corrcoef(predictions, signal)[0, 1] > 0.998
    assert np.polyfit(predictions, outcome, 1)[0] == pytest.approx(1.0, abs=0.03)  # neither shrunk nor stretched


def test_noise_saves_nothing_where_predictions_of_trained_users_would_seem_to() -> None:
    users = 400
    rng = np.random.default_rng(113)
    features, outcome, treated = (
        rng.standard_normal((users, 80)),
        rng.standard_normal(users),
        alternating(users),
    )
    in_sample = least_squares(features, outcome)(features)
    assert saved(outcome, in_sample, treated) > 0.1  # 80 of 400 degrees of freedom are noise that was learnt
    for fit in (least_squares, ridge):
        assert abs(saved(outcome, cross_fitted(features, outcome, fold_of(np.arange(users)), fit=fit), treated)) < 0.02


def test_cross_fitting_keeps_the_lift_that_predictions_of_trained_users_take_away() -> None:
    # A true difference of 1: of 40 noise features and 200 users, a fifth is taken for what users would do anyway.
    rng, users, repetitions = np.random.default_rng(114), 200, 60
    treated, folds = alternating(users), fold_of(np.arange(users))
    honest, naive = [], []
    for _ in range(repetitions):
        features = rng.standard_normal((users, 40))
        outcome = treated + rng.standard_normal(users)
        predictions = cross_fitted(features, outcome, folds, fit=least_squares)
        honest.append(difference(adjusted(outcome, predictions, treated)))
        naive.append(difference(adjusted(outcome, least_squares(features, outcome)(features), treated)))
    error = float(np.std(honest, ddof=1)) / np.sqrt(repetitions)
    assert np.mean(honest) == pytest.approx(1.0, abs=3.3 * error)  # 99.9 %
    assert np.mean(naive) == pytest.approx(0.8, abs=0.05)


def test_the_levels_of_the_folds_alone_save_nothing() -> None:
    # The mean of the other folds is low where a fold's own is high: not centred, 4 of 40 degrees of freedom are lost.
    outcome = np.random.default_rng(115).standard_normal(40)
    predictions = cross_fitted(np.zeros((40, 1)), outcome, np.arange(40) % 5, fit=level_only)
    assert np.array_equal(predictions, np.zeros(40))


# From others only


@given(user=st.integers(0, 59), change=st.floats(-1e6, 1e6))
def test_no_prediction_depends_on_the_users_own_outcome(user: int, change: float) -> None:
    features, outcome = nonlinear(np.random.default_rng(116), 60)
    folds = fold_of(np.arange(60))
    before = cross_fitted(features, outcome, folds)
    outcome[user] += change
    after = cross_fitted(features, outcome, folds)
    fold_mates = folds == folds[user]
    assert np.array_equal(after[fold_mates], before[fold_mates])  # to the bit


def test_an_outcome_does_reach_the_users_of_other_folds() -> None:
    features, outcome = nonlinear(np.random.default_rng(116), 60)
    folds = fold_of(np.arange(60))
    before = cross_fitted(features, outcome, folds)
    outcome[0] += 100.0
    others = folds != folds[0]
    assert not np.array_equal(cross_fitted(features, outcome, folds)[others], before[others])


def test_a_model_of_ones_own_sees_the_other_folds_and_no_one_else() -> None:
    seen: list[list[float]] = []

    def recording(features: Matrix, outcome: Vector) -> Predict:
        seen.append(features[:, 0].tolist())
        return lambda others: 2.0 * others[:, 0]

    features, folds = np.arange(6.0)[:, None], np.array([0, 1, 2, 0, 1, 2])
    predictions = cross_fitted(features, np.zeros(6), folds, fit=recording)
    assert seen == [[1.0, 2.0, 4.0, 5.0], [0.0, 2.0, 3.0, 5.0], [0.0, 1.0, 3.0, 4.0]]
    assert predictions.tolist() == [-3.0, -3.0, -3.0, 3.0, 3.0, 3.0]


# Harmless features


@pytest.mark.parametrize("useless", [0.0, 1e12, np.nan])
def test_a_constant_or_missing_column_changes_nothing(useless: float) -> None:
    features, outcome = nonlinear(np.random.default_rng(117), 500)
    folds = fold_of(np.arange(500))
    without = cross_fitted(features, outcome, folds)
    found = cross_fitted(np.column_stack([features, np.full(500, useless)]), outcome, folds)
    # The penalties stand in units of the mean eigenvalue, so that the grid shifts a little with the columns.
    assert np.corrcoef(found, without)[0, 1] > 0.999


@pytest.mark.parametrize("features", [np.full((50, 2), np.nan), np.ones((50, 3)), np.empty((50, 0))])
def test_features_that_tell_nothing_predict_nothing(features: Matrix) -> None:
    outcome = np.random.default_rng(118).standard_normal(50)
    assert cross_fitted(features, outcome, fold_of(np.arange(50))).tolist() == [0.0] * 50


def test_what_is_missing_may_tell_something() -> None:
    rng = np.random.default_rng(119)
    features = rng.standard_normal((2_000, 1))
    absent = rng.random(2_000) < 0.5
    features[absent] = np.nan
    outcome = 3.0 * absent + rng.standard_normal(2_000)
    predictions = cross_fitted(features, outcome, fold_of(np.arange(2_000)))
    assert saved(outcome, predictions, alternating(2_000)) > 0.65  # of 9/4 in 9/4 + 1


def test_one_user_far_out_does_not_make_predictions_run_away() -> None:
    features, outcome = nonlinear(np.random.default_rng(120), 1_000)
    features[0] = [1e9, 1e6, 1e6]
    assert np.abs(cross_fitted(features, outcome, fold_of(np.arange(1_000)))).max() < 50.0


@pytest.mark.parametrize("seed", range(10))
def test_the_penalty_is_the_one_of_the_least_cross_validation_score(seed: int) -> None:
    # Two features standardised: the score is written out with the hat matrix for every penalty on the grid.
    rng = np.random.default_rng(seed)
    features = -1.0 - rng.exponential(size=(30, 2))  # below 0, so no logarithms
    outcome = features[:, 0] + rng.standard_normal(30)
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    squares = scaled**2
    columns = np.hstack([scaled, (squares - squares.mean(axis=0)) / squares.std(axis=0)])
    centred = outcome - outcome.mean()
    # Four columns of logarithms and indicators are constant and count as eigenvalues of 0.
    unit = np.trace(columns.T @ columns) / 8
    scores = []
    for penalty in np.geomspace(1e-4, 1e6, 41) * unit:
        hat = columns @ np.linalg.solve(columns.T @ columns + penalty * np.eye(4), columns.T)
        residual = centred - hat @ centred
        scores.append((30 * residual @ residual / (29.0 - np.trace(hat)) ** 2, outcome.mean() + hat @ centred))
    best = min(scores, key=lambda pair: pair[0])[1]
    assert ridge(features, outcome)(features) == pytest.approx(best, rel=1e-9)


# Folds


def test_folds_are_even_and_depend_on_the_user_alone() -> None:
    users = np.arange(100_000)
    folds = fold_of(users)
    # 99.9 % of Binomial(100,000, .2) over five folds lie within 4 standard deviations of 126.
    assert np.abs(np.bincount(folds, minlength=5) - 20_000).max() < 510
    assert np.array_equal(fold_of(users[::-1])[::-1], folds)
    assert np.array_equal(fold_of(users[500:600]), folds[500:600])


def test_folds_do_not_follow_the_numbering_of_users() -> None:
    folds = fold_of(10 * np.arange(10_000))
    assert np.bincount(folds, minlength=5).min() > 1_800
    assert abs(np.corrcoef(folds[1:], folds[:-1])[0, 1]) < 0.04


def test_the_mix_is_splitmix64s() -> None:
    # The first outputs of SplitMix64 seeded with 0 and with 1234567, as published with the reference code.
    numbers = np.array([0, 1234567])
    first = [0xE220A8397B1DCDAF, 6457827717110365317]
    for folds in (5, 1_000_003):
        padded = np.concatenate([numbers, np.arange(folds)]) if folds > 2 else numbers
        assert fold_of(padded, folds=folds)[:2].tolist() == [each % folds for each in first]


def test_fewer_users_than_folds_are_refused() -> None:
    with pytest.raises(ValueError, match="3 users for 5 folds; there must be at least one user a fold"):
        fold_of(np.arange(3))


@pytest.mark.parametrize(
    ("users", "folds", "message"),
    [
        (np.arange(9), 1, "folds is 1; it must be at least 2"),
        (np.arange(9.0), 5, "users are float64"),
        (np.ones((3, 3), dtype=int), 5, r"of shape \(3, 3\)"),
    ],
)
def test_what_has_no_folds_is_refused(users: NDArray[np.int64], folds: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fold_of(users, folds=folds)


# Refusals


def giving(predictions: list[float]) -> Fit:
    return lambda features, outcome: lambda others: np.array(predictions)


@pytest.mark.parametrize(
    ("features", "outcome", "folds", "fit", "message"),
    [
        (np.ones(4), np.ones(4), [0, 1, 0, 1], ridge, r"features \(4,\), outcome \(4,\) and folds \(4,\)"),
        (np.ones((4, 1)), np.ones(3), [0, 1, 0, 1], ridge, r"outcome \(3,\)"),
        (np.ones((4, 1)), np.ones(4), [0, 1], ridge, r"folds \(2,\)"),
        (np.ones((4, 1)), np.ones(4), [0.0, 1.0, 0.0, 1.0], ridge, "folds are float64"),
        (np.ones((4, 1)), np.ones(4), [2, 2, 2, 2], ridge, "the users are in 1 fold; at least 2 are required"),
        (np.full((4, 1), np.inf), np.ones(4), [0, 1, 0, 1], ridge, "only a missing feature may be NaN"),
        (np.ones((4, 1)), np.full(4, np.nan), [0, 1, 0, 1], ridge, "only a missing feature may be NaN"),
        (np.ones((4, 1)), np.ones(4), [0, 1, 0, 1], giving([1.0]), r"predictions of shape \(1,\); it must give one"),
        (np.ones((4, 1)), np.ones(4), [0, 1, 0, 1], giving([1.0, np.nan]), "gave 1 predictions that are not finite"),
    ],
)
def test_what_cannot_be_predicted_is_refused(
    features: Matrix, outcome: Vector, folds: list[int], fit: Fit, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        cross_fitted(features, outcome, np.array(folds), fit=fit)
