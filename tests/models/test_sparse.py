"""Sparse products and their gradients against dense ones."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from models.rows import Rows
from models.sparse import SparseMatrix, products, transpose

CPU = torch.device("cpu")
USERS, ITEMS, WIDTH = 6, 40, 3


def some_rows() -> Rows:
    dense = (np.random.default_rng(0).random((USERS, ITEMS)) < 0.3).astype(np.float32)
    dense[2] = 0
    return Rows.of(csr_matrix(dense), CPU)


def table(rows: int, seed: int) -> Tensor:
    return torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def weights(rows: Rows) -> Tensor:
    return torch.randn(len(rows.items), generator=torch.Generator().manual_seed(3))


def gradients(of: Tensor, *tables: Tensor) -> tuple[Tensor, ...]:
    upstream = torch.arange(1.0, of.numel() + 1).reshape(of.shape)
    return torch.autograd.grad((of * upstream).sum(), tables)


def test_what_is_turned_holds_the_same_pairs_in_the_order_of_items() -> None:
    rows = some_rows()
    by_item, order = transpose(rows, ITEMS)
    assert len(by_item) == ITEMS
    assert by_item.lengths.tolist() == torch.bincount(rows.items, minlength=ITEMS).tolist()
    pairs = list(zip(by_item.users.tolist(), by_item.items.tolist(), strict=True))
    assert pairs == sorted(zip(rows.items.tolist(), rows.users.tolist(), strict=True))
    assert pairs == list(zip(rows.items[order].tolist(), rows.users[order].tolist(), strict=True))


@pytest.mark.parametrize("repeated", [False, True])
def test_inner_products_at_entries_and_their_gradients_are_the_dense_ones(repeated: bool) -> None:
    rows = some_rows()
    if repeated:
        rows = Rows(torch.randint(ITEMS, rows.items.shape).sort(descending=True).values % 4, rows.offsets, rows.ids)
    left, right = table(USERS, 1), table(ITEMS, 2)
    found, expected = products(rows, left, right), (left @ right.T)[rows.users, rows.items]
    torch.testing.assert_close(found, expected)
    for ours, theirs in zip(gradients(found, left, right), gradients(expected, left, right), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("side", [0, 1])
def test_a_table_that_does_not_learn_leaves_the_other_its_gradient(side: int) -> None:
    rows, tables = some_rows(), [table(USERS, 1), table(ITEMS, 2)]
    (expected,) = gradients(products(rows, *tables), tables[side])
    tables[1 - side] = tables[1 - side].detach()
    (found,) = gradients(products(rows, *tables), tables[side])
    torch.testing.assert_close(found, expected)


def test_a_sparse_matrix_and_its_transpose_multiply_as_the_dense_ones_do() -> None:
    rows = some_rows()
    matrix = SparseMatrix(rows, weights(rows), ITEMS)
    dense = torch.zeros(USERS, ITEMS)
    dense[rows.users, rows.items] = weights(rows)
    of_items, of_users = table(ITEMS, 1), table(USERS, 2)
    for found, expected, factor in (
        (matrix.times(of_items), dense @ of_items, of_items),
        (matrix.transposed_times(of_users), dense.T @ of_users, of_users),
    ):
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(gradients(found, factor), gradients(expected, factor))


def test_a_sparse_matrix_is_no_part_of_the_state() -> None:
    rows = some_rows()
    matrix = SparseMatrix(rows, weights(rows), ITEMS)
    assert matrix.state_dict() == {}
    assert {tensor.dtype for tensor in matrix.double().buffers()} == {torch.float64, torch.int64}
