"""PIA: personalised item alignment, one loss term that attaches to a variational autoencoder.

T.-L. Vuong et al., "On the Mechanisms of Collaborative Learning in VAE Recommenders", ICLR 2026, arXiv 2511.06781.
Each item gets an anchor in the latent space, and the posterior of a masked history is drawn to the anchors of the whole
history. At inference there is nothing of it: no mask, no anchor. It attaches to Multi-VAE and to RecVAE.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.config import Config, Search, number
from models.gradient import GradientRecommender
from models.learner import Learner, Noise, Pass, Term
from models.multi_vae import MultiVaeConfig, MultiVaeNetwork, Posterior, bag
from models.rec_vae import RecVaeConfig, RecVaeNetwork
from models.rows import Rows

Reduction = Literal["sum", "mean"]
Anchors = Literal["own", "tied"]
Centroid = Literal["mean", "inverse_popularity"]
Autoencoder = MultiVaeNetwork | RecVaeNetwork


@dataclass(frozen=True, kw_only=True)
class AlignmentConfig(Config):
    """The settings of personalised item alignment, whatever it attaches to.

    The source has anchors of their own and the plain mean; the other choices are there to be compared with these.

    Attributes:
        alignment: weight of the alignment term, lambda_A in the source. Its good value depends on `reduction`:
            8 as the mean over 200 dimensions is 0.04 as their sum.
        reduction: whether the squared distance to an anchor is the sum or the mean over latent dimensions.
        anchors: `own` are weights that only the alignment trains; `tied` are the items' rows of the decoder.
        centroid: how a user's items weigh: all the same, or by one over the root of their number of training users.
    """

    alignment: float = number(0.3, at_least=0, search=Search(0.01, 3.0, log=True))
    reduction: Reduction = "sum"
    anchors: Anchors = "own"
    centroid: Centroid = "mean"


@dataclass(frozen=True, kw_only=True)
class PiaConfig(AlignmentConfig, MultiVaeConfig):
    """The settings of personalised item alignment on Multi-VAE (Vuong et al. 2026)."""


@dataclass(frozen=True, kw_only=True)
class PiaRecVaeConfig(AlignmentConfig, RecVaeConfig):
    """The settings of personalised item alignment on RecVAE (Vuong et al. 2026)."""


def alignment_loss(posterior: Posterior, rows: Rows, weights: Tensor, anchors: Tensor, reduction: Reduction) -> Tensor:
    """Return each user's weighted mean over their items of E ||z - e_i||^2, z from the posterior, (users,).

    In closed form: ||mu||^2 - 2 mu . ebar + mean_i ||e_i||^2 + sum sigma^2, with ebar the mean anchor; by
    proposition 3.1 it is ||mu - ebar||^2 + tr Sigma + a constant in the posterior. One sparse product gives both means.
    A user without items is drawn to the origin.

    Args:
        posterior: of the masked rows.
        rows: the users' items, unmasked.
        weights: of each entry of `rows` in its user's mean, (entries,); they sum to 1 for each user.
        anchors: (items, latent).
        reduction: sum or mean over latent dimensions.
    """
    squares = anchors.square().sum(dim=1, keepdim=True)
    means = bag(rows, torch.cat([anchors, squares], dim=1), weights)  # (users, latent + 1)
    centroid, mean_square = means[:, :-1], means[:, -1]
    mu = posterior.mean
    distances = (mu.square() - 2 * mu * centroid + posterior.log_variance.exp()).sum(dim=1) + mean_square
    return distances / mu.shape[1] if reduction == "mean" else distances


class AlignedNetwork(Learner):
    """A variational autoencoder, and the anchors that shape its posterior in training; a child says which anchors.

    The term goes into every pass that minimises the autoencoder's evidence bound, with that pass's posterior. Such a
    pass is the only one of Multi-VAE, and is RecVAE's for the encoder.

    Attributes:
        item_weights: how each item weighs before its user's weights are brought to a sum of 1, (items,).
    """

    item_weights: Tensor

    def __init__(self, vae: Autoencoder, items: int, config: AlignmentConfig) -> None:
        super().__init__()
        self.config = config
        self.vae = vae
        self.training_only = tuple(f"vae.{name}" for name in vae.training_only)
        # Not in the checkpoint either: `prepare` counts again.
        self.register_buffer("item_weights", torch.ones(items), persistent=False)

    def points(self) -> Tensor:
        """Return the anchors, (items, latent), float32."""
        raise NotImplementedError

    def prepare(self, rows: Rows, chance: torch.Generator) -> None:
        """Count how many training users have each item, where that decides how it weighs."""
        self.vae.prepare(rows, chance)
        if self.config.centroid == "inverse_popularity":
            users = rows.items.bincount(minlength=len(self.item_weights))
            self.item_weights = users.clamp(min=1).rsqrt()

    def forward(self, rows: Rows) -> tuple[Tensor, Posterior]:
        """Return logits and posterior of the autoencoder alone."""
        output: tuple[Tensor, Posterior] = self.vae(rows)
        return output

    def losses(self, rows: Rows, epochs_done: Tensor, noise: Noise) -> Mapping[str, Term]:
        """Return the terms of the autoencoder's bound and the alignment."""
        terms, posterior = self.vae.elbo(rows, epochs_done, noise)
        return terms | self.alignment(posterior, rows)

    def passes(self, epoch: int) -> Sequence[Pass]:
        """Return the autoencoder's passes, with the alignment."""
        return [self._with_alignment(each) for each in self.vae.passes(epoch)]

    def alignment(self, posterior: Posterior, rows: Rows) -> dict[str, Term]:
        """Return the alignment of a posterior with the anchors of whole rows, as the one term that it is."""
        loss = alignment_loss(posterior, rows, self.entry_weights(rows), self.points(), self.config.reduction)
        return {"alignment": Term(loss.mean(), weight=self.config.alignment)}

    def entry_weights(self, rows: Rows) -> Tensor:
        """Return how each entry of some rows weighs in its user's centroid, (entries,)."""
        weights = self.item_weights[rows.items]
        totals = weights.new_zeros(len(rows)).index_add_(0, rows.users, weights)
        return weights / totals[rows.users]

    def diagnostics(self) -> Mapping[str, float]:
        """Return the anchors' spread: to anchors that only the alignment trains, one common point would do."""
        return {"anchor_spread": float(anchor_spread(self.points().detach()))}

    def _with_alignment(self, each: Pass) -> Pass:
        return dataclasses.replace(each, losses=self.losses) if each.losses == self.vae.losses else each


