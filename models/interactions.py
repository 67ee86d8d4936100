"""Who interacted with what, and when: the one input of every recommender, and how it is split."""

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.errors import ModelError

HELD_OUT_FRACTION = (
    0.2  # of a held-out user's items: Liang et al., "Variational Autoencoders for CF", 2018, section 4.2
)
Strings = Sequence[str] | NDArray[Any]  # an array of str or of objects

_SLACK = 1e-9  # so that a third of 9 is 3, whatever the last bit of the fraction


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Users to be judged on, each with a history that is shown and a rest that is to be found.

    Attributes:
        fold_in: the histories shown to the recommender, (users, items), ones.
        held_out: the items to find, (users, items), ones, disjoint from `fold_in`; no row is empty.
        users: the user id of each row.
    """

    fold_in: csr_matrix
    held_out: csr_matrix
    users: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.fold_in.shape == self.held_out.shape == (len(self.users), self.fold_in.shape[1]):
            raise ModelError(
                f"fold_in is {self.fold_in.shape}, held_out is {self.held_out.shape} and there are {len(self.users)} "
                "users; both matrices must be (users, items) in one vocabulary"
            )
        if not np.diff(self.held_out.indptr).all():
            raise ModelError("a user has no held-out item and cannot be judged; leave such users out")

    def content_hash(self) -> str:
        """Return the SHA-256, in hex, of the users and of both matrices."""
        pairs = (self.fold_in.indptr, self.fold_in.indices, self.held_out.indptr, self.held_out.indices)
        return _sha256([self.users, self.fold_in.shape], *pairs)


@dataclass(frozen=True, eq=False)
class Interactions:
    """A set of (user, item) pairs, with the time of each.

    Attributes:
        matrix: (users, items), float32 ones, item indices ascending in each row.
        users: the user id of each row, sorted.
        items: the item id of each column, sorted.
        times: unix seconds, aligned with `matrix.indices`; zeros where unknown.
    """

    matrix: csr_matrix
    users: tuple[str, ...]
    items: tuple[str, ...]
    times: NDArray[np.int64]

    @classmethod
    def from_rows(cls, users: Strings, items: Strings, times: NDArray[np.int64] | None = None) -> Self:
        """Build from one entry an interaction; duplicates collapse to the earliest.

        Args:
            users: the user id of each interaction, a list or an array.
            items: the item id of each interaction, aligned with `users`.
            times: unix seconds of each interaction; unknown if left out.

        Raises:
            ModelError: the columns differ in length, or an id is not a string.
        """
        user_codes, user_ids = _factorised(users, "user")
        item_codes, item_ids = _factorised(items, "item")
        return cls.from_codes(user_codes, item_codes, times, user_ids, item_ids)

    @classmethod
    def from_codes(
        cls,
        user_codes: NDArray[np.integer],
        item_codes: NDArray[np.integer],
        times: NDArray[np.int64] | None,
        users: Sequence[str],
        items: Sequence[str],
    ) -> Self:
        """Build from positions in two vocabularies, as categorical columns hold them; duplicates collapse likewise.

        The vocabularies may come in any order and are sorted here; an id without an interaction stays.

        Raises:
            ModelError: the columns differ in length, a code is outside its vocabulary, or an id appears twice.
        """
        seconds = np.zeros(len(user_codes), dtype=np.int64) if times is None else np.asarray(times, dtype=np.int64)
        if not len(user_codes) == len(item_codes) == len(seconds):
            raise ModelError(
                f"the columns hold {len(user_codes)} users, {len(item_codes)} items and {len(seconds)} times; "
                "each interaction needs one of each"
            )
        rows, user_ids = _in_sorted_order(user_codes, users, "user")
        columns, item_ids = _in_sorted_order(item_codes, items, "item")
        pairs, earliest = _distinct(rows * max(len(item_ids), 1) + columns, seconds)
        matrix = _ones(*np.divmod(pairs, max(len(item_ids), 1)), shape=(len(user_ids), len(item_ids)))
        return cls(matrix, user_ids, item_ids, earliest)

    def content_hash(self) -> str:
        """Return the SHA-256, in hex, of vocabularies, pairs and times; the order of the input rows does not matter."""
        return _sha256([self.users, self.items], self.matrix.indptr, self.matrix.indices, self.times)

    def at_least(self, user_interactions: int) -> "Interactions":
        """Drop the users with fewer interactions than this; every item stays."""
        return self._of_users(np.flatnonzero(np.diff(self.matrix.indptr) >= user_interactions))

    def hold_back(self, fraction: float = 0.3) -> "tuple[Interactions, Interactions]":
        """Split off the last part of each user's interactions by time, ties by item order, rounded down.

        Args:
            fraction: the part of each user's interactions that goes to the second result, in [0, 1).

        Returns:
            What comes first and what comes last, both with all users and all items.

        Raises:
            ModelError: the fraction is outside [0, 1).
        """
        if not 0 <= fraction < 1:
            raise ModelError(f"the fraction to hold back is {fraction}; it must be in [0, 1)")
        last = _last_in_row(self.matrix.indptr, self.times, fraction)
        return self._where(~last), self._where(last)

    def split_users(self, *, validation_users: int, test_users: int, seed: int) -> "UserSplit":
        """Split by user, for strong generalisation: who is judged was never trained on.

        The items are those that a training user has seen. A held-out user keeps 80 % of their items, at random, as
        history; a user left with fewer than five of these items has nothing to hold out and is left out.

        Raises:
            ModelError: no user is left to train on.
        """
        held = validation_users + test_users
        if min(validation_users, test_users) < 0 or held >= len(self.users):
            raise ModelError(
                f"{validation_users} validation and {test_users} test users are asked of {len(self.users)}; "
                "at least one must be left for training"
            )
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(self.users))
        train = self._of_users(np.sort(order[held:]))
        seen = np.flatnonzero(np.bincount(train.matrix.indices, minlength=len(self.items)))
        judged = (np.sort(order[:validation_users]), np.sort(order[validation_users:held]))
        validation, test = (self._of_users(rows)._of_items(seen)._held_out(rng) for rows in judged)
        return UserSplit(train._of_items(seen), validation, test)

    def _held_out(self, rng: np.random.Generator) -> HeldOut:
        hidden = _last_in_row(self.matrix.indptr, rng.random(self.matrix.nnz), HELD_OUT_FRACTION)
        fold_in, held_out = self._where(~hidden).matrix, self._where(hidden).matrix
        judged = np.flatnonzero(np.diff(held_out.indptr))
        return HeldOut(fold_in[judged], held_out[judged], tuple(self.users[row] for row in judged))

    def _of_users(self, rows: NDArray[np.int64]) -> "Interactions":
        return self._from_positions(self._positions()[rows], tuple(self.users[row] for row in rows), self.items)

    def _of_items(self, columns: NDArray[np.int64]) -> "Interactions":
        items = tuple(self.items[column] for column in columns)
        return self._from_positions(self._positions()[:, columns], self.users, items)

    def _positions(self) -> csr_matrix:
        """Return the matrix with the position of each time in place of the one, so that slicing keeps the times."""
        entries = (np.arange(self.matrix.nnz), self.matrix.indices, self.matrix.indptr)
        return csr_matrix(entries, shape=self.matrix.shape)

    def _from_positions(self, kept: csr_matrix, users: tuple[str, ...], items: tuple[str, ...]) -> "Interactions":
        kept.sort_indices()
        ones = np.ones(kept.nnz, dtype=np.float32)
        matrix = csr_matrix((ones, kept.indices, kept.indptr), shape=kept.shape)
        return Interactions(matrix, users, items, self.times[kept.data])

    def _where(self, chosen: NDArray[np.bool_]) -> "Interactions":
        rows = row_numbers(self.matrix)[chosen]
        matrix = _ones(rows, self.matrix.indices[chosen], shape=self.matrix.shape)
        return Interactions(matrix, self.users, self.items, self.times[chosen])


@dataclass(frozen=True, eq=False)
class UserSplit:
    """Users split for strong generalisation: training, validation and test users are disjoint."""

    train: Interactions
    validation: HeldOut
    test: HeldOut


def row_numbers(matrix: csr_matrix) -> NDArray[np.int64]:
    """Return the row of each stored entry, (entries,)."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _factorised(values: Strings, what: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return each value's position among the sorted distinct values; linear in the rows, unlike a sort of strings."""
    entries = values.tolist() if isinstance(values, np.ndarray) else values
    distinct = set(entries)
    wrong = next((value for value in distinct if not isinstance(value, str)), None)
    if wrong is not None:
        raise ModelError(f"the {what} id {wrong!r} is a {type(wrong).__name__}; ids must be strings, so convert them")
    vocabulary = tuple(sorted(distinct))
    position = {value: index for index, value in enumerate(vocabulary)}
    return np.fromiter(map(position.__getitem__, entries), np.int64, len(entries)), vocabulary


