"""Users with few, some and many interactions in two dimensions, several masks of each: figure 2 of the source."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from models.errors import ModelError

TARGETS = (("few", 5, 0.05), ("some", 50, 0.5), ("many", 350, 0.95))
"""The interactions of the source's users, and the quantile that is taken where no user has so many."""

PERPLEXITY = 30.0


@dataclass(frozen=True, eq=False)
class Cohort:
    """Users with about as many interactions.

    Attributes:
        name: few, some or many.
        rows: the users' row numbers, ascending.
        least: the least interactions that one of them has.
        most: the most.
    """

    name: str
    rows: NDArray[np.int64]
    least: int
    most: int


@dataclass(frozen=True, eq=False)
class Projection:
    """Some users' posterior means in the plane, and how they lie in the latent space itself.

    Attributes:
        points: (masks, users, 2); only distances between near points mean something.
        own: share of points whose nearest other point is another mask of the same user; None with one mask.
        cohort: share of points whose nearest point of another user is of the same cohort; by chance it is a third.
    """

    points: NDArray[np.float64]
    own: float | None
    cohort: float


def cohorts(lengths: NDArray[np.integer], size: int) -> tuple[Cohort, ...]:
    """Choose the users whose numbers of interactions are nearest to few, some and many; ties by row.

    Args:
        lengths: how many interactions each user has, (users,).
        size: users a cohort; fewer where there are not three times as many users.

    Raises:
        ModelError: there are less than three users.
    """
    if len(lengths) < len(TARGETS):
        raise ModelError(f"{len(lengths)} users make no three cohorts; at least 3 are needed: choose a larger data set")
    free = np.ones(len(lengths), dtype=np.bool_)
    chosen = []
    for name, target, quantile in TARGETS:
        wanted = target if lengths.min() <= target <= lengths.max() else np.quantile(lengths, quantile)
        order = np.argsort(np.where(free, np.abs(lengths - wanted), np.inf), kind="stable")
        rows = np.sort(order[: min(size, len(lengths) // len(TARGETS))])
        free[rows] = False
        chosen.append(Cohort(name, rows, int(lengths[rows].min()), int(lengths[rows].max())))
    return tuple(chosen)


def project(means: NDArray[np.floating], cohort_of: Sequence[int], *, seed: int) -> Projection:
    """Lay posterior means out in the plane by t-SNE, from their principal components.

    L. van der Maaten, G. Hinton, "Visualizing Data using t-SNE", JMLR 2008. Perplexity 30, or a third of the points
    where they are few; the rest are scikit-learn's defaults. Means that all coincide become one point.

    Args:
        means: (masks, users, latent).
        cohort_of: the number of each user's cohort, (users,).
        seed: of the layout.
    """
    masks, users, width = means.shape
    points = means.reshape(masks * users, width)
    flat = _layout(points, seed) if np.ptp(points, axis=0).any() else np.zeros((len(points), 2))
    user = np.tile(np.arange(users), masks)
    cohort = np.asarray(cohort_of)[user]
    apart = cdist(points, points)
    np.fill_diagonal(apart, np.inf)
    own = float((user[apart.argmin(axis=1)] == user).mean()) if masks > 1 else None
    apart[user[:, None] == user] = np.inf
    return Projection(flat.reshape(masks, users, 2), own, float((cohort[apart.argmin(axis=1)] == cohort).mean()))


def _layout(points: NDArray[np.floating], seed: int) -> NDArray[np.float64]:
    # It takes a second to load, which who wants no picture need not wait for.
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(points) - 1) / 3.0)
    return np.asarray(
        TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(points), dtype=np.float64
    )
