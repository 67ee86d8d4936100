"""CDAE's terms against the same terms written densely, and the node that a user gets when scored."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from models.cdae import Cdae, CdaeConfig, CdaeNetwork, gram
from models.interactions import Interactions
from models.multi_vae import mask
from models.recommender import EpochReport, FitOptions, top
from models.rows import Rows
from tests.models.few_users import CPU, ITEMS, START, USERS, chance, some_matrix, some_rows
from tests.models.tastes import two_groups

TRAIN = two_groups()
QUICK = CdaeConfig(hidden=8, batch=40, epochs=4, learning_rate=0.01)


def dense() -> Tensor:
    return torch.from_numpy(some_matrix().toarray())


def network(config: CdaeConfig = QUICK) -> CdaeNetwork:
    """Return a network with weights of some size, so that each term of the loss matters."""
    built = CdaeNetwork(ITEMS, config, chance())
    built.prepare(some_rows(), chance())
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=chance(len(parameter))))
    built.refresh()
    return built


def densely(built: CdaeNetwork, hidden: Tensor) -> Tensor:
    """Return each user's squared errors, written over the whole catalogue."""
    scores = hidden @ built.item_columns[:, :-1].T + built.item_columns[:, -1]
    weights = 1 + (built.config.positive_weight - 1) * dense()
    return (weights * (scores - dense()).square()).sum(dim=1)


def test_the_squared_errors_and_their_gradients_are_those_of_the_whole_catalogue() -> None:
    built, hidden = network(), torch.rand(USERS, QUICK.hidden, generator=chance()).requires_grad_()
    found = built.squares(some_rows(), hidden, built.item_columns, gram(built.item_columns))
    expected = densely(built, hidden)
    torch.testing.assert_close(found, expected)
    learned = (hidden, built.item_columns)
    theirs = torch.autograd.grad(expected.sum(), learned)
    torch.testing.assert_close(torch.autograd.grad(found.sum(), learned), theirs)


def test_the_terms_are_the_source_s_sums_over_users_divided_by_the_users() -> None:
    built = network()
    users = torch.tensor([4, 0, 3])
    rows = some_rows().take(users)
    terms = built.losses(rows, START, chance())
    kept = mask(torch.empty(len(rows.items)), QUICK.keep, chance())
    inputs = torch.zeros(3, ITEMS).index_put((rows.users, rows.items), kept)
    hidden = torch.zeros(USERS, QUICK.hidden)
    hidden[users] = (inputs @ built.item_rows + built.hidden_bias + built.nodes[users]).sigmoid()
    torch.testing.assert_close(terms["squares"].value, densely(built, hidden)[users].mean())
    shared = sum(each.square().sum() for each in (built.item_rows, built.hidden_bias, built.item_columns))
    expected = built.nodes[users].square().sum() / 3 + shared / USERS
    torch.testing.assert_close(terms["l2"].value, expected)
    assert terms["l2"].weight == QUICK.l2 / 2


def loss_with(built: CdaeNetwork, node: Tensor) -> Tensor:
    hidden = (dense() @ built.item_rows + built.hidden_bias + node).sigmoid()
    return densely(built, hidden) + built.config.l2 / 2 * node.square().sum(dim=1)


def folded(steps: int) -> tuple[CdaeNetwork, Tensor]:
    built, rows = network(CdaeConfig(hidden=8, fold_in_steps=steps)), some_rows()
    with torch.no_grad():
        return built, built.fold_in(rows, built.inputs(rows, torch.ones(len(rows.items))))


def test_each_step_of_folding_in_lowers_the_loss_of_some_users_and_raises_no_one_s() -> None:
    losses = torch.stack([loss_with(*folded(steps)) for steps in range(5)])
    assert (losses.diff(dim=0) <= 0).all()
    assert (losses[3] < losses[0]).all()
    assert (folded(0)[1] == 0).all()


def test_the_default_number_of_steps_goes_most_of_the_way() -> None:
    start, default, end = (loss_with(*folded(steps)) for steps in (0, CdaeConfig().fold_in_steps, 500))
    assert ((start - default) / (start - end)).min() > 0.9


def test_many_steps_of_folding_in_find_the_least_loss() -> None:
    built, node = folded(500)
    found = loss_with(built, node)
    best = node.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([best], max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = loss_with(built, best).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(found, loss_with(built, best).detach(), rtol=1e-3, atol=0)


def test_a_user_s_node_depends_on_the_own_history_alone() -> None:
    together, one = network().eval(), some_matrix()[[4]]
    with torch.no_grad():
        alone, _ = together(Rows.of(one, CPU))
        among, _ = together(some_rows())
    torch.testing.assert_close(alone[0], among[4])


def trained(checkpoint: Path | None = None, cut_after: int | None = None) -> Cdae:
    """Train; where it is to be cut, raise after so many epochs."""

    def cut(report: EpochReport) -> None:
        if report.epoch == cut_after:
            raise InterruptedError

    arm = Cdae(QUICK)
    arm.fit(TRAIN, None, FitOptions(threads=1, checkpoint=checkpoint, on_epoch=cut))
    return arm


def nodes(arm: Cdae) -> Tensor:
    built = arm._learner
    assert isinstance(built, CdaeNetwork)
    return built.nodes


def test_users_who_were_trained_on_are_scored_as_any_other() -> None:
    arm = trained()
    assert set(arm.arrays()) == {"item_rows", "hidden_bias", "item_columns", "gram", "counts"}
    assert nodes(arm).abs().max() > 0
    before = arm.score(TRAIN.matrix)
    with torch.no_grad():
        nodes(arm).fill_(7.0)
    np.testing.assert_array_equal(arm.score(TRAIN.matrix), before)


def test_a_training_cut_between_epochs_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    path = tmp_path / "training.safetensors"
    with pytest.raises(InterruptedError):
        trained(path, cut_after=2)
    resumed, whole = trained(path), trained()
    assert torch.equal(nodes(resumed), nodes(whole))
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(resumed.arrays()[name], array)


def test_who_has_seen_nothing_gets_what_most_users_have() -> None:
    rng = np.random.default_rng(0)
    seen = rng.random((60, 12)) < np.linspace(0.1, 0.9, 12)
    users, items = np.nonzero(seen)
    world = Interactions.from_rows([f"u{user:02d}" for user in users], [f"i{item:02d}" for item in items])
    arm = Cdae(QUICK)
    arm.fit(world, None, FitOptions(threads=1))
    counts = seen.sum(axis=0)
    ranked = top(arm, csr_matrix(np.zeros((1, 12), dtype=np.float32)), 12)[0]
    np.testing.assert_array_equal(counts[ranked], np.sort(counts)[::-1])
