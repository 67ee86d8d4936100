"""Users in the plane."""

import numpy as np
import pytest

from models.errors import ModelError
from models.geometry import cohorts, project


def test_cohorts_are_the_users_nearest_to_few_some_and_many() -> None:
    lengths = np.array([5, 6, 7, 48, 50, 53, 300, 340, 360, 900])
    found = cohorts(lengths, 2)
    assert [cohort.rows.tolist() for cohort in found] == [[0, 1], [3, 4], [7, 8]]
    assert [(cohort.name, cohort.least, cohort.most) for cohort in found] == [
        ("few", 5, 6),
        ("some", 48, 50),
        ("many", 340, 360),
    ]


def test_in_small_data_cohorts_are_quantiles_and_share_no_user() -> None:
    found = cohorts(np.arange(10, 22), 100)
    assert [(cohort.least, cohort.most) for cohort in found] == [(10, 13), (14, 17), (18, 21)]
    alike = cohorts(np.full(12, 7), 100)
    assert sorted(np.concatenate([cohort.rows for cohort in alike]).tolist()) == list(range(12))
    with pytest.raises(ModelError, match="2 users make no three cohorts"):
        cohorts(np.array([3, 4]), 1)


def some_views(spread: float) -> np.ndarray:
    """Three masks of 20 users, whose masks lie `spread` apart, in two cohorts that lie far apart."""
    rng = np.random.default_rng(0)
    users = rng.normal(size=(20, 5)) + 50.0 * (np.arange(20) >= 10)[:, None]
    views: np.ndarray = users + spread * rng.normal(size=(3, 20, 5))
    return views


def test_the_layout_repeats_with_its_seed() -> None:
    cohort_of = [0] * 10 + [1] * 10
    first, again = (project(some_views(0.01), cohort_of, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.points, again.points)
    assert first.points.shape == (3, 20, 2)
    assert first.own == first.cohort == 1.0


def test_users_whose_masks_scatter_are_not_their_own_neighbours() -> None:
    own = project(some_views(5.0), [0] * 10 + [1] * 10, seed=0).own
    assert own is not None
    assert own < 0.5


def test_means_that_coincide_are_one_point() -> None:
    found = project(np.ones((1, 6, 4)), [0, 0, 1, 1, 2, 2], seed=0)
    assert not found.points.any()
    assert found.own is None
