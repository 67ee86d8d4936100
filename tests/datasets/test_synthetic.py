"""The seeded world."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from ab_platform.datasets.source import BadRows
from ab_platform.datasets.synthetic import Synthetic, World
from ab_platform.errors import DataError
from ab_platform.lineage import Title
from tests.datasets.layouts import rows_of

SMALL = World(users=300, titles=120, interactions=9_000)


def rows(world: World) -> list[tuple[str, str, float | None, int | None]]:
    return [row for batch in Synthetic(world).batches(BadRows(skip=False)) for row in rows_of(batch)]


def titles(world: World) -> list[Title]:
    return list(Synthetic(world).titles(BadRows(skip=False)))


def ignore(done: int) -> None:
    return


def test_the_same_parameters_give_the_same_rows_and_another_seed_others() -> None:
    assert rows(SMALL) == rows(SMALL)
    assert titles(SMALL) == titles(SMALL)
    other = replace(SMALL, seed=1)
    assert rows(SMALL) != rows(other)
    assert Synthetic(SMALL).content_hash(ignore) == Synthetic(SMALL).content_hash(ignore)
    assert Synthetic(SMALL).content_hash(ignore) != Synthetic(other).content_hash(ignore)


def test_users_titles_and_interactions_are_as_many_as_asked_for() -> None:
    found = rows(SMALL)
    assert len({user for user, _, _, _ in found}) == SMALL.users
    assert len({(user, title) for user, title, _, _ in found}) == len(found) == Synthetic(SMALL).size
    assert 0.9 * SMALL.interactions <= len(found) <= SMALL.interactions
    assert min(np.unique([user for user, _, _, _ in found], return_counts=True)[1]) >= SMALL.least


def test_each_title_has_a_name_of_its_own_and_one_to_three_genres() -> None:
    found = titles(SMALL)
    assert len({title.title for title in found}) == SMALL.titles
    assert {len(title.genres) for title in found} == {1, 2, 3}
    assert {title for _, title, _, _ in rows(SMALL)} <= {title.title_id for title in found}


def test_ratings_are_1_to_5_and_more_than_half_are_likes() -> None:
    ratings = np.array([rating for _, _, rating, _ in rows(SMALL)])
    assert set(ratings.tolist()) == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert 0.5 < (ratings >= 4).mean() < 0.8


def test_times_lie_within_the_days_and_ascend_for_each_user() -> None:
    found = rows(SMALL)
    at = np.array([moment for _, _, _, moment in found])
    assert at.min() >= SMALL.starts_at
    assert at.max() < SMALL.starts_at + SMALL.days * 86_400
    same_user = np.array([one[0] == other[0] for one, other in pairwise(found)])
    assert (np.diff(at)[same_user] >= 0).all()


def test_appeal_and_activity_have_long_tails() -> None:
    for column in (0, 1):
        counts = np.sort(np.unique([row[column] for row in rows(World())], return_counts=True)[1])[::-1]
        tenth = len(counts) // 10
        assert counts[:tenth].sum() > 0.25 * counts.sum()
        assert counts[-tenth:].sum() < 0.05 * counts.sum()


def test_a_personalised_arm_finds_far_more_than_popularity() -> None:
    likes = _likes(World(users=800, titles=300, interactions=40_000))
    train, fold_in, held_out = _split(likes, seed=0)
    popularity = np.broadcast_to(train.sum(axis=0), fold_in.shape)
    personal = fold_in @ _ease(train, penalty=100.0)
    assert _recall_at_20(personal, fold_in, held_out) > 1.5 * _recall_at_20(popularity, fold_in, held_out)


def _likes(world: World) -> Any:
    """Return who liked what, (users, titles), ones and zeros."""
    matrix = np.zeros((world.users, world.titles))
    for user, title, rating, _ in rows(world):
        matrix[int(user[1:]) - 1, int(title[1:]) - 1] = rating is not None and rating >= 4
    return matrix


def _split(likes: Any, *, seed: int) -> tuple[Any, Any, Any]:
    """Keep every fifth user for the test, with a fifth of their likes held out."""
    test = likes[::5]
    held_out = test * (np.random.default_rng(seed).random(test.shape) < 0.2)
    judged = held_out.any(axis=1)
    return np.delete(likes, np.s_[::5], axis=0), (test - held_out)[judged], held_out[judged]


def _ease(train: Any, *, penalty: float) -> Any:
    """Fit the closed form of Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", 2019, equation 8."""
    inverse = np.linalg.inv(train.T @ train + penalty * np.eye(train.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights


def _recall_at_20(scores: Any, fold_in: Any, held_out: Any) -> float:
    top = np.argsort(-np.where(fold_in > 0, -np.inf, scores), axis=1)[:, :20]
    found = np.take_along_axis(held_out, top, axis=1).sum(axis=1)
    return float((found / np.minimum(held_out.sum(axis=1), 20)).mean())


@pytest.mark.parametrize(
    ("world", "problem"),
    [
        ({"titles": 0}, r"titles is 0; it must be 1 to 4608, the names there are"),
        ({"users": 0}, r"users is 0 and days is 180; both must be at least 1"),
        (
            {"interactions": 1_000_000},
            r"1000000 interactions of 2000 users are 500 each; it must be 12 \(least\) to 400",
        ),
    ],
)
def test_a_world_that_cannot_be_is_refused(world: dict[str, int], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        replace(World(), **world)
