"""Six users with a few of forty items, one of them with none: small enough to write every formula out densely."""

import numpy as np
import torch
from scipy.sparse import csr_matrix

from models.rows import Rows

USERS, ITEMS = 6, 40
CPU = torch.device("cpu")
START = torch.tensor(0.0)  # of training, in epochs


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_matrix() -> csr_matrix:
    dense = (np.random.default_rng(0).random((USERS, ITEMS)) < 0.3).astype(np.float32)
    dense[2] = 0
    return csr_matrix(dense)


def some_rows() -> Rows:
    return Rows.of(some_matrix(), CPU)
