"""Whether a latent space, or the anchors in it, have fallen together."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.multi_vae import Posterior

ACTIVE_NATS = 0.01
ROUNDING = 1e-6  # of float32; what is nearer than that coincides


@dataclass(frozen=True)
class Anchors:
    """How the anchors lie.

    Attributes:
        spread: root mean squared distance from their mean; 0 is collapse.
        rank: their effective rank, between 1 and the latent dimensions.
    """

    spread: float
    rank: float


def active_dimensions(posterior: Posterior) -> int:
    """Count the latent dimensions that tell something of users: mean KL from the standard normal above ACTIVE_NATS.

    A dimension that tells nothing is the prior for every user, with a divergence of 0. Burda et al., "Importance
    Weighted Autoencoders", ICLR 2016, count by the variance of the mean over users instead, with the same threshold.
    """
    terms = 0.5 * (posterior.mean.square() + posterior.log_variance.exp() - posterior.log_variance - 1)
    return int((terms.mean(dim=0) > ACTIVE_NATS).sum())


def effective_rank(points: Tensor) -> float:
    """Return the effective rank of points around their mean: 1 on a line, d where they fill d dimensions evenly.

    It is exp of the entropy of the singular values as shares of their sum (Roy and Vetterli, EUSIPCO 2007); points that
    all coincide have rank 0.

    Args:
        points: (points, latent).
    """
    values = torch.linalg.svdvals(points - points.mean(dim=0))
    if values[0] <= ROUNDING * points.norm():
        return 0.0
    shares = values / values.sum()
    return float(torch.special.entr(shares).sum().exp())
