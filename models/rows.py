"""Rows of a sparse matrix of ones as tensors: what a batch of users looks like to a network."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from scipy.sparse import csr_matrix
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Rows:
    """Some users' items.

    Attributes:
        items: item indices, the users one after the other, (entries,), int64.
        offsets: where each user's items start, and the end, (users + 1,), int64.
        ids: which row of the matrix each user is, (users,), int64.
    """

    items: Tensor
    offsets: Tensor
    ids: Tensor

    @classmethod
    def of(cls, matrix: csr_matrix, device: torch.device) -> Self:
        """Move a matrix (users, items) to a device."""
        items = torch.from_numpy(matrix.indices).to(device=device, dtype=torch.int64)
        offsets = torch.from_numpy(matrix.indptr).to(device=device, dtype=torch.int64)
        return cls(items, offsets, torch.arange(matrix.shape[0], device=device))

    @cached_property
    def lengths(self) -> Tensor:
        """Return how many items each user has, (users,)."""
        return self.offsets.diff()

    @cached_property
    def users(self) -> Tensor:
        """Return the row of each entry, (entries,)."""
        rows = torch.arange(len(self), device=self.items.device)
        return rows.repeat_interleave(self.lengths, output_size=len(self.items))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, users: Tensor, entries: int | None = None) -> "Rows":
        """Return the rows of these users, in this order.

        Args:
            users: row numbers, (users,).
            entries: how many items they have together, where that is known: a GPU need not be waited for then.
        """
        lengths = self.lengths[users]
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        shifts = (self.offsets[users] - offsets[:-1]).repeat_interleave(lengths, output_size=entries)
        positions = shifts + torch.arange(len(shifts), device=shifts.device)
        return Rows(self.items[positions], offsets, self.ids[users])

    def mean_weights(self) -> Tensor:
        """Return for each entry one over the number of its user's items, (entries,): sums become means."""
        return (1 / self.lengths.clamp(min=1))[self.users]

    def unit_weights(self) -> Tensor:
        """Return for each entry what brings its user's row to length one, (entries,)."""
        return self.lengths.clamp(min=1).rsqrt()[self.users]