def _in_sorted_order(
    codes: NDArray[np.integer], vocabulary: Sequence[str], what: str
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Sort a vocabulary and renumber the codes to it."""
    if len(codes) and not 0 <= codes.min() <= codes.max() < len(vocabulary):
        raise ModelError(
            f"{what} codes run from {codes.min()} to {codes.max()}; they must be positions in the vocabulary "
            f"of {len(vocabulary)}, so drop rows whose {what} is missing"
        )
    order = sorted(range(len(vocabulary)), key=vocabulary.__getitem__)
    ids = tuple(vocabulary[index] for index in order)
    twice = next((left for left, right in itertools.pairwise(ids) if left == right), None)
    if twice is not None:
        raise ModelError(f"the {what} id {twice!r} appears twice in its vocabulary; ids must be distinct")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[codes], ids


def _distinct(keys: NDArray[np.int64], times: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct keys, ascending, and the earliest time of each."""
    order = np.argsort(keys)
    ordered = keys[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    earliest = np.minimum.reduceat(times[order], starts) if len(starts) else times
    return ordered[starts], earliest


def _ones(rows: NDArray[np.integer], columns: NDArray[np.integer], *, shape: tuple[int, int]) -> csr_matrix:
    """Build a matrix of ones from entries that are ordered by row, then column."""
    counts = np.bincount(rows, minlength=shape[0])
    entries = (np.ones(len(columns), dtype=np.float32), columns, np.concatenate([[0], np.cumsum(counts)]))
    return csr_matrix(entries, shape=shape)


def _last_in_row(indptr: NDArray[np.integer], keys: NDArray[np.generic], fraction: float) -> NDArray[np.bool_]:
    """Mark the last `floor(fraction * length)` entries of each row in the order of `keys`, ties as they stand."""
    lengths = np.diff(indptr)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((keys, rows))
    taken = np.floor(fraction * lengths + _SLACK).astype(np.int64)
    marked = np.empty(len(rows), dtype=np.bool_)
    marked[order] = np.arange(len(rows)) >= (indptr[1:] - taken)[rows]
    return marked


def _sha256(named: object, *arrays: NDArray[np.integer]) -> str:
    digest = hashlib.sha256(json.dumps(named).encode())
    for array in arrays:
        # One width and byte order, since scipy picks 32 or 64 bits by size.
        digest.update(np.ascontiguousarray(array, dtype="<i8").data)
    return digest.hexdigest()
