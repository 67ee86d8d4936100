"""A world whose answer is known: two groups of users who share no title."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.interactions import Interactions

TITLES = 16  # in each group's taste
USERS = 60  # in each group
SEEN = 10  # titles a user has seen, all of the own group

ACTION = tuple(f"action-{number:02d}" for number in range(TITLES))
DRAMA = tuple(f"drama-{number:02d}" for number in range(TITLES))
ITEMS = ACTION + DRAMA  # in sorted order, as a vocabulary has it

# Small enough to learn the two groups within a second.
SMALL_VAE: dict[str, object] = {"hidden": 16, "latent": 4, "batch": 30, "epochs": 30, "learning_rate": 0.01}
SMALL_REC_VAE: dict[str, object] = {**SMALL_VAE, "epochs": 8}
SMALL_RACT: dict[str, object] = {**SMALL_VAE, "actor_epochs": 20, "critic_epochs": 4, "joint_learning_rate": 1e-3}
SMALL: dict[str, dict[str, object]] = {
    "popularity": {},
    "mf": {"factors": 4, "epochs": 20, "learning_rate": 0.1},
    "wmf": {"factors": 4, "epochs": 5, "l2": 1.0},
    "ease": {"l2": 1.0},
    "plrec": {"rank": 4},
    "cdae": {"hidden": 16, "batch": 30, "epochs": 30, "learning_rate": 0.02},
    "ngcf": {"width": 8, "batch": 30, "epochs": 20},
    "multi_vae": SMALL_VAE,
    "rec_vae": SMALL_REC_VAE,
    "ract": SMALL_RACT,
    "pia": SMALL_VAE,
    "pia_rec_vae": SMALL_REC_VAE,
}


def two_groups(seed: int = 0) -> Interactions:
    """Draw each user's titles at random from the own group's."""
    rng = np.random.default_rng(seed)
    users: list[str] = []
    items: list[str] = []
    for group, titles in (("a", ACTION), ("d", DRAMA)):
        for number in range(USERS):
            chosen = rng.choice(TITLES, SEEN, replace=False)
            users += [f"{group}{number:03d}"] * SEEN
            items += [titles[index] for index in chosen]
    return Interactions.from_rows(users, items, times=rng.integers(0, 10_000, len(users)))


def histories(*seen: tuple[str, ...]) -> csr_matrix:
    """Return one row a history over `ITEMS`."""
    matrix = np.zeros((len(seen), len(ITEMS)), dtype=np.float32)
    for row, titles in enumerate(seen):
        matrix[row, [ITEMS.index(title) for title in titles]] = 1
    return csr_matrix(matrix)


def titles(ranked: NDArray[np.int64]) -> list[list[str]]:
    """Return the ranked titles by name, those that are missing left out."""
    return [[ITEMS[index] for index in row if index >= 0] for row in ranked]
