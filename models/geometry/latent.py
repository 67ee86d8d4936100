"""What is asked of a recommender with a latent space: a posterior for any history, a decoder, anchors if it has any.

A learner answers by `encode(rows, noise)` and `decode(points)`, its own or those of its `vae`; by `anchors` and
`entry_weights(rows)`, where it is aligned; and by reading the probability of its mask from `config.keep` as it encodes.
"""

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from models.alignment import AlignedNetwork
from models.errors import ModelError
from models.gradient import GradientRecommender
from models.multi_vae import Posterior
from models.recommender import Recommender, checked_histories
from models.rows import Rows

Tick = Callable[[], None]


def silent() -> None:
    """Tell nobody that a step is done."""


class Network(Protocol):
    """A network that encodes histories and decodes points."""

    config: Any

    def encode(self, rows: Rows, noise: torch.Generator | None = None) -> Posterior:
        """Return the posterior of whole histories, or of masked ones where there is `noise`."""
        ...

    def decode(self, points: Tensor) -> Tensor:
        """Return the logits of points."""
        ...


@dataclass(frozen=True, eq=False)
class Latent:
    """The latent space of a fitted recommender.

    Attributes:
        network: encodes and decodes.
        anchors: one an item, (items, latent); None where the arm has none.
        weights: returns how each entry of some rows weighs in its user's centroid, (entries,).
        pull: weight of ||z - e||^2, summed over latent dimensions, in the loss: lambda_A of the source; 0 without
            anchors. A term that averages over d dimensions pulls with lambda_A / d.
        prior: weight of the KL term at the end of training, beta; 0 where an arm has another kind of prior.
        keep: probability that an interaction passes the mask.
    """

    network: Network
    anchors: Tensor | None
    weights: Callable[[Rows], Tensor]
    pull: float
    prior: float
    keep: float

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Return the network's parameters."""
        assert isinstance(self.network, nn.Module)
        return list(self.network.parameters())

    @property
    def device(self) -> torch.device:
        """Return where the network is."""
        return self.parameters[0].device

    def masked_with(self, keep: float) -> "Latent":
        """Return the same space, seen through another mask.

        Raises:
            ModelError: the probability is outside (0, 1], or the network has no mask.
        """
        if not hasattr(self.network.config, "keep"):
            raise ModelError(f"a mask that keeps {keep} is asked for, and this arm has no mask; leave keep out")
        # The copy shares every weight; only what it reads the mask from is its own.
        network = copy.copy(self.network)
        network.config = dataclasses.replace(network.config, keep=keep)
        return dataclasses.replace(self, network=network, keep=keep)

    def posterior(self, rows: Rows, noise: torch.Generator | None = None) -> Posterior:
        """Return the posterior of each history, masked where there is `noise`, without gradient."""
        with torch.no_grad():
            return self.network.encode(rows, noise)

    def masked_means(self, rows: Rows, masks: int, noise: torch.Generator, *, tick: Tick) -> Tensor:
        """Return the posterior mean of each history under each of some masks, (masks, users, latent).

        Args:
            rows: the users' items.
            masks: how many.
            noise: draws them.
            tick: called after each mask.
        """
        means = []
        for _ in range(masks):
            means.append(self.posterior(rows, noise).mean)
            tick()
        return torch.stack(means)

    def views(self, histories: csr_matrix, masks: int, *, seed: int) -> NDArray[np.float32]:
        """Return the same for histories (users, items), as an array, with masks drawn from a seed."""
        noise = torch.Generator(self.device).manual_seed(seed)
        means = self.masked_means(Rows.of(histories, self.device), masks, noise, tick=silent)
        views: NDArray[np.float32] = means.cpu().numpy()
        return views

    def decode(self, points: Tensor) -> Tensor:
        """Return the logits of points of the space, (points, items).

        Args:
            points: (points, latent).
        """
        return self.network.decode(points).float()


def latent_of(recommender: Recommender, histories: csr_matrix) -> Latent:
    """Return the latent space of a fitted recommender.

    Args:
        recommender: fitted or restored.
        histories: of its training users, (users, items). An arm whose centroids weigh items by their popularity counts
            them again, since artifacts go without the counts.

    Raises:
        ModelError: the recommender has no posterior, is not fitted, or was fitted on another number of items.
    """
    checked_histories(histories, recommender.items, recommender.name)
    learner = recommender.fitted() if isinstance(recommender, GradientRecommender) else None
    network: Any = getattr(learner, "vae", learner)
    if not (hasattr(network, "encode") and hasattr(network, "decode")):
        raise ModelError(
            f"{recommender.name} has no posterior, so no latent geometry; choose a variational arm, such as multi_vae"
        )
    config: Any = recommender.config
    plain = Latent(
        network=network,
        anchors=None,
        weights=Rows.mean_weights,
        pull=0.0,
        prior=getattr(config, "beta_max", 0.0),
        keep=getattr(config, "keep", 1.0),
    )
    return _aligned(plain, learner, histories) if isinstance(learner, AlignedNetwork) else plain


def reconstruction(logits: Tensor, rows: Rows) -> Tensor:
    """Return each user's negative multinomial log-likelihood, (users,), in nats.

    It is `models.multi_vae.multinomial_loss` by plain operations, which can be differentiated twice.

    Args:
        logits: (users, items).
        rows: the users' items.
    """
    own = logits[rows.users, rows.items]
    return rows.lengths * logits.logsumexp(dim=1) - torch.zeros_like(logits[:, 0]).index_add(0, rows.users, own)


def _aligned(plain: Latent, learner: AlignedNetwork, histories: csr_matrix) -> Latent:
    learner.prepare(Rows.of(histories, plain.device), torch.Generator())
    anchors, config = learner.points().detach(), learner.config
    pull = config.alignment / anchors.shape[1] if config.reduction == "mean" else config.alignment
    return dataclasses.replace(plain, anchors=anchors, weights=learner.entry_weights, pull=pull)
