"""RecVAE: a variational autoencoder whose prior remembers the encoder of the epoch before, trained in turns.

I. Shenbin, A. Alekseev, E. Tutubalina, V. Malykh, S. I. Nikolenko, "RecVAE: A New Variational Autoencoder for Top-N
Recommendations with Implicit Feedback", WSDM 2020; facts that the text leaves open are those of the authors' program,
https://github.com/ilya-shenbin/RecVAE. In an epoch the encoder learns in three passes over the users, on masked
histories, then the decoder in one, on whole ones. The divergence from the prior weighs more the more items a user has.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - its common name
from torch import Tensor, nn

from models.config import Search, TrainingConfig, number
from models.gradient import GradientRecommender
from models.item_layer import ItemLayer
from models.learner import Learner, Noise, Pass, Term
from models.multi_vae import Posterior, bag, mask, multinomial_loss
from models.rows import Rows

DENSE_LAYERS = 5  # of the encoder
NORM_EPSILON = 0.1  # of its layer norms, which the source has far above the common 1e-5
STANDARD, REMEMBERED, WIDE = 3 / 20, 3 / 4, 1 / 10  # weights of the three normals of the prior
WIDE_LOG_VARIANCE = 10.0


@dataclass(frozen=True, kw_only=True)
class RecVaeConfig(TrainingConfig):
    """The settings of RecVAE (Shenbin et al. 2020), with the source's defaults for MovieLens 20M.

    The source trains 50 epochs and takes the best; here patience, of 30 epochs by default, may end training sooner.

    Attributes:
        learning_rate: of Adam, in both kinds of passes.
        epochs: each of all passes that follow.
        hidden: units of each dense layer of the encoder.
        latent: dimensions of the latent space.
        keep: probability that an interaction passes the input mask in the encoder's passes.
        gamma: weight of the divergence for each item that the user has.
        encoder_passes: over the users in an epoch, that train the encoder.
        decoder_passes: over the users after those, that train the decoder.
    """

    learning_rate: float = number(5e-4, above=0, search=Search(1e-4, 2e-3, log=True))
    epochs: int = number(50, at_least=1)
    hidden: int = number(600, at_least=1)
    latent: int = number(200, at_least=1)
    keep: float = number(0.5, above=0, at_most=1, search=Search(0.2, 0.9))
    gamma: float = number(0.005, at_least=0, search=Search(5e-4, 0.05, log=True))
    encoder_passes: int = number(3, at_least=1)
    decoder_passes: int = number(1, at_least=1)


def log_normal(points: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the log density of a normal in each dimension of some points, (users, latent)."""
    return -0.5 * (math.log(2 * math.pi) + log_variance + (points - mean).square() / log_variance.exp())


def log_prior(points: Tensor, old: Posterior) -> Tensor:
    """Return the log density of the composite prior in each dimension of some points, (users, latent).

    Each dimension mixes three normals by itself: the standard one, the posterior that the old encoder has of the user,
    and one as wide as log variance 10. So says the source's program; its text writes one mixture over the whole space.

    Args:
        points: one a user, (users, latent).
        old: what the old encoder says of the same users.
    """
    zero = torch.zeros((), device=points.device)
    parts = [
        log_normal(points, zero, zero) + math.log(STANDARD),
        log_normal(points, old.mean, old.log_variance) + math.log(REMEMBERED),
        log_normal(points, zero, zero + WIDE_LOG_VARIANCE) + math.log(WIDE),
    ]
    return torch.stack(parts).logsumexp(dim=0)


def divergence(points: Tensor, posterior: Posterior, old: Posterior) -> Tensor:
    """Estimate each user's divergence of the posterior from the composite prior by one point, (users,), in nats.

    Args:
        points: drawn from the posterior, (users, latent).
        posterior: of the users.
        old: what the old encoder says of them.
    """
    ratios = log_normal(points, posterior.mean, posterior.log_variance) - log_prior(points, old)
    return ratios.sum(dim=1)


class DenseEncoder(nn.Module):
    """Five layers; each takes the one before through its weights, and the sum of all before as it is."""

    def __init__(self, items: int, config: RecVaeConfig) -> None:
        super().__init__()
        self.item_rows = nn.Parameter(torch.empty(items, config.hidden))  # the first layer, one row an item
        self.item_bias = nn.Parameter(torch.empty(config.hidden))
        self.layers = nn.ModuleList(nn.Linear(config.hidden, config.hidden) for _ in range(DENSE_LAYERS - 1))
        self.norms = nn.ModuleList(nn.LayerNorm(config.hidden, eps=NORM_EPSILON) for _ in range(DENSE_LAYERS))
        self.to_posterior = nn.Linear(config.hidden, 2 * config.latent)

    def forward(self, rows: Rows, weights: Tensor) -> Posterior:
        """Return the posterior of rows whose entries have some weights, (entries,)."""
        summed = bag(rows, self.item_rows, weights) + self.item_bias  # (users, hidden)
        last = total = self.norms[0](F.silu(summed))
        for layer, norm in zip(self.layers, self.norms[1:], strict=True):
            last = norm(F.silu(layer(last) + total))
            total = total + last
        both = self.to_posterior(last).float()  # (users, 2 latent)
        return Posterior(*both.chunk(2, dim=1))


