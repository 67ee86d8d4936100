"""RaCT: what the critic is told and should tell, and who learns in which phase."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from scipy.sparse import csr_matrix
from torch import Tensor

from models.errors import ModelError
from models.multi_vae import MultiVae, MultiVaeConfig, bag
from models.ract import Attempt, Critic, Ract, RactConfig, RactNetwork, masked_out_ndcg
from models.ranking import DEPTH, hits_of, ndcg_at
from models.recommender import EpochReport, FitOptions
from models.rows import Rows
from tests.models.tastes import two_groups

CPU = torch.device("cpu")
START = torch.tensor(0.0)  # of training, in epochs
TRAIN = two_groups()
ITEMS = len(TRAIN.items)
QUICK = RactConfig(
    hidden=8,
    latent=3,
    batch=60,
    epochs=6,
    learning_rate=0.01,
    actor_epochs=2,
    critic_epochs=2,
    critic_learning_rate=0.01,
    joint_learning_rate=1e-3,
)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_rows() -> Rows:
    return Rows.of(TRAIN.matrix[:7], CPU)


def network(config: RactConfig = QUICK) -> RactNetwork:
    return RactNetwork(ITEMS, config, chance())


@pytest.mark.parametrize("items", [40, 300])
def test_what_the_critic_should_tell_is_the_ndcg_of_the_evaluation(items: int) -> None:
    matrix = csr_matrix((np.random.default_rng(0).random((9, items)) < 0.6).astype(np.float32))
    rows = Rows.of(matrix, CPU)
    logits = torch.randn(9, items, generator=chance(1))
    seen = torch.rand(len(rows.items), generator=chance(2)) < 0.3
    struck = logits.numpy().copy()
    struck[rows.users[seen], rows.items[seen]] = -np.inf
    ranked = np.argsort(-struck, axis=1)[:, :DEPTH]
    if items < DEPTH:
        ranked = np.pad(ranked, ((0, 0), (0, DEPTH - items)), constant_values=-1)
    masked_out = csr_matrix((np.ones(int((~seen).sum())), (rows.users[~seen], rows.items[~seen])), shape=(9, items))
    expected = ndcg_at(DEPTH, hits_of(ranked, masked_out), np.diff(masked_out.indptr))
    np.testing.assert_allclose(masked_out_ndcg(logits, rows, seen), expected, rtol=1e-5)


def test_a_user_of_whom_nothing_is_masked_out_scores_nothing() -> None:
    rows = Rows.of(csr_matrix(np.array([[1, 1, 0], [0, 0, 0]], dtype=np.float32)), CPU)
    assert masked_out_ndcg(torch.randn(2, 3), rows, torch.tensor([True, True])).tolist() == [0, 0]


def test_the_critic_is_told_the_likelihood_and_how_much_was_masked_out_and_seen() -> None:
    net, rows = network(), some_rows()
    attempt = net.attempt(rows, chance(4))
    likelihood = F.log_softmax(attempt.logits, dim=1)[rows.users, rows.items]
    for user in range(7):
        own = rows.users == user
        seen = attempt.seen[own].sum()
        expected = torch.stack([-likelihood[own].sum(), 10 - seen, seen])
        torch.testing.assert_close(attempt.features[user], expected)


def test_what_counts_as_seen_is_what_the_actor_saw() -> None:
    net, rows = network(), some_rows()
    vae, attempt = net.vae, net.attempt(rows, chance(4))
    weights = attempt.seen / (QUICK.keep * 10**0.5)  # each user has ten items
    hidden = (bag(rows, vae.item_rows, weights) + vae.item_bias).tanh()
    noise = chance(4)
    posterior = vae.encode(rows, noise)
    torch.testing.assert_close(posterior.mean, vae.to_posterior(hidden).chunk(2, dim=1)[0])
    torch.testing.assert_close(attempt.logits, vae.to_logits(vae.from_latent(posterior.sample(noise)).tanh()))
    assert 0 < attempt.seen.sum() < len(rows.items)


def test_the_critic_learns_from_its_squared_error_and_a_small_penalty() -> None:
    net, rows = network(), some_rows()
    terms = net.critic_losses(rows, START, chance(4))
    attempt = net.attempt(rows, chance(4))
    target = masked_out_ndcg(attempt.logits, rows, attempt.seen)
    torch.testing.assert_close(terms["error"].value, (net.critic(attempt.features) - target).square().mean())
    squares = sum(float(parameter.detach().square().sum()) for parameter in net.critic.parameters())
    assert terms["penalty"].value.item() == pytest.approx(squares, rel=1e-5)
    assert terms["penalty"].weight == pytest.approx(1e-4 / QUICK.batch)
    assert (terms["ndcg"].value, terms["ndcg"].weight) == (target.mean(), 0)


def test_the_actor_climbs_the_critic_s_value() -> None:
    net, rows = network(), some_rows()
    (term,) = net.value_losses(rows, START, chance(4)).values()
    torch.testing.assert_close(term.value, net.critic(net.attempt(rows, chance(4)).features).mean())
    assert term.weight == -1


def test_by_the_critic_s_gradient_each_user_weighs_in_the_likelihood() -> None:
    """The counts do not depend on the actor, so what it gets is the likelihood's gradient, user by user."""
    net, rows, bias = network(), some_rows(), "to_logits.bias"
    net.critic.scale[0] = 0.1

    def attempt() -> Attempt:
        return net.attempt(rows, chance(4))

    features = attempt().features.detach().requires_grad_()
    (slopes,) = torch.autograd.grad(net.critic(features).sum(), features)
    (found,) = torch.autograd.grad(net.critic(attempt().features).sum(), net.vae.get_parameter(bias))
    (expected,) = torch.autograd.grad((slopes * attempt().features).sum(), net.vae.get_parameter(bias))
    assert len(set(slopes[:, 0].tolist())) > 1
    torch.testing.assert_close(found, expected)


