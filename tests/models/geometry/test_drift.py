"""What masks and alignment do, where the answer is known."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from models.alignment import alignment_loss
from models.errors import ModelError
from models.geometry import Groups, contraction
from models.geometry.drift import centroid_distance, centroids, curvature, fitted_anchors, mask_variance
from models.geometry.latent import reconstruction, silent
from models.multi_vae import Posterior, multinomial_loss
from models.rows import Rows
from tests.models.geometry.made import CPU, GROUPS, chance, some_rows, untrained


@pytest.mark.parametrize(("bend", "pull"), [(1.2, 0.3), (0.3, 8.0), (20.0, 0.04)])
def test_where_the_reconstruction_is_quadratic_alignment_contracts_by_tau_and_tau_squared(
    bend: float, pull: float
) -> None:
    """Proposition 3.2, with alignment's own loss: bend / 2 ||mu - m||^2 is a reconstruction of curvature `bend`."""
    rows, anchors = some_rows(), torch.randn(12, 3, generator=chance(1))
    weights = rows.mean_weights()
    alone = torch.randn(7, 5, 3, generator=chance(2))  # (masks, users, latent), the best means without alignment
    means = alone.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([means], max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        aligned = [
            alignment_loss(Posterior(mean, torch.zeros(5, 3)), rows, weights, anchors, "sum").sum() for mean in means
        ]
        total = 0.5 * bend * (means - alone).square().sum() + pull * torch.stack(aligned).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    tau, centre = contraction(bend, pull), centroids(rows, weights, anchors)
    torch.testing.assert_close(mask_variance(means.detach()), tau**2 * mask_variance(alone), rtol=1e-3, atol=1e-6)
    distance = centroid_distance(means.detach(), centre)
    torch.testing.assert_close(distance, tau * centroid_distance(alone, centre), rtol=1e-3, atol=1e-6)


def test_without_pull_nothing_contracts_and_without_curvature_nothing_is_said() -> None:
    assert contraction(0.7, 0.0) == 1.0
    with pytest.raises(ModelError, match=r"the curvature is 0.0; it must be above 0"):
        contraction(0.0, 0.3)


def test_the_variance_across_masks_is_the_trace_of_the_covariance() -> None:
    means = torch.randn(9, 2, 3, generator=chance())
    expected = [np.trace(np.cov(means[:, user].T.numpy())) for user in range(2)]
    np.testing.assert_allclose(mask_variance(means), expected, rtol=1e-5)


def test_the_distance_to_the_centroid_is_a_mean_over_masks() -> None:
    means = torch.tensor([[[3.0, 4.0]], [[0.0, 1.0]]])
    assert centroid_distance(means, torch.zeros(1, 2)).tolist() == [3.0]


def test_fitted_anchors_are_where_the_alignment_has_no_gradient() -> None:
    rows, means = some_rows(), torch.randn(4, 5, 3, generator=chance())
    weights = rows.mean_weights() * torch.rand(len(rows.items), generator=chance(1))
    anchors = fitted_anchors(means, rows, weights, 12).requires_grad_()
    losses = [alignment_loss(Posterior(mean, torch.zeros(5, 3)), rows, weights, anchors, "sum").sum() for mean in means]
    torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
    assert anchors.grad is not None
    torch.testing.assert_close(anchors.grad, torch.zeros(12, 3), atol=1e-5, rtol=0)


def test_an_item_without_users_has_its_fitted_anchor_at_the_origin() -> None:
    rows = Rows.of(csr_matrix(np.array([[1, 0]], dtype=np.float32)), CPU)
    assert fitted_anchors(torch.ones(2, 1, 3), rows, rows.mean_weights(), 2).tolist() == [[1.0] * 3, [0.0] * 3]


def test_the_curvature_is_that_of_the_whole_hessian() -> None:
    latent, rows = untrained(prior=0.2), some_rows()
    points = latent.posterior(rows).mean

    def of_user(user: int) -> Tensor:
        own = rows.take(torch.tensor([user]))
        return torch.autograd.functional.hessian(  # type: ignore[no-untyped-call, no-any-return]
            lambda point: reconstruction(latent.decode(point[None]), own).sum(), points[user]
        )

    eigenvalues = torch.stack([torch.linalg.eigvalsh(of_user(user)) for user in range(5)])
    found = curvature(latent, rows, probes=4_000, noise=chance(), tick=silent)
    # Hutchinson's error is that of a mean of 4,000: far below 2 %.
    assert found.mean == pytest.approx(float(eigenvalues.mean()) + 0.2, rel=0.02)
    largest = eigenvalues.gather(1, eigenvalues.abs().argmax(dim=1, keepdim=True)).mean()
    assert found.top == pytest.approx(float(largest) + 0.2, rel=0.01)


def test_the_prior_bends_every_direction_alike() -> None:
    alone, with_prior = (
        curvature(untrained(prior=prior), some_rows(), probes=2, noise=chance(), tick=silent) for prior in (0.0, 0.2)
    )
    assert with_prior.mean - alone.mean == pytest.approx(0.2)
    assert with_prior.top - alone.top == pytest.approx(0.2)


def test_the_reconstruction_that_is_differentiated_twice_is_the_one_that_is_trained_on() -> None:
    logits = torch.randn(5, 12, generator=chance())
    torch.testing.assert_close(reconstruction(logits, some_rows()), multinomial_loss(logits, some_rows()))


def test_groups_need_one_name_more_than_ends() -> None:
    assert GROUPS.of(np.array([4, 5, 10, 11, 50, 51, 100, 101])).tolist() == [0, 1, 1, 2, 2, 3, 3, 4]
    with pytest.raises(ModelError, match="one fewer than names"):
        Groups((5, 3), ("a", "b", "c"))