class RecVaeNetwork(Learner):
    """A deep encoder, a decoder of one linear layer, and the encoder as it was, for the prior."""

    training_only = ("old_encoder",)

    def __init__(self, items: int, config: RecVaeConfig, chance: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.encoder = DenseEncoder(items, config)
        self.decoder = ItemLayer(config.latent, items)
        self.old_encoder = DenseEncoder(items, config)
        initialise(self, chance)

    def forward(self, rows: Rows) -> tuple[Tensor, Posterior]:
        """Return logits (users, items) of the mean, and the posterior, of whole histories."""
        posterior = self.encode(rows)
        return self.decode(posterior.mean), posterior

    def encode(self, rows: Rows, noise: Noise | None = None) -> Posterior:
        """Return the posterior of the rows at unit length, masked where there is `noise`."""
        weights = rows.unit_weights()
        if noise is not None:
            weights = weights * mask(weights, self.config.keep, noise)
        posterior: Posterior = self.encoder(rows, weights)
        return posterior

    def decode(self, points: Tensor) -> Tensor:
        """Return the logits (points, items) of points (points, latent)."""
        logits: Tensor = self.decoder(points)
        return logits

    def passes(self, epoch: int) -> Sequence[Pass]:
        """Return the encoder's passes, then the decoder's, before which the prior takes up the encoder."""
        encoder = Pass(self.losses, name="encoder", trains=list(self.encoder.parameters()))
        # The encoder rests from here on, so that to take it up before each decoder pass changes nothing.
        decoder = Pass(self.decoder_losses, name="decoder", trains=list(self.decoder.parameters()), begin=self.remember)
        return [encoder] * self.config.encoder_passes + [decoder] * self.config.decoder_passes

    def elbo(self, rows: Rows, epochs_done: Tensor, noise: Noise) -> tuple[dict[str, Term], Posterior]:
        """Return the terms of the negative evidence bound, on masked rows, and the posterior."""
        posterior = self.encode(rows, noise)
        points = posterior.sample(noise)
        reconstruction = multinomial_loss(self.decode(points), rows)
        with torch.no_grad():
            old = self.old_encoder(rows, rows.unit_weights())
        kl = rows.lengths * divergence(points, posterior, old)
        return {
            "reconstruction": Term(reconstruction.mean()),
            "kl": Term(kl.mean(), weight=self.config.gamma),
        }, posterior

    def losses(self, rows: Rows, epochs_done: Tensor, noise: Noise) -> Mapping[str, Term]:
        """Return the terms that the encoder minimises."""
        return self.elbo(rows, epochs_done, noise)[0]

    def decoder_losses(self, rows: Rows, epochs_done: Tensor, noise: Noise) -> Mapping[str, Term]:
        """Return the term that the decoder minimises, from a point of the posterior of whole rows."""
        with torch.no_grad():
            points = self.encode(rows).sample(noise)
        return {"reconstruction": Term(multinomial_loss(self.decode(points), rows).mean())}

    def remember(self) -> None:
        """Make the encoder as it is the old one."""
        self.old_encoder.load_state_dict(self.encoder.state_dict())


class RecVae(GradientRecommender[RecVaeConfig]):
    """Recommend by RecVAE."""

    name = "rec_vae"
    config_type = RecVaeConfig

    def build(self, items: int, chance: torch.Generator) -> RecVaeNetwork:
        """Return an untrained network."""
        return RecVaeNetwork(items, self.config, chance)


def initialise(network: nn.Module, chance: torch.Generator) -> None:
    """Draw each dense layer's weights and biases within one over the root of its inputs, as torch and the source do.

    Layer norms stay neutral, with weights of 1 and biases of 0.
    """
    for module in network.modules():
        if isinstance(module, DenseEncoder):
            _draw((module.item_rows, module.item_bias), len(module.item_rows), chance)
        elif isinstance(module, nn.Linear):
            _draw((module.weight, module.bias), module.in_features, chance)


def _draw(parameters: Sequence[Tensor], inputs: int, chance: torch.Generator) -> None:
    bound = inputs**-0.5
    for parameter in parameters:
        nn.init.uniform_(parameter, -bound, bound, generator=chance)
