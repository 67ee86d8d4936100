"""A made-up matrix of the shape of MovieLens 20M, with tastes that can be learned.

Liang et al. 2018 leave 136,677 users, 20,108 items and 9,990,682 interactions of it, at least 5 a user. Here the
lengths of histories are log-normal, appeal falls with rank by the law of Zipf and Mandelbrot, and there are communities
that each have a liking of their own for every item; a user belongs to few of them. So popularity is a fair guess, and
who learns the communities does much better.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from benchmarks.arms.matrices import Matrices
from benchmarks.gowalla import interactions
from models.interactions import HELD_OUT_FRACTION

VERSION = 1
"""Of the law: a change of it makes other matrices."""
MEAN_LENGTH = 9_990_682 / 136_677
LEAST = 5
LONGEST = 1 / 8
"""Of the items, how many the longest history has."""
SPREAD = 1.2
"""Standard deviation of the logarithm of a history's length beyond the least."""
FALL, SHIFT = 0.8, 20.0
"""Appeal is `(rank + shift) ** -fall`."""
COMMUNITIES = 16
TASTE = 3.0
"""Standard deviation, over items, of a community's liking, a factor's logarithm."""
MEMBERSHIP = 0.05
"""Of the Dirichlet distribution of a user over communities; the smaller, the fewer."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class World:
    """What the generator is told.

    Attributes:
        users: to train on.
        held_out_users: to be judged on.
        items: how many; each has a training user.
        mean_length: interactions of a user on average, before the longest histories are cut.
        seed: of all chance.
    """

    users: int
    held_out_users: int
    items: int = 20_108
    mean_length: float = MEAN_LENGTH
    seed: int = 0

    def draw(self) -> Matrices:
        """Return the matrices; of each held-out user a fifth of the items, drawn at random, is to be found."""
        rng = np.random.default_rng(self.seed)
        likings = _likings(rng, self.items)
        train = _seen(_users(rng, likings, self.users, self), rng)
        judged = interactions(_users(rng, likings, self.held_out_users, self))
        fold_in, held_out = replace(judged, times=rng.permutation(judged.matrix.nnz)).hold_back(HELD_OUT_FRACTION)
        return Matrices(train, fold_in.matrix, held_out.matrix)


def _likings(rng: np.random.Generator, items: int) -> Floats:
    """Return how much each community likes each item, each community's sum 1, (communities, items)."""
    appeal = -FALL * np.log(SHIFT + rng.permutation(items))
    likings = np.exp(appeal + TASTE * rng.standard_normal((COMMUNITIES, items)))
    return np.asarray(likings / likings.sum(axis=1, keepdims=True), dtype=np.float32)


def _users(rng: np.random.Generator, likings: Floats, users: int, world: World) -> csr_matrix:
    """Draw each user's items one after the other by what their communities like, none twice."""
    lengths = _lengths(rng, users, world)
    memberships = rng.dirichlet(np.full(COMMUNITIES, MEMBERSHIP), users).astype(np.float32)
    columns = np.empty(lengths.sum(), dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    for user, length in enumerate(lengths):
        # The first to arrive in a race of exponential times are such draws (Efraimidis and Spirakis 2006).
        arrivals = rng.standard_exponential(world.items, dtype=np.float32) / (memberships[user] @ likings)
        columns[offsets[user] : offsets[user + 1]] = np.sort(np.argpartition(arrivals, length)[:length])
    return csr_matrix((np.ones(len(columns), dtype=np.float32), columns, offsets), shape=(users, world.items))


def _lengths(rng: np.random.Generator, users: int, world: World) -> Ints:
    draws = rng.lognormal(0.0, SPREAD, users)
    lengths: Ints = LEAST + np.rint(draws / draws.mean() * (world.mean_length - LEAST)).astype(np.int64)
    return np.minimum(lengths, max(LEAST, int(world.items * LONGEST)))


def _seen(matrix: csr_matrix, rng: np.random.Generator) -> csr_matrix:
    """Let each item that no user has take the place of a popular one somewhere: a vocabulary is of items seen."""
    while len(unseen := np.flatnonzero(np.bincount(matrix.indices, minlength=matrix.shape[1]) == 0)):
        counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
        popular = np.flatnonzero((counts > 1)[matrix.indices] & (counts >= np.quantile(counts, 0.9))[matrix.indices])
        places = rng.choice(popular, min(len(unseen), len(popular)), replace=False)
        matrix.indices[places] = unseen[: len(places)]
    matrix.has_sorted_indices = False
    matrix.sort_indices()
    return matrix
