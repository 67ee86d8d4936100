"""NGCF: embeddings of users and items, sent along the graph of who has what, layer after layer.

X. Wang, X. He, M. Wang, F. Feng, T.-S. Chua, "Neural Graph Collaborative Filtering", SIGIR 2019, arXiv 1905.08108; the
authors' program is xiangwang1223/neural_graph_collaborative_filtering. The items' layers are the source's, from the
graph of all training users, whose embeddings no one else needs. A user who is scored starts from the items of the
history instead of an embedding, and passes through the same layers; so do the users of a step in training, with a part
of their items masked. Artifacts hold the items' layers alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - its common name
from torch import Tensor, nn

from models.config import Search, TrainingConfig, number
from models.gradient import GradientRecommender
from models.learner import Learner, Term
from models.multi_vae import bag, initialise, mask
from models.rows import Rows
from models.sparse import SparseMatrix, products

SLOPE = 0.2  # of the rectifier, below zero


@dataclass(frozen=True, kw_only=True)
class NgcfConfig(TrainingConfig):
    """The settings of NGCF (Wang et al. 2019).

    The source takes a step on 1,024 users with one of their items each; here a step has all items of its users, so it
    is larger and the rate higher. The graph is gone through once a step: small batches are dear where it is large.

    Attributes:
        learning_rate: of Adam.
        width: dimensions of an embedding, the same in each layer.
        layers: how far embeddings travel.
        keep: probability that an interaction passes the mask on a user's items in training; the source has none.
        message_dropout: share of a layer's outputs that are zero in training. The source drops nodes as well where that
            helps, and not by default.
        l2: weight of half the squared embeddings of a user, of an item that the user has and of one that not.
    """

    learning_rate: float = number(0.02, above=0, search=Search(3e-3, 0.05, log=True))
    width: int = number(64, at_least=1)
    layers: int = number(3, at_least=1, search=Search(1, 4))
    keep: float = number(0.5, above=0, at_most=1, search=Search(0.3, 1.0))
    message_dropout: float = number(0.1, at_least=0, at_most=0.9)
    l2: float = number(1e-5, at_least=0, search=Search(1e-6, 1e-2, log=True))


class Layer(nn.Module):
    """Makes an embedding from the one below and the messages of the neighbours, equation 7 of the source."""

    def __init__(self, config: NgcfConfig) -> None:
        super().__init__()
        self.keep = 1 - config.message_dropout
        self.of_sums = nn.Linear(config.width, config.width, bias=False)
        self.of_products = nn.Linear(config.width, config.width, bias=False)

    def forward(self, own: Tensor, messages: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Return embeddings of the same shape as both arguments, (nodes, width); dropped out where there is `noise`."""
        both = self.of_sums(messages + own) + self.of_products(messages * own)
        outputs = F.leaky_relu(both.float(), SLOPE)
        return outputs if noise is None else outputs * mask(outputs, self.keep, noise)


