"""PIA's term against the sums it stands for, and the propositions that follow from it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from models.alignment import (
    AlignedNetwork,
    PiaConfig,
    PiaRecVaeConfig,
    Reduction,
    aligned,
    alignment_loss,
    anchor_spread,
)
from models.learner import Term
from models.multi_vae import MultiVaeConfig, MultiVaeNetwork, Posterior
from models.rec_vae import RecVaeNetwork
from models.recommender import EpochReport, FitOptions
from models.registry import create
from models.rows import Rows
from tests.models.tastes import SMALL, two_groups

LATENT = 3
CPU = torch.device("cpu")
START = torch.tensor(0.0)  # of training, in epochs


def some_rows() -> Rows:
    matrix = csr_matrix(np.array([[1, 1, 0, 0, 1], [0, 0, 1, 0, 0], [1, 1, 1, 1, 1]], dtype=np.float32))
    return Rows.of(matrix, CPU)


def some_posterior() -> Posterior:
    chance = torch.Generator().manual_seed(1)
    mean, log_variance = torch.randn(2, 3, LATENT, generator=chance)
    return Posterior(mean, log_variance)


def some_anchors() -> Tensor:
    return torch.randn(5, LATENT, generator=torch.Generator().manual_seed(2))


def loss_of(posterior: Posterior, rows: Rows, anchors: Tensor, reduction: Reduction = "sum") -> Tensor:
    """Return the loss where all items weigh the same."""
    return alignment_loss(posterior, rows, rows.mean_weights(), anchors, reduction)


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
    torch.testing.assert_close(loss_of(posterior, rows, anchors), torch.stack(expected))


def test_the_closed_form_is_what_sampling_gives() -> None:
    rows, posterior, anchors = some_rows(), some_posterior(), some_anchors()
    draws = 40_000
    noise = torch.randn(draws, 3, LATENT, generator=torch.Generator().manual_seed(3))
    points = posterior.mean + noise * (0.5 * posterior.log_variance).exp()
    for user in range(3):
        distances = (points[:, user, None] - anchors[items_of(rows, user)]).square().sum(dim=2).mean(dim=1)
        exact = loss_of(posterior, rows, anchors)[user]
        # Five standard errors of the mean over the draws: one false alarm in 1.7 million.
        assert abs(distances.mean() - exact) < 5 * distances.std() / draws**0.5


def test_it_splits_into_centroid_and_variance_and_a_constant_of_the_posterior() -> None:
    rows, anchors = some_rows(), some_anchors()
    centroids = torch.stack([anchors[items_of(rows, user)].mean(dim=0) for user in range(3)])
    left_over = []
    for posterior in (some_posterior(), Posterior(torch.zeros(3, LATENT), torch.ones(3, LATENT))):
        split = (posterior.mean - centroids).square().sum(dim=1) + posterior.log_variance.exp().sum(dim=1)
        left_over.append(loss_of(posterior, rows, anchors) - split)
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
        total = (beta * posterior.kl() + alignment * loss_of(posterior, rows, anchors)).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    best = torch.full((3, LATENT), beta / (beta + 2 * alignment))
    torch.testing.assert_close(log_variance.detach().exp(), best, rtol=1e-3, atol=0)


def test_the_mean_over_dimensions_is_the_sum_divided_by_their_number() -> None:
    rows, posterior, anchors = some_rows(), some_posterior(), some_anchors()
    total = loss_of(posterior, rows, anchors)
    torch.testing.assert_close(loss_of(posterior, rows, anchors, "mean"), total / LATENT)


def test_a_user_without_items_is_drawn_to_the_origin() -> None:
    rows = Rows.of(csr_matrix(np.zeros((3, 5), dtype=np.float32)), CPU)
    posterior = some_posterior()
    expected = (posterior.mean.square() + posterior.log_variance.exp()).sum(dim=1)
    torch.testing.assert_close(loss_of(posterior, rows, some_anchors()), expected)


def test_items_may_weigh_differently_in_the_mean() -> None:
    rows, posterior, anchors = some_rows(), some_posterior(), some_anchors()
    drawn = torch.rand(len(rows.items), generator=torch.Generator().manual_seed(4))
    weights = drawn / torch.zeros(3).index_add(0, rows.users, drawn)[rows.users]
    expected = [
        weights[rows.users == user] @ (posterior.mean[user] - anchors[items_of(rows, user)]).square().sum(dim=1)
        + posterior.log_variance[user].exp().sum()
        for user in range(3)
    ]
    torch.testing.assert_close(alignment_loss(posterior, rows, weights, anchors, "sum"), torch.stack(expected))


def on_multi_vae(**settings: object) -> tuple[AlignedNetwork, MultiVaeNetwork]:
    config = PiaConfig(hidden=4, latent=LATENT, **settings)  # type: ignore[arg-type]
    chance = torch.Generator().manual_seed(0)
    vae = MultiVaeNetwork(5, config, chance)
    return aligned(vae, 5, config, chance), vae


def on_rec_vae(**settings: object) -> tuple[AlignedNetwork, RecVaeNetwork]:
    config = PiaRecVaeConfig(hidden=4, latent=LATENT, **settings)  # type: ignore[arg-type]
    chance = torch.Generator().manual_seed(0)
    vae = RecVaeNetwork(5, config, chance)
    return aligned(vae, 5, config, chance), vae


def both(**settings: object) -> list[AlignedNetwork]:
    return [on_multi_vae(**settings)[0], on_rec_vae(**settings)[0]]


def test_by_inverse_popularity_an_item_weighs_one_over_the_root_of_its_training_users() -> None:
    rows = some_rows()
    users = torch.tensor([2.0, 2.0, 2.0, 1.0, 2.0])  # of each item, in `some_rows`
    for network in both(centroid="inverse_popularity"):
        network.prepare(rows, torch.Generator())
        weights = network.entry_weights(rows)
        for user in range(3):
            expected = users[items_of(rows, user)] ** -0.5
            torch.testing.assert_close(weights[rows.users == user], expected / expected.sum())


def test_an_item_without_a_training_user_weighs_as_with_one() -> None:
    network, _ = on_multi_vae(centroid="inverse_popularity")
    network.prepare(some_rows().take(torch.tensor([0])), torch.Generator())
    assert network.item_weights.tolist() == [1.0] * 5


def test_by_default_all_items_of_a_user_weigh_the_same() -> None:
    rows = some_rows()
    for network in both():
        network.prepare(rows, torch.Generator())
        assert torch.equal(network.entry_weights(rows), rows.mean_weights())


def gradients(network: AlignedNetwork, terms: Sequence[Term]) -> set[str]:
    """Return the names of the parameters that a loss has a gradient in."""
    found = torch.autograd.grad(
        torch.stack([term.value for term in terms]).sum(),
        list(network.parameters()),
        retain_graph=True,
        allow_unused=True,
    )
    return {name for (name, _), each in zip(network.named_parameters(), found, strict=True) if each is not None}


def test_own_anchors_get_gradient_from_the_alignment_alone() -> None:
    for network in both():
        terms = dict(network.losses(some_rows(), torch.tensor(1.0), torch.Generator().manual_seed(0)))
        alignment = terms.pop("alignment")
        assert "anchors" not in gradients(network, list(terms.values()))
        found = gradients(network, [alignment])
        assert "anchors" in found
        assert not any("decoder" in name or "logits" in name for name in found)


def test_own_anchors_learn_with_the_encoder_and_rest_with_the_decoder() -> None:
    network, vae = on_rec_vae()
    for each in network.passes(1):
        trained = {id(parameter) for parameter in each.trains or ()}
        encoder, decoder = ({id(parameter) for parameter in part.parameters()} for part in (vae.encoder, vae.decoder))
        assert trained == (encoder | {id(network.get_parameter("anchors"))} if each.name == "encoder" else decoder)
        assert (each.losses == network.losses) == (each.name == "encoder")
    (only,) = on_multi_vae()[0].passes(1)
    assert only.trains is None


def test_tied_anchors_are_how_each_logit_answers_to_a_step_from_the_origin() -> None:
    network, vae = on_multi_vae(anchors="tied")
    with torch.no_grad():
        vae.from_latent.bias.zero_()
    steps = 1e-3 * torch.eye(LATENT)
    change = (vae.to_logits(vae.from_latent(steps).tanh()) - vae.to_logits.bias) / 1e-3  # (latent, items)
    torch.testing.assert_close(network.points(), change.T, atol=1e-4, rtol=1e-3)
    linear, rec_vae = on_rec_vae(anchors="tied")
    assert linear.points() is rec_vae.decoder.weight


def test_tied_anchors_are_no_weights_and_train_the_decoder() -> None:
    for network, item_rows in zip(both(anchors="tied"), ("to_logits.weight", "decoder.weight"), strict=True):
        assert not any("anchors" in name for name, _ in network.named_parameters())
        terms = network.losses(some_rows(), torch.tensor(1.0), torch.Generator().manual_seed(0))
        assert f"vae.{item_rows}" in gradients(network, [terms["alignment"]])


def test_tied_anchors_are_aligned_in_the_pass_of_the_decoder_too() -> None:
    rows, (network, vae) = some_rows(), on_rec_vae(anchors="tied")
    decoder = network.passes(1)[-1]
    terms = decoder.losses(rows, START, torch.Generator().manual_seed(0))
    assert set(terms) == {"reconstruction", "alignment"}
    torch.testing.assert_close(terms["alignment"].value, loss_of(vae.encode(rows), rows, vae.decoder.weight).mean())
    plain = vae.decoder_losses(rows, START, torch.Generator().manual_seed(0))
    assert torch.equal(terms["reconstruction"].value, plain["reconstruction"].value)


CHOICES = [
    {"anchors": "own", "centroid": "inverse_popularity"},
    {"anchors": "tied", "centroid": "mean"},
    {"anchors": "tied", "centroid": "inverse_popularity"},
]


@pytest.mark.parametrize("name", ["pia", "pia_rec_vae"])
@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: "-".join(choice.values()))
def test_each_choice_trains_and_its_artifact_scores_the_same(name: str, choice: dict[str, object]) -> None:
    train = two_groups()
    recommender = create(name, {**SMALL[name], **choice, "epochs": 2})
    report = recommender.fit(train, None, FitOptions(threads=1, precision="bfloat16"))
    assert report.history[-1].losses["anchor_spread"] > 0
    assert ("anchors" in recommender.arrays()) == (choice["anchors"] == "own")
    restored = create(name, recommender.config.as_mapping())
    restored.restore(train.items, recommender.arrays())
    np.testing.assert_array_equal(restored.score(train.matrix), recommender.score(train.matrix))


def test_the_names_of_the_arrays_are_those_of_the_autoencoder_and_the_anchors() -> None:
    train = two_groups()
    for name, base in (("pia", "multi_vae"), ("pia_rec_vae", "rec_vae")):
        aligned, plain = create(name, {**SMALL[name], "epochs": 1}), create(base, {**SMALL[base], "epochs": 1})
        for recommender in (aligned, plain):
            recommender.fit(train, None, FitOptions(threads=1))
        assert set(aligned.arrays()) == {"anchors"} | {f"vae.{array}" for array in plain.arrays()}


@pytest.mark.parametrize(("name", "base"), [("pia", "multi_vae"), ("pia_rec_vae", "rec_vae")])
def test_with_weight_zero_it_is_the_autoencoder_to_the_bit(name: str, base: str) -> None:
    train = two_groups()
    plain, aligned = create(base, SMALL[base]), create(name, {**SMALL[name], "alignment": 0.0})
    for recommender in (plain, aligned):
        recommender.fit(train, None, FitOptions(threads=1))
    np.testing.assert_array_equal(aligned.score(train.matrix), plain.score(train.matrix))


class KilledError(Exception):
    """Stands for a kill."""


def kill(report: EpochReport) -> None:
    raise KilledError


@pytest.mark.parametrize("choice", [{}, {"anchors": "tied", "centroid": "inverse_popularity"}])
def test_an_interrupted_training_on_rec_vae_goes_on_to_the_same_bits(choice: dict[str, object], tmp_path: Path) -> None:
    train, config = two_groups(), {**SMALL["pia_rec_vae"], **choice, "epochs": 3}
    whole, parts = create("pia_rec_vae", config), create("pia_rec_vae", config)
    whole.fit(train, None, FitOptions(threads=1))
    with pytest.raises(KilledError):
        parts.fit(train, None, FitOptions(threads=1, checkpoint=tmp_path / "checkpoint", on_epoch=kill))
    parts.fit(train, None, FitOptions(threads=1, checkpoint=tmp_path / "checkpoint"))
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(parts.arrays()[name], array)


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
