"""Multi-VAE's terms against the same terms written densely."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from scipy.sparse import csr_matrix

from models.multi_vae import MultiVaeConfig, MultiVaeNetwork, Posterior, annealed, bag, mask, multinomial_loss
from models.rows import Rows

CPU = torch.device("cpu")


def some_matrix() -> csr_matrix:
    rng = np.random.default_rng(0)
    dense = (rng.random((6, 40)) < 0.3).astype(np.float32)
    dense[2] = 0
    return csr_matrix(dense)


def dense(matrix: csr_matrix) -> torch.Tensor:
    return torch.from_numpy(matrix.toarray())


def test_the_positives_only_loss_and_its_gradient_are_those_of_the_dense_one() -> None:
    matrix = some_matrix()
    logits = 3 * torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    upstream = torch.arange(1.0, 7.0)
    loss = multinomial_loss(ours, Rows.of(matrix, CPU))
    expected = -(F.log_softmax(theirs, dim=1) * dense(matrix)).sum(dim=1)
    torch.testing.assert_close(loss, expected)
    (loss * upstream).sum().backward()  # type: ignore[no-untyped-call]
    (expected * upstream).sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_logits_far_apart_do_not_overflow_the_loss() -> None:
    matrix = csr_matrix(np.array([[1, 0, 0]], dtype=np.float32))
    loss = multinomial_loss(torch.tensor([[-1000.0, 1000.0, 1000.0]]), Rows.of(matrix, CPU))
    torch.testing.assert_close(loss, torch.tensor([2000 + np.log(2)], dtype=torch.float32))


def test_bfloat16_logits_give_a_float32_loss_and_a_bfloat16_gradient() -> None:
    matrix = some_matrix()
    exact = torch.randn(6, 40, generator=torch.Generator().manual_seed(0)).bfloat16().float()
    logits = exact.bfloat16().requires_grad_()
    loss = multinomial_loss(logits, Rows.of(matrix, CPU))
    torch.testing.assert_close(loss, multinomial_loss(exact, Rows.of(matrix, CPU)))
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.dtype == torch.bfloat16


def test_the_sparse_first_layer_is_the_dense_one() -> None:
    matrix = some_matrix()
    config = MultiVaeConfig(hidden=8, latent=3)
    network = MultiVaeNetwork(40, config, torch.Generator().manual_seed(0))
    posterior = network.encode(Rows.of(matrix, CPU))
    hidden = (F.normalize(dense(matrix)) @ network.item_rows + network.item_bias).tanh()
    mean, log_variance = network.to_posterior(hidden).chunk(2, dim=1)
    torch.testing.assert_close(posterior.mean, mean)
    torch.testing.assert_close(posterior.log_variance, log_variance)


def test_without_noise_the_decoder_gets_the_mean() -> None:
    network = MultiVaeNetwork(40, MultiVaeConfig(hidden=8, latent=3), torch.Generator().manual_seed(0))
    logits, posterior = network(Rows.of(some_matrix(), CPU))
    torch.testing.assert_close(logits, network.to_logits(network.from_latent(posterior.mean).tanh()))


def test_the_mask_keeps_its_share_and_the_expected_input() -> None:
    drawn = mask(torch.empty(100_000), 0.4, torch.Generator().manual_seed(0))
    assert set(drawn.tolist()) == {0.0, 2.5}
    # Five standard deviations of the share of 100,000 draws with probability 0.4.
    assert abs((drawn > 0).float().mean() - 0.4) < 5 * (0.4 * 0.6 / 100_000) ** 0.5


def test_the_divergence_is_that_of_two_normals() -> None:
    chance = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(2, 4, 3, generator=chance)
    normal = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    standard = torch.distributions.Normal(0.0, 1.0)
    expected = torch.distributions.kl_divergence(normal, standard).sum(dim=1)
    torch.testing.assert_close(Posterior(mean, log_variance).kl(), expected)


@pytest.mark.parametrize(("epochs_done", "weight"), [(0.0, 0.0), (50.0, 0.1), (100.0, 0.2), (500.0, 0.2)])
def test_the_weight_of_the_divergence_grows_to_its_most_and_stays(epochs_done: float, weight: float) -> None:
    config = MultiVaeConfig(beta_max=0.2, anneal_epochs=100)
    assert annealed(config, torch.tensor(epochs_done)).item() == pytest.approx(weight)


def test_rows_taken_out_of_order_are_those_rows() -> None:
    matrix = some_matrix()
    picked = Rows.of(matrix, CPU).take(torch.tensor([4, 2, 0]))
    table = torch.eye(40)
    summed = bag(picked, table, torch.ones(len(picked.items)))
    torch.testing.assert_close(summed, dense(matrix)[[4, 2, 0]])
    assert picked.lengths.tolist() == np.diff(matrix.indptr)[[4, 2, 0]].tolist()
