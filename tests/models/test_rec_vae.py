"""RecVAE's terms against the same terms written densely, and whose turn it is to learn."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, Normal

from models.learner import Term
from models.multi_vae import Posterior, mask
from models.rec_vae import DenseEncoder, RecVae, RecVaeConfig, RecVaeNetwork, divergence, log_normal, log_prior
from models.recommender import EpochReport, FitOptions
from models.rows import Rows
from tests.models.tastes import two_groups

CPU = torch.device("cpu")
START = torch.tensor(0.0)  # of training, in epochs
ITEMS = 40
TRAIN = two_groups()
QUICK = RecVaeConfig(hidden=8, latent=3, batch=40, epochs=2, learning_rate=0.01)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_matrix() -> csr_matrix:
    dense = (np.random.default_rng(0).random((6, ITEMS)) < 0.3).astype(np.float32)
    dense[2] = 0
    return csr_matrix(dense)


def some_rows() -> Rows:
    return Rows.of(some_matrix(), CPU)


def network(config: RecVaeConfig = QUICK) -> RecVaeNetwork:
    return RecVaeNetwork(ITEMS, config, chance())


def posteriors(count: int, latent: int) -> tuple[Posterior, Posterior]:
    own, old = (Posterior(*torch.randn(2, count, latent, generator=chance(seed))) for seed in (1, 2))
    return own, old


def densely_encoded(encoder: DenseEncoder, inputs: Tensor) -> Posterior:
    """Write the five layers out, as the source's program has them."""

    def swish(x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)

    two, three, four, five = encoder.layers
    norm_1, norm_2, norm_3, norm_4, norm_5 = encoder.norms
    h1 = norm_1(swish(inputs @ encoder.item_rows + encoder.item_bias))
    h2 = norm_2(swish(two(h1) + h1))
    h3 = norm_3(swish(three(h2) + h1 + h2))
    h4 = norm_4(swish(four(h3) + h1 + h2 + h3))
    h5 = norm_5(swish(five(h4) + h1 + h2 + h3 + h4))
    return Posterior(*encoder.to_posterior(h5).chunk(2, dim=1))


def dense_rows() -> Tensor:
    return torch.from_numpy(some_matrix().toarray())


def test_the_sparse_encoder_is_the_dense_one() -> None:
    net = network()
    posterior = net.encode(some_rows())
    expected = densely_encoded(net.encoder, F.normalize(dense_rows()))
    torch.testing.assert_close(posterior.mean, expected.mean)
    torch.testing.assert_close(posterior.log_variance, expected.log_variance)


def test_with_noise_the_encoder_sees_a_masked_history() -> None:
    net, rows = network(), some_rows()
    seen = torch.zeros(6, ITEMS)
    seen[rows.users, rows.items] = mask(rows.users, 0.5, chance(3))
    expected = densely_encoded(net.encoder, F.normalize(dense_rows()) * seen)
    torch.testing.assert_close(net.encode(rows, chance(3)).mean, expected.mean)


def test_the_layer_norms_have_the_wide_epsilon_of_the_source_and_start_neutral() -> None:
    for norm in network().encoder.norms:
        assert norm.eps == 0.1
        assert [{*values.tolist()} for values in norm.parameters()] == [{1.0}, {0.0}]


def test_dense_layers_start_within_one_over_the_root_of_their_inputs() -> None:
    net = network(RecVaeConfig(hidden=64, latent=16))
    deep = net.encoder.layers[0].get_parameter("weight")
    for weights, inputs in ((net.encoder.item_rows, ITEMS), (deep, 64), (net.decoder.bias, 16)):
        assert 0.8 * inputs**-0.5 < weights.abs().max() <= inputs**-0.5


def test_the_prior_mixes_three_normals_in_each_dimension() -> None:
    _, old = posteriors(5, 3)
    points = 3 * torch.randn(5, 3, generator=chance(3))
    zero = torch.zeros(5, 3)
    means = torch.stack([zero, old.mean, zero], dim=-1)
    deviations = torch.stack([zero, old.log_variance, zero + 10], dim=-1).mul(0.5).exp()
    mixture = MixtureSameFamily(Categorical(torch.tensor([0.15, 0.75, 0.1])), Normal(means, deviations))
    torch.testing.assert_close(log_prior(points, old), mixture.log_prob(points))  # type: ignore[no-untyped-call]


def test_one_point_estimates_the_divergence_without_bias() -> None:
    own, old = posteriors(1, 1)
    grid = torch.linspace(-60, 60, 200_001)[:, None]
    wide_old = Posterior(old.mean.expand(len(grid), 1), old.log_variance.expand(len(grid), 1))
    ratio = log_normal(grid, own.mean, own.log_variance) - log_prior(grid, wide_old)
    exact = torch.trapezoid((log_normal(grid, own.mean, own.log_variance).exp() * ratio)[:, 0], grid[:, 0])
    draws = 40_000
    many, many_old = (Posterior(*(part.expand(draws, 1) for part in (p.mean, p.log_variance))) for p in (own, old))
    estimates = divergence(many.sample(chance(4)), many, many_old)
    # Five standard errors of the mean over the draws: one false alarm in 1.7 million.
    assert abs(estimates.mean() - exact) < 5 * estimates.std() / draws**0.5


