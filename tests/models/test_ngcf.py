"""NGCF's layers and terms against the same written with dense matrices, and a user who is scored from the items."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from scipy.sparse import csr_matrix
from torch import Tensor

from models.interactions import Interactions
from models.multi_vae import mask
from models.ngcf import Layer, Ngcf, NgcfConfig, NgcfNetwork, draw_unseen, profiles
from models.recommender import EpochReport, FitOptions, top
from models.rows import Rows
from tests.models.few_users import CPU, ITEMS, START, USERS, chance, some_matrix, some_rows
from tests.models.tastes import two_groups

TRAIN = two_groups()
SMALL = NgcfConfig(width=4, layers=2, batch=40, epochs=4)


def network(config: NgcfConfig = SMALL) -> NgcfNetwork:
    """Return a network with weights of some size, so that no layer vanishes."""
    built = NgcfNetwork(ITEMS, config, chance())
    built.prepare(some_rows(), chance())
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=chance(len(parameter))))
    built.refresh()
    return built


def laplacian() -> Tensor:
    """Return D^-1/2 A D^-1/2 over users and items together, equation 8 of the source."""
    seen = torch.from_numpy(some_matrix().toarray())
    adjacency = torch.zeros(USERS + ITEMS, USERS + ITEMS)
    adjacency[:USERS, USERS:], adjacency[USERS:, :USERS] = seen, seen.T
    roots = adjacency.sum(dim=1).clamp(min=1).rsqrt()
    return roots[:, None] * adjacency * roots


def dense_layers(built: NgcfNetwork) -> list[Tensor]:
    """Return the embeddings of users and items after each layer, equation 7 of the source."""
    found = [torch.cat([built.user_embeddings, built.item_embeddings])]
    for layer in built.layers:
        assert isinstance(layer, Layer)
        below, messages = found[-1], laplacian() @ found[-1]
        sums = (messages + below) @ layer.of_sums.weight.T
        products = (messages * below) @ layer.of_products.weight.T
        found.append(F.leaky_relu(sums + products, 0.2))
    return found


def test_the_items_layers_are_those_of_the_whole_graph_written_densely() -> None:
    built = network()
    for found, expected in zip(built.item_layers(), dense_layers(built), strict=True):
        torch.testing.assert_close(found, expected[USERS:])


def test_a_gradient_finds_every_embedding_and_every_layer_that_the_items_come_from() -> None:
    built = network()
    learned = [built.item_embeddings, built.user_embeddings, *built.layers.parameters()]
    for layer in range(1, 1 + SMALL.layers):
        found = torch.autograd.grad(built.item_layers()[layer].sum(), learned, allow_unused=True)
        expected = torch.autograd.grad(dense_layers(built)[layer][USERS:].sum(), learned, allow_unused=True)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def from_items(built: NgcfNetwork, kept: Tensor) -> list[Tensor]:
    """Return the layers of users who start from the messages of their items, (users, items) with `kept` factors."""
    items = [layer[USERS:] for layer in dense_layers(built)]
    closeness = laplacian()[:USERS, USERS:] * kept
    found = [closeness @ items[0]]
    for layer, below in zip(built.layers, items, strict=False):
        messages = closeness @ below
        found.append(layer(found[-1], messages))
    return found


def test_scores_are_products_of_all_layers_side_by_side_with_a_user_made_of_items() -> None:
    built = network()
    items = dense_layers(built)
    users = from_items(built, torch.ones(USERS, ITEMS))
    expected = users[0] @ items[0][USERS:].T
    for user, item in zip(users[1:], items[1:], strict=True):
        expected += F.normalize(user, dim=1) @ F.normalize(item[USERS:], dim=1).T
    with torch.no_grad():
        scores, _ = built(some_rows())
    seen_something = some_rows().lengths > 0
    torch.testing.assert_close(scores[seen_something], expected[seen_something], rtol=1e-4, atol=1e-4)


def test_a_user_s_scores_depend_on_the_own_history_alone() -> None:
    built = network()
    with torch.no_grad():
        alone, _ = built(Rows.of(some_matrix()[[4]], CPU))
        among, _ = built(some_rows())
    torch.testing.assert_close(alone[0], among[4])


def test_the_terms_are_means_over_users_of_means_over_their_items() -> None:
    built = network(dataclasses.replace(SMALL, message_dropout=0.0))
    rows, noise = some_rows(), chance()
    terms = built.losses(rows, START, noise)
    noise = chance()
    for nodes in (USERS, ITEMS) * SMALL.layers:
        mask(torch.empty(nodes, SMALL.width), 1.0, noise)  # what dropout drew
    kept = torch.zeros(USERS, ITEMS).index_put((rows.users, rows.items), mask(rows.items, SMALL.keep, noise))
    for _ in built.layers:
        mask(torch.empty(USERS, SMALL.width), 1.0, noise)
    unseen = draw_unseen(rows, ITEMS, noise)
    scores = profiles(from_items(built, kept)) @ profiles([layer[USERS:] for layer in dense_layers(built)]).T
    ranking, squares = torch.zeros(()), built.user_embeddings.square().sum() / USERS
    for user in range(USERS):
        own, other = (items[rows.users == user] for items in (rows.items, unseen))
        if len(own):
            ranking -= (scores[user, own] - scores[user, other]).sigmoid().log().mean() / USERS
            pairs = built.item_embeddings[own].square() + built.item_embeddings[other].square()
            squares = squares + pairs.sum(dim=1).mean() / USERS
    torch.testing.assert_close(terms["ranking"].value, ranking, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(terms["l2"].value, squares)
    assert terms["l2"].weight == SMALL.l2 / 2


def test_an_item_not_seen_is_drawn_as_often_as_any_other_not_seen() -> None:
    seen = [{0, 1, 4}, {2, 3, 5}, {1}]
    matrix = np.array([[item in own for item in range(6)] for own in seen], dtype=np.float32)
    many = Rows.of(csr_matrix(np.repeat(matrix, 4_000, axis=0)), CPU)
    drawn = draw_unseen(many, 6, chance())
    for user, own in enumerate(seen):
        counts = torch.bincount(drawn[many.users // 4_000 == user], minlength=6).numpy()
        assert not counts[list(own)].any()
        share, draws = 1 / (6 - len(own)), 4_000 * len(own)
        # Five standard deviations of a share of so many draws.
        bound = 5 * (share * (1 - share) / draws) ** 0.5
        assert np.abs(counts[[item for item in range(6) if item not in own]] / draws - share).max() < bound


def test_who_has_everything_is_compared_with_something() -> None:
    rows = Rows.of(csr_matrix(np.ones((2, 5), dtype=np.float32)), CPU)
    assert draw_unseen(rows, 5, chance()).tolist() == [4] * 10


def trained(checkpoint: Path | None = None, cut_after: int | None = None) -> Ngcf:
    """Train; where it is to be cut, raise after so many epochs."""

    def cut(report: EpochReport) -> None:
        if report.epoch == cut_after:
            raise InterruptedError

    arm = Ngcf(SMALL)
    arm.fit(TRAIN, None, FitOptions(threads=1, checkpoint=checkpoint, on_epoch=cut))
    return arm


def test_an_artifact_holds_the_items_layers_and_no_user() -> None:
    arrays = trained().arrays()
    layers = {f"layers.{layer}.{part}.weight" for layer in range(2) for part in ("of_sums", "of_products")}
    assert set(arrays) == {"messages", "profiles", "counts"} | layers
    assert all(len(TRAIN.users) not in array.shape for array in arrays.values())


def test_a_training_cut_between_epochs_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    path = tmp_path / "training.safetensors"
    with pytest.raises(InterruptedError):
        trained(path, cut_after=2)
    resumed, whole = trained(path), trained()
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(resumed.arrays()[name], array)


def test_who_has_seen_nothing_gets_what_most_users_have() -> None:
    rng = np.random.default_rng(0)
    seen = rng.random((60, 12)) < np.linspace(0.1, 0.9, 12)
    users, items = np.nonzero(seen)
    world = Interactions.from_rows([f"u{user:02d}" for user in users], [f"i{item:02d}" for item in items])
    arm = Ngcf(SMALL)
    arm.fit(world, None, FitOptions(threads=1))
    counts = seen.sum(axis=0)
    ranked = top(arm, csr_matrix(np.zeros((1, 12), dtype=np.float32)), 12)[0]
    np.testing.assert_array_equal(counts[ranked], np.sort(counts)[::-1])
