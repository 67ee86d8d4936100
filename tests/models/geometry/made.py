"""Small trained arms, an untrained network, and what is measured of them."""

import functools

import numpy as np
import torch
from scipy.sparse import csr_matrix

from models.geometry import Effort, Geometry, Groups, Latent, measure
from models.multi_vae import MultiVaeConfig, MultiVaeNetwork, Posterior
from models.recommender import FitOptions, Recommender
from models.registry import create
from models.rows import Rows
from tests.models.tastes import SMALL, two_groups

CPU = torch.device("cpu")
GROUPS = Groups((5, 11, 51, 101), ("0-4", "5-10", "11-50", "51-100", "100+"))
SMALL_EFFORT = Effort(users=40, masks=4, curved=10, probes=4, pairs=200, shared=5, draws=2)
TRAIN = two_groups()


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@functools.cache
def fitted(name: str, **changed: object) -> Recommender:
    recommender = create(name, {**SMALL[name], **changed})
    recommender.fit(TRAIN, None, FitOptions(threads=1))
    return recommender


def measured(recommender: Recommender, *, keep: float | None = None) -> Geometry:
    return measure(recommender, TRAIN.matrix, GROUPS, effort=SMALL_EFFORT, keep=keep)


def some_rows(users: int = 5, items: int = 12) -> Rows:
    dense = np.random.default_rng(3).random((users, items)) < 0.4
    dense[:, 0] = True
    return Rows.of(csr_matrix(dense.astype(np.float32)), CPU)


def untrained(items: int = 12, *, prior: float = 0.0) -> Latent:
    """A small network with weights large enough to bend."""
    network = MultiVaeNetwork(items, MultiVaeConfig(hidden=6, latent=3), chance())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3.0)
    return Latent(network, anchors=None, weights=Rows.mean_weights, pull=0.0, prior=prior, keep=0.5)


def normals(mean: list[list[float]], deviation: list[list[float]]) -> Posterior:
    return Posterior(torch.tensor(mean), 2 * torch.tensor(deviation).log())
