"""PIA's term against the sums it stands for, and the propositions that follow from it."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from models.alignment import AlignedNetwork, PiaConfig, alignment_loss, anchor_spread
from models.multi_vae import MultiVaeConfig, MultiVaeNetwork, Posterior
from models.recommender import FitOptions
from models.registry import create
from models.rows import Rows
from tests.models.tastes import SMALL, two_groups

LATENT = 3
CPU = torch.device("cpu")


def some_rows() -> Rows:
    matrix = csr_matrix(np.array([[1, 1, 0, 0, 1], [0, 0, 1, 0, 0], [1, 1, 1, 1, 1]], dtype=np.float32))
    return Rows.of(matrix, CPU)


def some_posterior() -> Posterior:
    chance = torch.Generator().manual_seed(1)
    mean, log_variance = torch.randn(2, 3, LATENT, generator=chance)
    return Posterior(mean, log_variance)


def some_anchors() -> Tensor:
    return torch.randn(5, LATENT, generator=torch.Generator().manual_seed(2))


def items_of(rows: Rows, user: int) -> Tensor:
    return rows.items[rows.offsets[user] : rows.offsets[user + 1]]


def test_the_closed_form_is_the_sum_over_items_of_the_expected_square_distance() -> None:
    rows, posterior, anchors = some_rows(), some_posterior(), some_anchors()
    expected = [
        # E ||z - e||^2 = ||mu - e||^2 + sum of sigma^2, item by item
        ((posterior.mean[user] - anchors[items_of(rows, user)]).square().sum(dim=1)).mean()
        + posterior.log_variance[user].exp().sum()
        for user in range(3)
    ]
    torch.testing.assert_close(alignment_loss(posterior, rows, anchors, "sum"), torch.stack(expected))


def test_the_closed_form_is_what_sampling_gives() -> None:
    rows, posterior, anchors = some_rows(), some_posterior(), some_anchors()
    draws = 40_000
    noise = torch.randn(draws, 3, LATENT, generator=torch.Generator().manual_seed(3))
    points = posterior.mean + noise * (0.5 * posterior.log_variance).exp()
    for user in range(3):
        distances = (points[:, user, None] - anchors[items_of(rows, user)]).square().sum(dim=2).mean(dim=1)
        exact = alignment_loss(posterior, rows, anchors, "sum")[user]
        # Five standard errors of the mean over the draws: one false alarm in 1.7 million.
        assert abs(distances.mean() - exact) < 5 * distances.std() / draws**0.5


def test_it_splits_into_centroid_and_variance_and_a_constant_of_the_posterior() -> None:
    rows, anchors = some_rows(), some_anchors()
    centroids = torch.stack([anchors[items_of(rows, user)].mean(dim=0) for user in range(3)])
    left_over = []
    for posterior in (some_posterior(), Posterior(torch.zeros(3, LATENT), torch.ones(3, LATENT))):
        split = (posterior.mean - centroids).square().sum(dim=1) + posterior.log_variance.exp().sum(dim=1)
        left_over.append(alignment_loss(posterior, rows, anchors, "sum") - split)
    torch.testing.assert_close(left_over[0], left_over[1])  # proposition 3.1


@pytest.mark.parametrize(("beta", "alignment"), [(0.2, 0.3), (1.0, 8.0)])
def test_without_reconstruction_the_best_variance_is_beta_over_beta_plus_two_lambda(
    beta: float, alignment: float
) -> None:
    rows, anchors = some_rows(), some_anchors()
    log_variance = torch.zeros(3, LATENT, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_variance], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        posterior = Posterior(torch.zeros(3, LATENT), log_variance)
        total = (beta * posterior.kl() + alignment * alignment_loss(posterior, rows, anchors, "sum")).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    best = torch.full((3, LATENT), beta / (beta + 2 * alignment))
    torch.testing.assert_close(log_variance.detach().exp(), best, rtol=1e-3, atol=0)


def test_the_mean_over_dimensions_is_the_sum_divided_by_their_number() -> None:
    rows, posterior, anchors = some_rows(), some_posterior(), some_anchors()
    total = alignment_loss(posterior, rows, anchors, "sum")
    torch.testing.assert_close(alignment_loss(posterior, rows, anchors, "mean"), total / LATENT)


def test_a_user_without_items_is_drawn_to_the_origin() -> None:
    rows = Rows.of(csr_matrix(np.zeros((3, 5), dtype=np.float32)), CPU)
    posterior = some_posterior()
    expected = (posterior.mean.square() + posterior.log_variance.exp()).sum(dim=1)
    torch.testing.assert_close(alignment_loss(posterior, rows, some_anchors(), "sum"), expected)


def test_anchors_get_gradient_from_the_alignment_alone() -> None:
    config = PiaConfig(hidden=4, latent=LATENT, alignment=0.0)
    chance = torch.Generator().manual_seed(0)
    network = AlignedNetwork(MultiVaeNetwork(5, config, chance), 5, config, chance)
    terms = network.losses(some_rows(), 1.0, torch.Generator().manual_seed(0))
    sum(term.value for name, term in terms.items() if name != "alignment").backward()  # type: ignore[union-attr]
    assert network.anchors.grad is None


def test_with_weight_zero_it_is_multi_vae_to_the_bit() -> None:
    train = two_groups()
    plain, aligned = create("multi_vae", SMALL["multi_vae"]), create("pia", {**SMALL["pia"], "alignment": 0.0})
    for recommender in (plain, aligned):
        recommender.fit(train, None, FitOptions(threads=1))
    np.testing.assert_array_equal(aligned.score(train.matrix), plain.score(train.matrix))


def test_alignment_pulls_the_masked_views_of_a_user_together() -> None:
    """Proposition 3.2: the variance of the mean across masks shrinks, relative to its spread over users."""
    train = two_groups()

    def drift(alignment: float) -> float:
        recommender = create("pia", {**SMALL["pia"], "alignment": alignment, "beta_max": 0.0})
        recommender.fit(train, None, FitOptions(threads=1))
        network = MultiVaeNetwork(len(train.items), MultiVaeConfig(hidden=16, latent=4), torch.Generator())
        weights = {name.removeprefix("vae."): array for name, array in recommender.arrays().items() if "vae." in name}
        network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
        noise = torch.Generator().manual_seed(0)
        with torch.no_grad():
            views = torch.stack([network.encode(Rows.of(train.matrix, CPU), noise).mean for _ in range(50)])
        return float(views.var(dim=0).sum() / views.mean(dim=0).var(dim=0).sum())

    assert drift(10.0) < 0.5 * drift(0.0)


def test_the_spread_of_the_anchors_is_logged_and_is_zero_when_they_collapse() -> None:
    recommender = create("pia", {**SMALL["pia"], "epochs": 2})
    report = recommender.fit(two_groups(), None, FitOptions(threads=1))
    assert report.history[0].losses["anchor_spread"] > 0
    assert anchor_spread(torch.ones(5, LATENT)) == 0
    assert anchor_spread(torch.tensor([[3.0, 0.0], [-3.0, 0.0]])) == 3