def test_the_divergence_is_summed_over_dimensions() -> None:
    own, old = posteriors(5, 3)
    points = own.sample(chance(3))
    each = [
        divergence(points[:, [d]], *(Posterior(p.mean[:, [d]], p.log_variance[:, [d]]) for p in (own, old)))
        for d in range(3)
    ]
    torch.testing.assert_close(divergence(points, own, old), torch.stack(each).sum(dim=0))


def test_the_divergence_weighs_gamma_for_each_item_of_the_user() -> None:
    net, rows = network(RecVaeConfig(hidden=8, latent=3, gamma=0.07)), some_rows()
    terms, posterior = net.elbo(rows, START, chance(5))
    noise = chance(5)
    mask(rows.users, 0.5, noise)
    points = posterior.sample(noise)
    old = densely_encoded(net.old_encoder, F.normalize(dense_rows()))
    expected = rows.lengths * divergence(points, posterior, old)
    torch.testing.assert_close(terms["kl"].value, expected.mean())
    assert terms["kl"].weight == 0.07


def test_both_passes_have_the_multinomial_likelihood_of_the_whole_history() -> None:
    net, rows = network(), some_rows()

    def likelihood(points: Tensor) -> Tensor:
        return -(F.log_softmax(net.decoder(points), dim=1) * dense_rows()).sum(dim=1).mean()

    noise = chance(5)
    masked = net.encode(rows, noise).sample(noise)
    torch.testing.assert_close(net.losses(rows, START, chance(5))["reconstruction"].value, likelihood(masked))
    whole = net.encode(rows).sample(chance(5))
    torch.testing.assert_close(net.decoder_losses(rows, START, chance(5))["reconstruction"].value, likelihood(whole))


def test_an_epoch_is_three_passes_of_the_encoder_and_one_of_the_decoder() -> None:
    assert [each.name for each in network().passes(1)] == ["encoder"] * 3 + ["decoder"]
    more = network(RecVaeConfig(hidden=8, latent=3, encoder_passes=1, decoder_passes=2))
    assert [each.name for each in more.passes(1)] == ["encoder", "decoder", "decoder"]


class Watched(RecVaeNetwork):
    """Keeps what the weights are when the prior takes up the encoder."""

    def remember(self) -> None:
        super().remember()
        self.between = {name: tensor.clone() for name, tensor in self.state_dict().items()}


class WatchedArm(RecVae):
    def build(self, items: int, chance: torch.Generator) -> Watched:
        self.network = Watched(items, self.config, chance)
        self.first = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        return self.network


def test_each_pass_changes_only_its_part_and_the_prior_takes_up_the_encoder_between() -> None:
    arm = WatchedArm(RecVaeConfig(hidden=8, latent=3, batch=40, epochs=1, learning_rate=0.01))
    arm.fit(TRAIN, None, FitOptions(threads=1))
    last = arm.network.state_dict()
    for name, between in arm.network.between.items():
        part = name.partition(".")[0]
        assert torch.equal(between, arm.first[name]) == (part == "decoder")
        assert torch.equal(last[name], between) == (part != "decoder")
        if part == "old_encoder":
            assert torch.equal(between, last[name.removeprefix("old_")])


def test_an_artifact_goes_without_the_old_encoder() -> None:
    arm = RecVae(QUICK)
    arm.fit(TRAIN, None, FitOptions(threads=1))
    assert {name.partition(".")[0] for name in arm.arrays()} == {"encoder", "decoder"}


def test_no_user_and_no_item_leave_every_term_finite() -> None:
    rows = Rows.of(csr_matrix(np.zeros((2, ITEMS), dtype=np.float32)), CPU)
    net = network()
    terms: list[Term] = [
        *net.losses(rows, START, chance()).values(),
        *net.decoder_losses(rows, START, chance()).values(),
    ]
    assert all(torch.isfinite(term.value) for term in terms)


class KilledError(Exception):
    """Stands for a kill."""


def kill(report: EpochReport) -> None:
    raise KilledError


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_interrupted_training_goes_on_to_the_same_bits(precision: str, tmp_path: Path) -> None:
    def options(**more: object) -> FitOptions:
        return FitOptions(threads=1, precision=precision, **more)  # type: ignore[arg-type]

    whole, parts = WatchedArm(QUICK), WatchedArm(QUICK)
    whole.fit(TRAIN, None, options())
    with pytest.raises(KilledError):
        parts.fit(TRAIN, None, options(checkpoint=tmp_path / "checkpoint", on_epoch=kill))
    parts.fit(TRAIN, None, options(checkpoint=tmp_path / "checkpoint"))
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(parts.network.state_dict()[name], tensor), name
