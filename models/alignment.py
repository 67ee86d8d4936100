"""PIA: personalised item alignment, one loss term that attaches to a variational autoencoder.

T.-L. Vuong et al., "On the Mechanisms of Collaborative Learning in VAE Recommenders", ICLR 2026, arXiv 2511.06781.
Each item gets an anchor in the latent space, and the posterior of a masked history is drawn to the anchors of the whole
history. At inference there is nothing of it: no mask, no anchor.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.config import Search, number
from models.gradient import GradientRecommender
from models.learner import Learner, Term
from models.multi_vae import MultiVaeConfig, MultiVaeNetwork, Posterior, bag
from models.rows import Rows

Reduction = Literal["sum", "mean"]


@dataclass(frozen=True, kw_only=True)
class PiaConfig(MultiVaeConfig):
    """The settings of personalised item alignment on Multi-VAE (Vuong et al. 2026).

    Attributes:
        alignment: weight of the alignment term, lambda_A in the source. Its good value depends on `reduction`:
            8 as the mean over 200 dimensions is 0.04 as their sum.
        reduction: whether the squared distance to an anchor is the sum or the mean over latent dimensions.
    """

    alignment: float = number(0.3, at_least=0, search=Search(0.01, 3.0, log=True))
    reduction: Reduction = "sum"


def alignment_loss(posterior: Posterior, rows: Rows, anchors: Tensor, reduction: Reduction) -> Tensor:
    """Return each user's mean over their items of E ||z - e_i||^2, z from the posterior, (users,).

    In closed form: ||mu||^2 - 2 mu . ebar + mean_i ||e_i||^2 + sum sigma^2, with ebar the mean anchor; by
    proposition 3.1 it is ||mu - ebar||^2 + tr Sigma + a constant in the posterior. One sparse product gives both means.
    A user without items is drawn to the origin.

    Args:
        posterior: of the masked rows.
        rows: the users' items, unmasked.
        anchors: (items, latent).
        reduction: sum or mean over latent dimensions.
    """
    squares = anchors.square().sum(dim=1, keepdim=True)
    means = bag(rows, torch.cat([anchors, squares], dim=1), rows.mean_weights())  # (users, latent + 1)
    centroid, mean_square = means[:, :-1], means[:, -1]
    mu = posterior.mean
    distances = (mu.square() - 2 * mu * centroid + posterior.log_variance.exp()).sum(dim=1) + mean_square
    return distances / mu.shape[1] if reduction == "mean" else distances


class AlignedNetwork(Learner):
    """A variational autoencoder, and the anchors that shape its posterior in training."""

    def __init__(self, vae: MultiVaeNetwork, items: int, config: PiaConfig, chance: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.vae = vae
        self.anchors = nn.Parameter(torch.empty(items, config.latent))
        nn.init.xavier_uniform_(self.anchors, generator=chance)

    def forward(self, rows: Rows) -> tuple[Tensor, Posterior]:
        """Return logits and posterior of the autoencoder alone."""
        output: tuple[Tensor, Posterior] = self.vae(rows)
        return output

    def losses(self, rows: Rows, epochs_done: float, noise: torch.Generator) -> Mapping[str, Term]:
        """Return the autoencoder's terms and the alignment."""
        terms, posterior = self.vae.elbo(rows, epochs_done, noise)
        alignment = alignment_loss(posterior, rows, self.anchors, self.config.reduction)
        return terms | {"alignment": Term(alignment.mean(), weight=self.config.alignment)}

    def diagnostics(self) -> Mapping[str, float]:
        """Return the anchors' spread; they get gradient from the alignment alone, which one common point would suit."""
        return {"anchor_spread": float(anchor_spread(self.anchors.detach()))}


class Pia(GradientRecommender[PiaConfig]):
    """Recommend by Multi-VAE trained with personalised item alignment."""

    name = "pia"
    config_type = PiaConfig

    def build(self, items: int, chance: torch.Generator) -> AlignedNetwork:
        """Return an untrained network."""
        return AlignedNetwork(MultiVaeNetwork(items, self.config, chance), items, self.config, chance)


def anchor_spread(anchors: Tensor) -> Tensor:
    """Return the root mean squared distance of the anchors from their mean; 0 is collapse."""
    return anchors.var(dim=0, correction=0).sum().sqrt()
