"""Who can learn from whom: distances and gradients against the same by hand."""

import functools

import numpy as np
import pytest
import torch
from scipy import linalg, stats
from scipy.sparse import csr_matrix
from torch import Tensor

from models.errors import ModelError
from models.geometry import Latent, latent_of, wasserstein_bounds
from models.geometry.latent import reconstruction, silent
from models.geometry.sharing import (
    Bounds,
    Pairs,
    Transfer,
    lipschitz,
    near_and_far,
    random_pairs,
    sharing_radius,
    transfer,
)
from models.multi_vae import Posterior
from models.rows import Rows
from tests.models.geometry.made import CPU, TRAIN, chance, fitted, normals, some_rows, untrained
from tests.models.tastes import histories


def test_identical_posteriors_are_no_distance_apart() -> None:
    one = Posterior(*torch.randn(2, 6, 4, generator=chance()))
    bounds = wasserstein_bounds(one, one)
    assert bounds.low.tolist() == bounds.high.tolist() == [0.0] * 6


def test_the_upper_bound_is_w2_as_it_is_for_any_two_normals() -> None:
    rng = np.random.default_rng(0)
    (mean, other_mean), (deviation, other_deviation) = rng.normal(size=(2, 4)), rng.uniform(0.2, 2.0, (2, 4))
    first, second = np.diag(deviation**2), np.diag(other_deviation**2)
    root = linalg.sqrtm(first)
    trace = np.trace(first + second - 2 * linalg.sqrtm(root @ second @ root))
    one, other = (
        normals([mean.tolist()], [deviation.tolist()]),
        normals([other_mean.tolist()], [other_deviation.tolist()]),
    )
    bounds = wasserstein_bounds(one, other)
    assert float(bounds.high) == pytest.approx(np.sqrt(np.square(mean - other_mean).sum() + trace), rel=1e-5)
    assert float(bounds.low) < float(bounds.high)


def test_w1_lies_between_the_bounds() -> None:
    one, other = normals([[0.0]], [[1.0]]), normals([[0.7]], [[2.5]])
    grid = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)  # quantiles: W1 on the line is their mean distance
    truth = stats.wasserstein_distance(grid, 0.7 + 2.5 * grid)
    bounds = wasserstein_bounds(one, other)
    assert float(bounds.low) < truth < float(bounds.high)


def test_every_pair_is_drawn_where_they_are_few_and_its_distance_is_that_of_unit_histories() -> None:
    matrix = csr_matrix((np.random.default_rng(1).random((6, 20)) < 0.4).astype(np.float32))
    pairs = random_pairs(matrix, 1_000, np.random.default_rng(0))
    assert sorted(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == [
        (u, v) for u in range(6) for v in range(u + 1, 6)
    ]
    units = matrix.toarray() / np.linalg.norm(matrix.toarray(), axis=1, keepdims=True)
    np.testing.assert_allclose(pairs.distance, 1 - (units[pairs.first] * units[pairs.second]).sum(axis=1), atol=1e-6)
    assert (np.diff(pairs.distance) >= 0).all()
    with pytest.raises(ModelError, match="1 users make no pair"):
        random_pairs(matrix[:1], 10, np.random.default_rng(0))


def test_many_pairs_are_drawn_without_repetition_and_the_deciles_are_their_ends() -> None:
    pairs = random_pairs(TRAIN.matrix, 300, np.random.default_rng(0))
    assert len({*zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)}) == 300
    assert (pairs.first < pairs.second).all()
    near, far = near_and_far(pairs)
    assert len(near) == len(far) == 30
    assert near.distance.max() <= pairs.distance[30] < pairs.distance[-31] <= far.distance.min()


@functools.cache
def found_transfer() -> tuple[Rows, Latent, Pairs, Transfer]:
    """What is found of every pair of eight users of an untrained network."""
    rows, latent = some_rows(8), untrained()
    second, first = np.tril_indices(8, -1)
    pairs = Pairs(first, second, np.zeros(len(first)))
    return rows, latent, pairs, transfer(latent, rows, pairs, draws=4, noise=chance(7), tick=silent)


