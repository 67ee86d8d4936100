"""The files that every side reads: who interacted with what, to train on and to be judged on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scipy.sparse import csr_matrix, load_npz, save_npz

PARTS = ("train", "fold_in", "held_out")


@dataclass(frozen=True, eq=False)
class Matrices:
    """Ones where a user interacted with an item, float32, item indices ascending in each row.

    Attributes:
        train: of the training users, (users, items).
        fold_in: histories of other users, shown to a recommender, (held-out users, items).
        held_out: what these users are to find, (held-out users, items), no row empty.
    """

    train: csr_matrix
    fold_in: csr_matrix
    held_out: csr_matrix


def write(matrices: Matrices, folder: Path) -> None:
    """Write one file a matrix; the last one appears when all are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        whole = folder / f"{part}.npz"
        begun = whole.with_suffix(".part.npz")
        save_npz(begun, getattr(matrices, part), compressed=False)
        begun.replace(whole)


def read(folder: Path) -> Matrices:
    """Read what `write` wrote."""
    return Matrices(*(csr_matrix(load_npz(folder / f"{part}.npz")) for part in PARTS))


def written(folder: Path) -> bool:
    """Tell whether all matrices are there."""
    return (folder / f"{PARTS[-1]}.npz").exists()