class NgcfNetwork(Learner):
    """The graph of training users and items, and the layers that embeddings pass through on it."""

    training_only = ("item_embeddings", "user_embeddings")
    messages: Tensor
    profiles: Tensor
    counts: Tensor

    def __init__(self, items: int, config: NgcfConfig, chance: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.item_embeddings = nn.Parameter(torch.empty(items, config.width))
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        initialise(self, chance)
        # What scoring needs of the items: what they send to users in each layer, how they are compared, who has them.
        self.register_buffer("messages", torch.zeros(items, config.width * config.layers))
        self.register_buffer("profiles", torch.zeros(items, config.width * (config.layers + 1)))
        self.register_buffer("counts", torch.zeros(items))

    def prepare(self, rows: Rows, chance: torch.Generator) -> None:
        """Build the graph, and draw an embedding for each user in it."""
        items, width = self.item_embeddings.shape
        self.counts.copy_(torch.bincount(rows.items, minlength=items))
        self.graph = SparseMatrix(rows, self.closeness(rows), items)
        self.user_embeddings = nn.Parameter(torch.empty(len(rows), width))
        nn.init.xavier_uniform_(self.user_embeddings, generator=chance)

    def refresh(self) -> None:
        """Send the embeddings along the graph, for what scoring needs of the items."""
        with torch.no_grad():
            layers = self.item_layers()
            self.messages.copy_(torch.cat(layers[:-1], dim=1))
            self.profiles.copy_(profiles(layers))

    def forward(self, rows: Rows) -> tuple[Tensor, None]:
        """Return scores (users, items); an empty history gets the order of popularity."""
        users = profiles(self.user_layers(rows, self.messages, self.closeness(rows)))
        scores = users @ self.profiles.T
        scores[rows.lengths == 0] = self.counts
        return scores, None

    def losses(self, rows: Rows, epochs_done: Tensor, noise: torch.Generator) -> Mapping[str, Term]:
        """Return each user's mean over the own items, each against an item that the user does not have."""
        items = self.item_layers(noise)
        weights = self.closeness(rows)
        weights = weights * mask(weights, self.config.keep, noise)
        users = profiles(self.user_layers(rows, torch.cat(items[:-1], dim=1), weights, noise))
        unseen = Rows(draw_unseen(rows, len(items[0]), noise), rows.offsets, rows.ids)
        of_items = profiles(items)
        margins = products(rows, users, of_items) - products(unseen, users, of_items)
        squares = self.item_embeddings.square().sum(dim=1)
        of_pairs = squares[rows.items] + squares[unseen.items]
        shares = rows.mean_weights() / len(rows)
        of_users = self.user_embeddings[rows.ids].square().sum(dim=1).mean()
        return {
            "ranking": Term((F.softplus(-margins) * shares).sum()),  # -log sigmoid
            "l2": Term((of_pairs * shares).sum() + of_users, weight=self.config.l2 / 2),
        }

    def closeness(self, rows: Rows) -> Tensor:
        """Return what a message along each entry weighs, (entries,), equation 3 of the source.

        It is one over the root of the numbers of the user's items and of the item's training users.
        """
        degrees = rows.lengths[rows.users] * self.counts.clamp(min=1)[rows.items]
        return degrees.rsqrt()

    def item_layers(self, noise: torch.Generator | None = None) -> list[Tensor]:
        """Return the items' embeddings before the first layer and after each, (items, width) each."""
        users, items = self.user_embeddings, self.item_embeddings
        found: list[Tensor] = [items]
        for layer in self.layers:
            to_users, to_items = self.graph.times(items), self.graph.transposed_times(users)
            users, items = layer(users, to_users, noise), layer(items, to_items, noise)
            found.append(items)
        return found

    def user_layers(
        self, rows: Rows, messages: Tensor, weights: Tensor, noise: torch.Generator | None = None
    ) -> list[Tensor]:
        """Return users' embeddings before the first layer and after each, from their items alone.

        Before the first layer it is the sum of the items' messages, as a layer gets them.

        Args:
            rows: the users' items.
            messages: what items send in each layer, (items, width * layers).
            weights: of each entry's message, (entries,).
            noise: the source of dropout; without it there is none.
        """
        received = bag(rows, messages, weights).chunk(len(self.layers), dim=1)
        found = [received[0]]
        for layer, each in zip(self.layers, received, strict=True):
            found.append(layer(found[-1], each, noise))
        return found


class Ngcf(GradientRecommender[NgcfConfig]):
    """Recommend by embeddings that are sent along the graph of users and items."""

    name = "ngcf"
    config_type = NgcfConfig

    def build(self, items: int, chance: torch.Generator) -> NgcfNetwork:
        """Return an untrained network."""
        return NgcfNetwork(items, self.config, chance)


def profiles(layers: Sequence[Tensor]) -> Tensor:
    """Return all layers side by side, those after the first at unit length, (nodes, width * (layers + 1)).

    The source's text leaves out the unit length; its program has it.
    """
    return torch.cat([layers[0], *(F.normalize(layer, dim=1) for layer in layers[1:])], dim=1)


def draw_unseen(rows: Rows, items: int, noise: torch.Generator) -> Tensor:
    """Draw for each entry an item that its user does not have, each with the same probability, (entries,).

    The item of rank r among those comes after r of them and after each own item that has at most r of them before it.
    A user who has every item gets the last one.

    Args:
        rows: the users' items, ascending.
        items: how many there are.
        noise: the source of chance.
    """
    device, users = rows.items.device, rows.users
    starts = rows.offsets[users]
    draws = torch.rand(len(users), generator=noise, device=device, dtype=torch.float64)
    ranks = (draws * (items - rows.lengths)[users]).long()
    unseen_before = rows.items - (torch.arange(len(users), device=device) - starts)
    # One search serves all users: each has a stretch of keys of its own.
    stretches = users * (items + 1)
    passed = torch.searchsorted(stretches + unseen_before, stretches + ranks, right=True) - starts
    return (ranks + passed).clamp(max=items - 1)