class OwnAnchors(AlignedNetwork):
    """Anchors that are weights of their own."""

    def __init__(self, vae: Autoencoder, items: int, config: AlignmentConfig, chance: torch.Generator) -> None:
        super().__init__(vae, items, config)
        self.anchors = nn.Parameter(torch.empty(items, vae.config.latent))
        nn.init.xavier_uniform_(self.anchors, generator=chance)

    def points(self) -> Tensor:
        """Return the anchors, (items, latent)."""
        return self.anchors

    def _with_alignment(self, each: Pass) -> Pass:
        """Train the anchors in the passes that have the term."""
        aligned = super()._with_alignment(each)
        if aligned is each or each.trains is None:
            return aligned
        return dataclasses.replace(aligned, trains=[*each.trains, self.anchors])


class TiedAnchors(AlignedNetwork):
    """Anchors that are the decoder's rows, so that the alignment trains the decoder too.

    A pass of RecVAE trains the encoder or the decoder. So that each gets its part of the gradient, the decoder's pass
    has the term as well, of the posterior of whole histories, which is what that pass decodes.
    """

    @property
    def anchors(self) -> Tensor:
        """Return the anchors, (items, latent)."""
        return self.points()

    def points(self) -> Tensor:
        """Return how each item's logit answers to a step from the origin, (items, latent).

        RecVAE's decoder is linear, and these are its weights. That of Multi-VAE is W tanh(V z + b) but for a bias; W is
        as wide as the hidden layer, and W V is its derivative where tanh has slope 1.
        """
        if isinstance(self.vae, MultiVaeNetwork):
            return (self.vae.to_logits.weight @ self.vae.from_latent.weight).float()
        return self.vae.decoder.weight

    def _with_alignment(self, each: Pass) -> Pass:
        aligned = super()._with_alignment(each)
        if aligned is not each:
            return aligned

        def losses(rows: Rows, epochs_done: Tensor, noise: Noise) -> Mapping[str, Term]:
            return {**each.losses(rows, epochs_done, noise), **self.alignment(self.vae.encode(rows), rows)}

        return dataclasses.replace(each, losses=losses)


class Pia(GradientRecommender[PiaConfig]):
    """Recommend by Multi-VAE trained with personalised item alignment."""

    name = "pia"
    config_type = PiaConfig

    def build(self, items: int, chance: torch.Generator) -> AlignedNetwork:
        """Return an untrained network."""
        return aligned(MultiVaeNetwork(items, self.config, chance), items, self.config, chance)


class PiaRecVae(GradientRecommender[PiaRecVaeConfig]):
    """Recommend by RecVAE trained with personalised item alignment."""

    name = "pia_rec_vae"
    config_type = PiaRecVaeConfig

    def build(self, items: int, chance: torch.Generator) -> AlignedNetwork:
        """Return an untrained network."""
        return aligned(RecVaeNetwork(items, self.config, chance), items, self.config, chance)


def aligned(vae: Autoencoder, items: int, config: AlignmentConfig, chance: torch.Generator) -> AlignedNetwork:
    """Return an autoencoder with the anchors of the settings; anchors of their own are drawn from `chance`."""
    if config.anchors == "tied":
        return TiedAnchors(vae, items, config)
    return OwnAnchors(vae, items, config, chance)


def anchor_spread(anchors: Tensor) -> Tensor:
    """Return the root mean squared distance of the anchors from their mean; 0 is collapse."""
    return anchors.var(dim=0, correction=0).sum().sqrt()
