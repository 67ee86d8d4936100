"""RaCT: a variational autoencoder, the actor, that learns from a critic of its ranking.

S. Lobel, C. Li, J. Gao, L. Carin, "RaCT: Toward Amortized Ranking-Critical Training for Collaborative Filtering", ICLR
2020; facts that the text leaves open are those of the authors' program, https://github.com/samlobel/RaCT_CF. NDCG has
no gradient, so a small network learns to tell it from the likelihood and two counts, and the actor climbs that network.

Three phases: the actor learns by likelihood, as Multi-VAE; then the critic learns to judge the actor at rest; then each
epoch is a pass of the actor and one of the critic. Where this differs from the source:

- There, both take their step on each batch of the last phase; here the critic rests for the actor's pass.
- There, the last two phases start from the actor's best epoch on validation users; here from its last one.
- There, what the critic is told is standardised by averages that move along with the actor's own phase; here by the
  moments that the actor has at its end, measured once.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.config import Search, number
from models.errors import ModelError
from models.gradient import GradientRecommender
from models.learner import Learner, Noise, Pass, Term
from models.multi_vae import MultiVaeConfig, MultiVaeNetwork, Posterior, initialise, mask, multinomial_loss
from models.ranking import DEPTH
from models.rows import Rows

FEATURES = 3
LEAST_VARIANCE = 1e-3  # is added to that of a feature
CRITIC_DECAY = 1e-4  # weight of the critic's squared weights, for the users of a batch together
MEASURED_USERS = 1_000  # standardise what the critic is told; their means are within some hundredths of a deviation


@dataclass(frozen=True, kw_only=True)
class RactConfig(MultiVaeConfig):
    """The settings of RaCT (Lobel et al. 2020) on Multi-VAE.

    Rates and epochs are the source's, those for MovieLens 20M in batches of 500. What is left of `epochs` after the
    first two phases is the last one's, and patience counts from there.

    Attributes:
        actor_epochs: the actor learns alone, at `learning_rate`.
        critic_epochs: the critic learns alone.
        critic_learning_rate: of the critic, then and later.
        joint_learning_rate: of the actor while it learns from the critic.
    """

    actor_epochs: int = number(100, at_least=1)
    critic_epochs: int = number(50, at_least=1)
    critic_learning_rate: float = number(1e-4, above=0)
    joint_learning_rate: float = number(2e-6, above=0, search=Search(1e-6, 1e-4, log=True))

    def __post_init__(self) -> None:
        super().__post_init__()
        before = self.actor_epochs + self.critic_epochs
        if self.epochs <= before:
            raise ModelError(
                f"epochs is {self.epochs}; it must be above actor_epochs + critic_epochs, {before}, since the actor "
                "learns from the critic in those that are left: raise epochs, or lower one of the two"
            )


class Critic(nn.Module):
    """Tells the NDCG@100 of a prediction from its features."""

    mean: Tensor
    scale: Tensor

    def __init__(self, chance: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Linear(FEATURES, 100), nn.ReLU()),
            *(nn.Linear(100, 100), nn.ReLU()),
            *(nn.Linear(100, 10), nn.ReLU()),
            nn.Linear(10, 1),
        )
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("scale", torch.ones(FEATURES))
        initialise(self, chance)

    def forward(self, features: Tensor) -> Tensor:
        """Return a value in (0, 1) for each row of features, (users,)."""
        # Half the bits are too few for a value that changes by a thousandth from step to step.
        with torch.autocast(features.device.type, enabled=False):
            values: Tensor = self.layers((features - self.mean) * self.scale)
            return values.squeeze(1).sigmoid()

    def standardise_by(self, features: Tensor) -> None:
        """From now on, bring features to the mean 0 and the variance 1 that these would have, (users, features)."""
        self.mean.copy_(features.mean(dim=0))
        self.scale.copy_((features.var(dim=0, correction=0) + LEAST_VARIANCE).rsqrt())


@dataclass(frozen=True, eq=False)
class Attempt:
    """What the actor made of masked histories.

    Attributes:
        logits: (users, items).
        seen: whether each entry of the histories passed the mask, (entries,).
        features: the negative log-likelihood of the whole history in nats, how many of its items were masked out, and
            how many were seen, (users, 3).
    """

    logits: Tensor
    seen: Tensor
    features: Tensor


class RactNetwork(Learner):
    """An actor, and a critic that only training needs.

    Attributes:
        vae: the actor.
        critic: of the actor.
    """

    training_only = ("critic",)

    def __init__(self, items: int, config: RactConfig, chance: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.vae = MultiVaeNetwork(items, config, chance)
        self.critic = Critic(chance)
        self.least_epochs = config.actor_epochs + config.critic_epochs

    def prepare(self, rows: Rows, chance: torch.Generator) -> None:
        """Draw the users by whom the critic's features are standardised."""
        self._measured = rows.take(torch.randperm(len(rows), generator=chance)[:MEASURED_USERS])

    def forward(self, rows: Rows) -> tuple[Tensor, Posterior]:
        """Return logits and posterior of the actor alone."""
        output: tuple[Tensor, Posterior] = self.vae(rows)
        return output

    def passes(self, epoch: int) -> Sequence[Pass]:
        """Return the actor's pass, the critic's, or both, as the phase has it."""
        actor, critic = list(self.vae.parameters()), list(self.critic.parameters())
        judged = Pass(self.critic_losses, name="critic", trains=critic, learning_rate=self.config.critic_learning_rate)
        if epoch <= self.config.actor_epochs:
            return (Pass(self.losses, name="actor", trains=actor),)
        if epoch <= self.least_epochs:
            # The actor rests, so what is measured is the same before each of these epochs.
            return (dataclasses.replace(judged, begin=self.standardise),)
        climbing = Pass(
            self.value_losses,
            name="actor",
            trains=actor,
            learning_rate=self.config.joint_learning_rate,
            afresh=epoch == self.least_epochs + 1,
        )
        return climbing, judged

    def losses(self, rows: Rows, epochs_done: Tensor, noise: Noise) -> Mapping[str, Term]:
        """Return the terms that the actor minimises before there is a critic: those of Multi-VAE."""
        return self.vae.losses(rows, epochs_done, noise)

    def value_losses(self, rows: Rows, epochs_done: Tensor, noise: Noise) -> Mapping[str, Term]:
        """Return the critic's value, which the actor maximises."""
        return {"value": Term(self.critic(self.attempt(rows, noise).features).mean(), weight=-1.0)}

    def critic_losses(self, rows: Rows, epochs_done: Tensor, noise: Noise) -> Mapping[str, Term]:
        """Return the squared error of the critic's value, its penalty, and the NDCG@100 that it should tell."""
        with torch.no_grad():
            attempt = self.attempt(rows, noise)
            target = masked_out_ndcg(attempt.logits, rows, attempt.seen)
        squares = torch.stack([parameter.square().sum() for parameter in self.critic.parameters()])
        return {
            "error": Term((self.critic(attempt.features) - target).square().mean()),
            "penalty": Term(squares.sum(), weight=CRITIC_DECAY / self.config.batch),
            "ndcg": Term(target.mean(), weight=0.0),
        }

    def attempt(self, rows: Rows, noise: Noise) -> Attempt:
        """Let the actor predict from masked histories."""
        # The actor draws its mask first, so the same draws are told here ahead of it.
        seen = mask(rows.users, self.config.keep, noise.clone_state()) > 0
        logits, _ = self.vae(rows, noise)
        seen_items = torch.zeros(len(rows), device=seen.device).index_add_(0, rows.users, seen.float())
        features = torch.stack([multinomial_loss(logits, rows), rows.lengths - seen_items, seen_items], dim=1)
        return Attempt(logits, seen, features)

    def standardise(self) -> None:
        """Standardise the critic's features by those of some users under the actor as it is."""
        device = self.critic.mean.device
        rows = Rows(*(part.to(device) for part in (self._measured.items, self._measured.offsets, self._measured.ids)))
        with torch.no_grad():
            attempts = self.attempt(rows, torch.Generator(device).manual_seed(0))
        self.critic.standardise_by(attempts.features)


