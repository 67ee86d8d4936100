"""Which users learn from each other: how far apart their posteriors are, and whether a step on one helps the other.

Theorem 2.3 of the source, for a step of gradient descent on user v: with g_u the gradient of the expected
reconstruction loss of u, E l(x_u, z) for z from q_u, in the parameters theta of the decoder, the loss of u falls where
L_thetaz W1(q_u, q_v) + Delta_x(u, v) < ||g_u||. That is, W1 is below the sharing radius

    r(u, v) = [||g_u|| - Delta_x(u, v)]_+ / L_thetaz

with L_thetaz the Lipschitz constant of the gradient in z, and Delta_x the distance between the gradients of the two
users' losses at the same points. The condition is enough for sharing, not necessary: what it is enough for,
<g_u, g_v> > 0, is measured beside it.

The source says what Delta_x and L_thetaz must bound, not how to compute them. Here Delta_x(u, v) is the norm of
E [grad l(x_u, z) - grad l(x_v, z)] for z from q_v, the least that the proof can do with; L_thetaz is the largest
||E_u grad l(x_u, z) - E_v grad l(x_u, z)|| / ||mu_u - mu_v|| among the pairs at hand, which is not above the constant
of the whole space, so that radii come out too large rather than too small.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from models.errors import ModelError
from models.geometry.latent import Latent, Tick, reconstruction
from models.multi_vae import Posterior
from models.rows import Rows

DECILE = 0.1


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of users.

    Attributes:
        first: u of each pair, a row number, (pairs,).
        second: v, (pairs,).
        distance: between their inputs, 1 - cosine, 0 to 1, (pairs,).
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distance: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.first)

    def take(self, chosen: NDArray[np.int64]) -> "Pairs":
        """Return these pairs, in this order."""
        return Pairs(self.first[chosen], self.second[chosen], self.distance[chosen])


@dataclass(frozen=True, eq=False)
class Bounds:
    """Bounds on the 1-Wasserstein distance between posteriors, (pairs,) each."""

    low: Tensor
    high: Tensor


@dataclass(frozen=True, eq=False)
class Transfer:
    """What a step on v does for u, (pairs,) each; g_u, Delta_x and E_v are those of the module's docstring.

    Attributes:
        norm: ||g_u||.
        mismatch: Delta_x(u, v).
        moved: ||E_u grad l(x_u, z) - E_v grad l(x_u, z)||, what L_thetaz W1 bounds.
        product: <g_u, g_v>; above 0, a small step on v lowers the loss of u.
    """

    norm: Tensor
    mismatch: Tensor
    moved: Tensor
    product: Tensor


def wasserstein_bounds(one: Posterior, other: Posterior) -> Bounds:
    """Bound the 1-Wasserstein distance between diagonal normal distributions, row by row.

    W1 is at least the distance of the means (Jensen's inequality) and at most W2, which is
    sqrt(||mu_u - mu_v||^2 + ||sigma_u - sigma_v||^2) where the covariances commute (Givens and Shortt 1984).
    """
    means = (one.mean - other.mean).square().sum(dim=1)
    deviations = ((0.5 * one.log_variance).exp() - (0.5 * other.log_variance).exp()).square().sum(dim=1)
    return Bounds(means.sqrt(), (means + deviations).sqrt())


def random_pairs(histories: csr_matrix, count: int, rng: np.random.Generator) -> Pairs:
    """Draw distinct pairs of distinct users, all that there are where they are few, ordered by their inputs' distance.

    The distance is 1 - cosine of the histories, whose unit-length rows are what the encoder sees; the distance
    ||x_u - x_v||_1 of lemma 2.4 would sort pairs by how much the two have watched.

    Raises:
        ModelError: there are less than two users.
    """
    users = histories.shape[0]
    if users < 2:
        raise ModelError(f"{users} users make no pair; at least 2 are required: choose a larger data set")
    possible = users * (users - 1) // 2
    numbers = np.arange(possible) if possible <= count else rng.choice(possible, count, replace=False, shuffle=False)
    # The pairs of v with the users before it are numbered from v (v - 1) / 2 on.
    second = ((1.0 + np.sqrt(1.0 + 8.0 * numbers)) // 2.0).astype(np.int64)
    first = numbers - second * (second - 1) // 2
    common = np.asarray(histories[first].multiply(histories[second]).sum(axis=1)).ravel()
    lengths = np.diff(histories.indptr)
    distance = 1.0 - common / np.sqrt(np.maximum(lengths[first] * lengths[second], 1))
    return Pairs(first, second, distance).take(np.argsort(distance, kind="stable"))


def near_and_far(pairs: Pairs) -> tuple[Pairs, Pairs]:
    """Return the decile of pairs with the nearest inputs, and that with the farthest, at least one pair each."""
    size = max(1, round(DECILE * len(pairs)))
    everything = np.arange(len(pairs))
    return pairs.take(everything[:size]), pairs.take(everything[-size:])


def transfer(latent: Latent, rows: Rows, pairs: Pairs, *, draws: int, noise: torch.Generator, tick: Tick) -> Transfer:
    """Measure what a step on one user of each pair does for the other.

    Args:
        latent: of a variational autoencoder.
        rows: all users' items.
        pairs: of users.
        draws: points that stand for a posterior; all posteriors share their noise.
        noise: draws them.
        tick: called after each pair.
    """
    posterior = latent.posterior(rows)
    shared = torch.randn((draws, posterior.mean.shape[1]), generator=noise, device=latent.device)
    found = []
    for u, v in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        of_u, of_v = (posterior.mean[x] + shared * (0.5 * posterior.log_variance[x]).exp() for x in (u, v))
        own, there, other = (_gradient(latent, rows, *at) for at in ((u, of_u), (u, of_v), (v, of_v)))
        found.append(torch.stack([own.norm(), (there - other).norm(), (own - there).norm(), own @ other]))
        tick()
    return Transfer(*torch.stack(found).T)


def lipschitz(moved: Tensor, bounds: Bounds) -> float:
    """Return L_thetaz among the pairs at hand; 0 where no two posteriors differ.

    Args:
        moved: of `Transfer`.
        bounds: on the distances of the same pairs. The lower one makes the constant larger, so that with it
            L_thetaz W1 bounds `moved` for each pair.
    """
    apart = bounds.low > 0
    return float((moved[apart] / bounds.low[apart]).amax()) if bool(apart.any()) else 0.0


def sharing_radius(found: Transfer, constant: float) -> Tensor:
    """Return r(u, v) for each pair, (pairs,).

    Args:
        found: norms and mismatches.
        constant: L_thetaz; where it is 0, distance never hinders, and the radius is 0 or infinite.
    """
    room = (found.norm - found.mismatch).clamp(min=0)
    return torch.where(room > 0, room / constant, 0.0)


def _gradient(latent: Latent, rows: Rows, user: int, points: Tensor) -> Tensor:
    """Return the gradient, in the decoder's parameters, of a user's mean loss over points, flat."""
    # A training in passes leaves off at weights that the last pass did not train.
    parameters = [parameter.requires_grad_() for parameter in latent.parameters]
    copies = rows.take(torch.full((len(points),), user, device=points.device))
    loss = reconstruction(latent.decode(points), copies).mean()
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    # The encoder takes no part in decoding, so what has a gradient is the decoder.
    return torch.cat([gradient.flatten() for gradient in gradients if gradient is not None])
