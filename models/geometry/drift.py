"""How far a user's posterior mean moves from mask to mask, and how much less it should by alignment.

Proposition 3.2 of the source: where the negative evidence bound is quadratic around the mean with curvature L, adding
lambda_A ||mu - ebar||^2 makes the curvature L + 2 lambda_A. With tau = L / (L + 2 lambda_A) the variance of the mean
across masks shrinks by tau^2, and its distance to the centroid ebar of the user's anchors by tau.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.errors import ModelError
from models.geometry.latent import Latent, Tick, reconstruction
from models.multi_vae import bag
from models.rows import Rows

POWER_STEPS = 20


@dataclass(frozen=True)
class Groups:
    """Users by how many interactions they have.

    Attributes:
        ends: the exclusive upper end of each group but the last, ascending.
        names: of the groups, one more than there are ends.
    """

    ends: Sequence[int]
    names: Sequence[str]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.ends) + 1 or list(self.ends) != sorted(set(self.ends)):
            raise ModelError(
                f"the groups {list(self.names)} end at {list(self.ends)}; give ascending ends, one fewer than names"
            )

    def of(self, lengths: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the position of each user's group, (users,)."""
        return np.asarray(np.digitize(lengths, self.ends), dtype=np.int64)


@dataclass(frozen=True)
class Curvature:
    """The eigenvalues of a user's Hessian of the negative evidence bound in the posterior mean, averaged over users.

    Attributes:
        mean: of all eigenvalues, the trace over d, by Hutchinson's estimator.
        top: the largest, by power iteration; the L of the source is a bound on it.
    """

    mean: float
    top: float


def mask_variance(means: Tensor) -> Tensor:
    """Return the trace of each user's covariance of the mean over masks, (users,), unbiased.

    Args:
        means: (masks, users, latent), at least two masks.
    """
    return means.var(dim=0).sum(dim=1)


def centroids(rows: Rows, weights: Tensor, anchors: Tensor) -> Tensor:
    """Return ebar, the mean anchor of each user's items, (users, latent); the origin for a user without any.

    Args:
        rows: the users' items.
        weights: of each entry in its user's mean, (entries,).
        anchors: (items, latent).
    """
    return bag(rows, anchors, weights)


def centroid_distance(means: Tensor, centroid: Tensor) -> Tensor:
    """Return the mean over masks of ||mu - ebar||, (users,).

    Args:
        means: (masks, users, latent).
        centroid: (users, latent).
    """
    distances: Tensor = (means - centroid).norm(dim=2)
    return distances.mean(dim=0)


def fitted_anchors(means: Tensor, rows: Rows, weights: Tensor, items: int) -> Tensor:
    """Return the anchors that alignment would learn for an encoder at rest, (items, latent).

    They minimise the sum over users of L_A, so each is the mean of its users' posterior means, a user weighing as the
    item does in the user's centroid. They give a plain autoencoder centroids of its own, since nobody else's anchors
    lie in its space.

    Args:
        means: (masks, users, latent).
        rows: the users' items.
        weights: of each entry in its user's centroid, (entries,).
        items: how many there are; one without users gets the origin.
    """
    mean = means.mean(dim=0)
    total = mean.new_zeros(items, mean.shape[1]).index_add_(0, rows.items, mean[rows.users] * weights[:, None])
    weight = mean.new_zeros(items).index_add_(0, rows.items, weights)
    return total / torch.where(weight > 0, weight, 1.0)[:, None]


def contraction(curvature: float, pull: float) -> float:
    """Return tau = L / (L + 2 lambda_A) of proposition 3.2.

    Args:
        curvature: L, above 0.
        pull: lambda_A, of the squared distance summed over dimensions.

    Raises:
        ModelError: a curvature of 0 or less, where the proposition says nothing.
    """
    if curvature <= 0.0:
        raise ModelError(f"the curvature is {curvature}; it must be above 0: measure more users, or train longer")
    return curvature / (curvature + 2.0 * pull)


def curvature(latent: Latent, rows: Rows, *, probes: int, noise: torch.Generator, tick: Tick) -> Curvature:
    """Estimate the curvature of the negative evidence bound around the posterior means of whole histories.

    The Hessian of the reconstruction, at the mean, is only ever multiplied with vectors, by automatic differentiation;
    that of the KL term is beta times the identity. Its mean eigenvalue is the mean over random signs v of v'Hv / d
    (Hutchinson 1990); its largest one the Rayleigh quotient after POWER_STEPS multiplications, which comes from below.

    Args:
        latent: of a variational autoencoder.
        rows: of the users to average over.
        probes: vectors v a user.
        noise: draws them.
        tick: called after each multiplication.
    """
    points = latent.posterior(rows).mean
    times = _hessian(latent, points, rows)
    total = torch.zeros((), device=points.device)
    for _ in range(probes):
        signs = torch.randint(0, 2, points.shape, generator=noise, device=points.device).float() * 2 - 1
        total += (signs * times(signs)).mean()
        tick()
    vector = torch.randn(points.shape, generator=noise, device=points.device)
    for _ in range(POWER_STEPS):
        vector = torch.nn.functional.normalize(times(vector), dim=1)
        tick()
    top = (vector * times(vector)).sum(dim=1).mean()
    return Curvature(float(total / probes) + latent.prior, float(top) + latent.prior)


def _hessian(latent: Latent, points: Tensor, rows: Rows) -> Callable[[Tensor], Tensor]:
    """Return what multiplies each user's Hessian with the user's row of a matrix (users, latent)."""
    points = points.detach().requires_grad_()
    loss = reconstruction(latent.decode(points), rows).sum()
    # No user's loss depends on another's point, so the Hessian of the sum has one block a user.
    (gradient,) = torch.autograd.grad(loss, points, create_graph=True)

    def times(vectors: Tensor) -> Tensor:
        (product,) = torch.autograd.grad(gradient, points, vectors, retain_graph=True)
        return product

    return times