class Ract(GradientRecommender[RactConfig]):
    """Recommend by Multi-VAE trained to rank by RaCT."""

    name = "ract"
    config_type = RactConfig

    def build(self, items: int, chance: torch.Generator) -> RactNetwork:
        """Return an untrained network."""
        return RactNetwork(items, self.config, chance)


def masked_out_ndcg(logits: Tensor, rows: Rows, seen: Tensor) -> Tensor:
    """Return NDCG@100 of each user's masked-out items in the catalogue without the seen ones, (users,).

    It is `models.ranking.ndcg_at`, and 0 for a user of whom nothing was masked out.

    Args:
        logits: (users, items).
        rows: the users' items.
        seen: whether each entry of `rows` was seen, (entries,).
    """
    items = logits.shape[1]
    struck = logits.index_put((rows.users[seen], rows.items[seen]), logits.new_full((), -torch.inf))
    ranked = struck.topk(min(DEPTH, items), dim=1).indices  # (users, ranks)
    starts = items * torch.arange(len(rows), device=logits.device)
    wanted = (starts[rows.users] + rows.items)[~seen]
    hits = torch.isin(starts[:, None] + ranked, wanted)
    gains = 1 / torch.arange(2.0, ranked.shape[1] + 2, device=logits.device).log2()
    masked_out = torch.zeros_like(starts).index_add_(0, rows.users, (~seen).long())
    return (hits * gains).sum(dim=1) / gains.cumsum(0)[masked_out.clamp(1, len(gains)) - 1]