def test_features_are_standardised_by_those_of_the_actor_as_it_is() -> None:
    net = network(dataclasses.replace(QUICK, keep=0.5))
    net.prepare(Rows.of(TRAIN.matrix, CPU), chance())
    net.standardise()
    features = net.attempt(net._measured, chance(0)).features
    brought = (features - net.critic.mean) * net.critic.scale
    torch.testing.assert_close(brought.mean(dim=0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(brought.var(dim=0, correction=0), torch.ones(3), atol=0.01, rtol=0)


def test_a_feature_that_is_always_the_same_stays_finite() -> None:
    critic = Critic(chance())
    critic.standardise_by(torch.tensor([[1.0, 0.0, 10.0], [3.0, 0.0, 10.0]]))
    assert torch.isfinite(critic(torch.tensor([[2.0, 0.0, 10.0]]))).all()


def test_the_value_keeps_its_precision_where_the_large_products_have_half_the_bits() -> None:
    critic, features = Critic(chance()), torch.rand(5, 3, generator=chance(1))
    with torch.autocast("cpu", torch.bfloat16):
        values = critic(features)
    assert torch.equal(values, critic(features))


class KeptArm(Ract):
    """Keeps the weights after each epoch."""

    def build(self, items: int, chance: torch.Generator) -> RactNetwork:
        self.network = RactNetwork(items, self.config, chance)
        self.kept: dict[int, Mapping[str, Tensor]] = {}
        return self.network

    def keep(self, report: EpochReport) -> None:
        self.kept[report.epoch] = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}

    def changed(self, first: int, last: int) -> set[str]:
        """Return which parts have other weights after one epoch than after another."""
        before, after = self.kept[first], self.kept[last]
        return {name.partition(".")[0] for name in after if not torch.equal(before[name], after[name])}


def trained(config: RactConfig = QUICK) -> KeptArm:
    arm = KeptArm(config)
    arm.fit(TRAIN, None, FitOptions(threads=1, on_epoch=arm.keep))
    return arm


def test_the_actor_learns_then_the_critic_then_both() -> None:
    arm = trained()
    assert arm.changed(1, 2) == {"vae"}
    assert arm.changed(2, 3) == arm.changed(3, 4) == {"critic"}
    assert arm.changed(4, 5) == arm.changed(5, 6) == {"vae", "critic"}


def test_the_first_phase_is_multi_vae_to_the_bit() -> None:
    arm = trained()
    plain = MultiVae(MultiVaeConfig(hidden=8, latent=3, batch=60, epochs=2, learning_rate=0.01))
    plain.fit(TRAIN, None, FitOptions(threads=1))
    for name, array in plain.arrays().items():
        np.testing.assert_array_equal(arm.kept[2][f"vae.{name}"], array)


def test_what_standardises_is_measured_while_the_actor_rests_and_stays() -> None:
    arm = trained()
    means = [arm.kept[epoch]["critic.mean"] for epoch in range(1, 7)]
    assert [torch.equal(mean, means[-1]) for mean in means] == [False, False, True, True, True, True]


def test_each_phase_has_its_rates_and_only_the_first_joint_pass_of_the_actor_starts_adam_afresh() -> None:
    net = network()
    passes = {epoch: [(each.name, each.learning_rate, each.afresh) for each in net.passes(epoch)] for epoch in (2, 4)}
    assert passes == {2: [("actor", None, False)], 4: [("critic", 0.01, False)]}
    joint = [[(each.name, each.learning_rate, each.afresh) for each in net.passes(epoch)] for epoch in (5, 6)]
    assert joint == [[("actor", 1e-3, epoch == 5), ("critic", 0.01, False)] for epoch in (5, 6)]


def test_the_actor_steps_at_the_joint_rate_at_once_whatever_the_likelihood_taught_adam() -> None:
    arm = trained(dataclasses.replace(QUICK, epochs=5))
    step = (arm.kept[5]["vae.to_logits.bias"] - arm.kept[4]["vae.to_logits.bias"]).abs().max()
    # Two batches. A step of Adam is as long as its rate at the start, and with the old moments a thousandth of that.
    assert 1e-3 < step < 3e-3


def test_the_critic_comes_to_tell_better_than_the_mean_does() -> None:
    config = dataclasses.replace(QUICK, epochs=60, actor_epochs=10, critic_epochs=30, batch=20, keep=0.7)
    arm = KeptArm(config)
    arm.fit(TRAIN, None, FitOptions(threads=1))
    rows = Rows.of(TRAIN.matrix, CPU)
    with torch.no_grad():
        attempt: Attempt = arm.network.attempt(rows, chance(9))
        target = masked_out_ndcg(attempt.logits, rows, attempt.seen)
        error = (arm.network.critic(attempt.features) - target).square().mean()
    assert error < 0.9 * target.var()


def test_patience_counts_from_the_joint_phase() -> None:
    assert network().least_epochs == 4


def test_too_few_epochs_for_the_third_phase_are_refused() -> None:
    with pytest.raises(ModelError, match=r"epochs is 150; it must be above actor_epochs \+ critic_epochs, 150"):
        RactConfig(epochs=150)


def test_an_artifact_goes_without_the_critic() -> None:
    assert {name.partition(".")[0] for name in trained().arrays()} == {"vae"}


class KilledError(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("killed_after", [1, 3, 4, 5])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_interrupted_training_goes_on_to_the_same_bits(precision: str, killed_after: int, tmp_path: Path) -> None:
    def options(**more: object) -> FitOptions:
        return FitOptions(threads=1, precision=precision, **more)  # type: ignore[arg-type]

    def kill(report: EpochReport) -> None:
        if report.epoch == killed_after:
            raise KilledError

    whole, parts, path = KeptArm(QUICK), KeptArm(QUICK), tmp_path / "checkpoint"
    whole.fit(TRAIN, None, options())
    with pytest.raises(KilledError):
        parts.fit(TRAIN, None, options(checkpoint=path, on_epoch=kill))
    parts.fit(TRAIN, None, options(checkpoint=path))
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(parts.network.state_dict()[name], tensor), name