def test_a_step_on_one_user_helps_the_other_where_the_product_of_their_gradients_is_positive() -> None:
    rows, latent, pairs, found = found_transfer()
    posterior, shared = latent.posterior(rows), torch.randn((4, 3), generator=chance(7))
    decoder = [*latent.network.from_latent.parameters(), *latent.network.to_logits.parameters()]  # type: ignore[attr-defined]

    def loss(user: int) -> Tensor:
        points = posterior.mean[user] + shared * (0.5 * posterior.log_variance[user]).exp()
        return reconstruction(latent.decode(points), rows.take(torch.full((4,), user))).mean()

    for u, v, product in zip(pairs.first.tolist(), pairs.second.tolist(), found.product.tolist(), strict=True):
        before, step = loss(u).item(), torch.autograd.grad(loss(v), decoder)
        rate = 1e-4
        with torch.no_grad():
            for parameter, gradient in zip(decoder, step, strict=True):
                parameter -= rate * gradient
            change = loss(u).item() - before
            for parameter, gradient in zip(decoder, step, strict=True):
                parameter += rate * gradient
        assert change == pytest.approx(-rate * product, rel=0.05, abs=1e-5)


def test_content_is_compared_at_the_points_of_the_second_user() -> None:
    rows, latent, pairs, found = found_transfer()
    posterior, shared = latent.posterior(rows), torch.randn((4, 3), generator=chance(7))
    decoder = [*latent.network.from_latent.parameters(), *latent.network.to_logits.parameters()]  # type: ignore[attr-defined]
    u, v = int(pairs.first[3]), int(pairs.second[3])
    points = posterior.mean[v] + shared * (0.5 * posterior.log_variance[v]).exp()
    one, other = (reconstruction(latent.decode(points), rows.take(torch.full((4,), user))).mean() for user in (u, v))
    gradients = torch.autograd.grad(one - other, decoder)
    expected = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    torch.testing.assert_close(found.mismatch[3], expected, rtol=1e-4, atol=0)


def test_within_the_sharing_radius_a_step_helps() -> None:
    rows = Rows.of(histories(("action-00", "action-01"), ("action-00", "action-01"), ("drama-00",)), CPU)
    latent = latent_of(fitted("multi_vae"), TRAIN.matrix)
    pairs = Pairs(np.array([0, 0, 1]), np.array([1, 2, 2]), np.zeros(3))
    found = transfer(latent, rows, pairs, draws=4, noise=chance(), tick=silent)
    posterior = latent.posterior(rows)
    of = [Posterior(posterior.mean[each], posterior.log_variance[each]) for each in (pairs.first, pairs.second)]
    bounds = wasserstein_bounds(*of)
    radius = sharing_radius(found, lipschitz(found.moved, bounds))
    assert (bounds.low < radius).tolist() == [True, False, False]  # the first two have seen the same
    assert found.mismatch[0] == found.moved[0] == 0
    assert found.product[0] == pytest.approx(float(found.norm[0]) ** 2, rel=1e-4)
    assert (found.product[bounds.low < radius] > 0).all()


def test_gradients_of_two_users_differ_by_no_more_than_their_content_and_their_distance() -> None:
    *_, found = found_transfer()
    # ||g_u - g_v||^2 = ||g_u||^2 + ||g_v||^2 - 2 <g_u, g_v>, and so <g_u, g_v> >= ||g_u|| (||g_u|| - D).
    penalty = found.moved + found.mismatch
    assert (found.product >= found.norm * (found.norm - penalty) - 1e-3).all()


def test_the_radius_is_what_the_gradient_leaves_over_the_mismatch() -> None:
    found = Transfer(torch.tensor([5.0, 5.0]), torch.tensor([3.0, 7.0]), torch.ones(2), torch.ones(2))
    assert sharing_radius(found, 4.0).tolist() == [0.5, 0.0]
    assert sharing_radius(found, 0.0).tolist() == [float("inf"), 0.0]
    assert lipschitz(found.moved, wasserstein_bounds(*[Posterior(torch.zeros(2, 3), torch.zeros(2, 3))] * 2)) == 0.0


def test_the_constant_is_the_largest_change_per_distance() -> None:
    apart = Bounds(low=torch.tensor([1.0, 2.0, 0.0]), high=torch.ones(3))
    assert lipschitz(torch.tensor([2.0, 6.0, 0.0]), apart) == 3.0
