"""Multi-VAE: a variational autoencoder with a multinomial likelihood.

D. Liang, R. G. Krishnan, M. D. Hoffman, T. Jebara, "Variational Autoencoders for Collaborative Filtering", WWW 2018.
No tensor holds what is not there: the first layer sums the rows of the items that a user has, and the likelihood reads
the logits of those items only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - its common name
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from models.config import Search, TrainingConfig, number
from models.gradient import GradientRecommender
from models.item_layer import ItemLayer
from models.learner import Learner, Term
from models.rows import Rows


@dataclass(frozen=True, kw_only=True)
class MultiVaeConfig(TrainingConfig):
    """The settings of Multi-VAE (Liang et al. 2018).

    Attributes:
        hidden: units of the hidden layer, the same in the encoder and in the decoder.
        latent: dimensions of the latent space.
        keep: probability that an interaction passes the input mask.
        beta_max: weight of the KL term once it is annealed.
        anneal_epochs: epochs over which that weight grows from 0. The source grows it by 1/200,000 a step, so to 0.2
            in 40,000 steps; at the 234 steps an epoch of MovieLens 20M these are 171 epochs.
    """

    hidden: int = number(600, at_least=1)
    latent: int = number(200, at_least=1)
    keep: float = number(0.5, above=0, at_most=1, search=Search(0.2, 0.9))
    beta_max: float = number(0.2, at_least=0, search=Search(0.02, 1.0, log=True))
    anneal_epochs: int = number(171, at_least=1, search=Search(10, 200, log=True))


@dataclass(frozen=True, eq=False)
class Posterior:
    """Diagonal normal distributions, one a user.

    Attributes:
        mean: (users, latent), float32.
        log_variance: (users, latent), float32.
    """

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: torch.Generator) -> Tensor:
        """Draw one point a user, differentiable in mean and variance."""
        draws = torch.randn(self.mean.shape, generator=noise, device=self.mean.device)
        return self.mean + draws * (0.5 * self.log_variance).exp()

    def kl(self) -> Tensor:
        """Return the divergence from the standard normal, (users,), in nats."""
        terms = self.mean.square() + self.log_variance.exp() - self.log_variance - 1
        return 0.5 * terms.sum(dim=1)


class MultiVaeNetwork(Learner):
    """items -> hidden -> latent -> hidden -> items, tanh between."""

    def __init__(self, items: int, config: MultiVaeConfig, chance: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.item_rows = nn.Parameter(torch.empty(items, config.hidden))  # the first layer, one row an item
        self.item_bias = nn.Parameter(torch.empty(config.hidden))
        self.to_posterior = nn.Linear(config.hidden, 2 * config.latent)
        self.from_latent = nn.Linear(config.latent, config.hidden)
        self.to_logits = ItemLayer(config.hidden, items)
        initialise(self, chance)

    def forward(self, rows: Rows, noise: torch.Generator | None = None) -> tuple[Tensor, Posterior]:
        """Return logits (users, items) and the posterior; with `noise`, of a masked input and a sampled point."""
        posterior = self.encode(rows, noise)
        return self.decode(posterior.mean if noise is None else posterior.sample(noise)), posterior

    def encode(self, rows: Rows, noise: torch.Generator | None = None) -> Posterior:
        """Return the posterior of the rows at unit length, masked where there is `noise`."""
        weights = rows.unit_weights()
        if noise is not None:
            weights = weights * mask(weights, self.config.keep, noise)
        summed = bag(rows, self.item_rows, weights)  # (users, hidden)
        both = self.to_posterior((summed + self.item_bias).tanh()).float()  # (users, 2 latent)
        return Posterior(*both.chunk(2, dim=1))

    def decode(self, points: Tensor) -> Tensor:
        """Return the logits (points, items) of points (points, latent)."""
        logits: Tensor = self.to_logits(self.from_latent(points).tanh())
        return logits

    def elbo(self, rows: Rows, epochs_done: Tensor, noise: torch.Generator) -> tuple[dict[str, Term], Posterior]:
        """Return the terms of the negative evidence bound, equation 7 of the source, and the posterior."""
        logits, posterior = self(rows, noise)
        reconstruction = multinomial_loss(logits, rows)
        return {
            "reconstruction": Term(reconstruction.mean()),
            "kl": Term(posterior.kl().mean(), weight=annealed(self.config, epochs_done)),
        }, posterior

    def losses(self, rows: Rows, epochs_done: Tensor, noise: torch.Generator) -> Mapping[str, Term]:
        """Return the terms whose weighted sum is minimised."""
        return self.elbo(rows, epochs_done, noise)[0]


class MultiVae(GradientRecommender[MultiVaeConfig]):
    """Recommend by Multi-VAE."""

    name = "multi_vae"
    config_type = MultiVaeConfig

    def build(self, items: int, chance: torch.Generator) -> MultiVaeNetwork:
        """Return an untrained network."""
        return MultiVaeNetwork(items, self.config, chance)


def initialise(network: nn.Module, chance: torch.Generator) -> None:
    """Draw weights by Xavier's rule and biases from a narrow normal, as the authors of Multi-VAE did."""
    for parameter in network.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter, generator=chance)
        else:
            nn.init.trunc_normal_(parameter, std=0.001, a=-0.002, b=0.002, generator=chance)


def annealed(config: MultiVaeConfig, epochs_done: Tensor) -> Tensor:
    """Return the weight of the KL term after so many epochs, ()."""
    return config.beta_max * (epochs_done / config.anneal_epochs).clamp(max=1.0)


def mask(like: Tensor, keep: float, noise: torch.Generator) -> Tensor:
    """Return `1 / keep` with probability `keep`, else 0, for each entry."""
    draws = torch.rand(like.shape, generator=noise, device=like.device)
    return (draws < keep) / keep


def bag(rows: Rows, table: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sum of each user's rows of a table.

    Args:
        rows: the users' items.
        table: (items, width).
        weights: one for each entry of `rows`, (entries,).

    Returns:
        (users, width).
    """
    return F.embedding_bag(
        rows.items, table, rows.offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
    )


def multinomial_loss(logits: Tensor, rows: Rows) -> Tensor:
    """Return each user's negative multinomial log-likelihood, (users,), in float32 and in nats.

    With n items it is n logsumexp(logits) minus the sum of their logits.

    Args:
        logits: (users, items), float32 or bfloat16.
        rows: the users' items.
    """
    loss: Tensor = _MultinomialLoss.apply(logits, rows)  # type: ignore[no-untyped-call]
    return loss


class _MultinomialLoss(torch.autograd.Function):
    """The loss with its gradient by hand: the softmax serves both, so two passes over (users, items) are saved."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, rows: Rows) -> Tensor:
        users = rows.users
        shares = logits.softmax(dim=1, dtype=torch.float32)
        # At the largest logit, log softmax is far from underflow, so this is logsumexp to float32's precision.
        log_sum = logits.amax(dim=1).float() - shares.amax(dim=1).log()
        own = logits[users, rows.items].float()
        ctx.shares, ctx.rows, ctx.dtype = shares, rows, logits.dtype
        return rows.lengths * log_sum - log_sum.new_zeros(len(rows)).index_add_(0, users, own)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        shares, rows = ctx.shares, ctx.rows
        ctx.shares = None  # it becomes the gradient, so a second backward pass must fail
        users = rows.users
        gradient = shares.mul_((rows.lengths * upstream)[:, None])
        # Each (user, item) is there once, so plain assignment will do and its order does not matter.
        gradient[users, rows.items] = gradient[users, rows.items] - upstream[users]
        return gradient.to(ctx.dtype), None
