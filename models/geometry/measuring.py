"""All that is measured of one recommender's latent space, on a sample of its users."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from models.alignment import anchor_spread
from models.errors import ModelError
from models.geometry import drift, sharing
from models.geometry.collapse import Anchors, active_dimensions, effective_rank
from models.geometry.drift import Curvature, Groups
from models.geometry.latent import Latent, Tick, latent_of, silent
from models.geometry.sharing import Bounds, Pairs, Transfer
from models.multi_vae import Posterior
from models.recommender import Recommender
from models.rows import Rows

OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class Effort:
    """How much is drawn; the defaults take about ten seconds an arm on MovieLens 1M.

    Attributes:
        users: a sample, drawn once for all arms of the same data; all of them where they are fewer.
        masks: drawn for each user.
        curved: users whose curvature is estimated.
        probes: random vectors for the curvature of each.
        pairs: of users, whose nearest and farthest deciles are compared.
        shared: pairs of each decile whose gradients are compared.
        draws: points that stand for a posterior in a gradient.
        seed: of all chance.
    """

    users: int = 2_000
    masks: int = 20
    curved: int = 100
    probes: int = 20
    pairs: int = 20_000
    shared: int = 100
    draws: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"users": 2, "masks": 2, "seed": 0}
        for field in fields(self):
            value, wanted = getattr(self, field.name), least.get(field.name, 1)
            if value < wanted:
                raise ModelError(f"{field.name} is {value}; it must be at least {wanted}")


@dataclass(frozen=True)
class GroupDrift:
    """How far masks move the users of a group.

    Attributes:
        group: its name.
        users: of the sample.
        variance: mean over them of the trace of the covariance of the posterior mean over masks.
    """

    group: str
    users: int
    variance: float


@dataclass(frozen=True)
class PairGroup:
    """Pairs of users whose inputs are about as far apart; means over pairs, shares as fractions.

    Attributes:
        pairs: how many.
        input_distance: 1 - cosine of the histories.
        low: the distance of the means, which W1 is not below.
        high: W2, which W1 is not above.
        compared: pairs whose gradients were compared, for what follows.
        gradient: ||g_u||.
        mismatch: Delta_x(u, v).
        room: share of pairs that have a sharing radius above 0, ||g_u|| > Delta_x(u, v).
        within: share of pairs that are surely within it.
        within_at_most: share of pairs that may be.
        helped: share of pairs where a small step on v lowers the loss of u.
    """

    pairs: int
    input_distance: float
    low: float
    high: float
    compared: int
    gradient: float
    mismatch: float
    room: float
    within: float
    within_at_most: float
    helped: float


@dataclass(frozen=True)
class Geometry:
    """The latent space of one recommender.

    Attributes:
        users: that were drawn.
        masks: a user.
        keep: probability that an interaction passes a mask.
        dimensions: of the space.
        active: those that tell something of users.
        variance: mean over users of the trace of the covariance of the posterior mean over masks.
        spread: trace of the covariance, over users, of their mean over masks.
        groups: the variance by how many interactions a user has, empty groups left out.
        centroid_distance: mean distance of a masked mean to the centroid of the user's anchors; None without anchors.
        fitted_distance: the same with the anchors that fit the encoder best, which every arm has.
        curvature: of the negative evidence bound around the means.
        pull: lambda_A, of the squared distance summed over dimensions; 0 without anchors.
        lipschitz: L_thetaz among all compared pairs.
        near: the decile of pairs whose inputs are nearest.
        far: that whose inputs are farthest.
        anchors: how they lie; None without.
    """

    users: int
    masks: int
    keep: float
    dimensions: int
    active: int
    variance: float
    spread: float
    groups: tuple[GroupDrift, ...]
    centroid_distance: float | None
    fitted_distance: float
    curvature: Curvature
    pull: float
    lipschitz: float
    near: PairGroup
    far: PairGroup
    anchors: Anchors | None

    @property
    def relative_variance(self) -> float | None:
        """Return the variance over masks as a share of that over users, which has no scale; None without the latter."""
        return self.variance / self.spread if self.spread > 0.0 else None


def measure(
    recommender: Recommender,
    histories: csr_matrix,
    groups: Groups,
    *,
    effort: Effort,
    keep: float | None = None,
    on_step: OnStep | None = None,
) -> Geometry:
    """Measure a latent space on users drawn from some histories.

    Args:
        recommender: fitted, with a posterior.
        histories: of its training users, to draw from, (users, items).
        groups: of users by how many interactions they have.
        effort: how much is drawn.
        keep: probability that an interaction passes a mask; None is as trained.
        on_step: called with the steps done and the steps there are.

    Raises:
        ModelError: the recommender has no posterior or other items, or less than two users have a history.
    """
    latent = latent_of(recommender, histories)
    if keep is not None:
        latent = latent.masked_with(keep)
    rng = np.random.default_rng(effort.seed)
    sample = histories[sampled(histories, effort.users, rng)]
    pairs = sharing.random_pairs(sample, effort.pairs, rng)
    deciles = [_Decile.of(decile, effort.shared, rng) for decile in sharing.near_and_far(pairs)]
    steps = effort.masks + effort.probes + drift.POWER_STEPS + sum(len(decile.compared) for decile in deciles)
    return _measured(latent, sample, groups, deciles, effort, _ticking(steps, on_step))


def sampled(histories: csr_matrix, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw users that have a history, in the order of their rows.

    Raises:
        ModelError: there are less than two.
    """
    there = np.flatnonzero(np.diff(histories.indptr))
    if len(there) < 2:
        raise ModelError(f"{len(there)} users have a history; at least 2 are required: choose a larger data set")
    return np.sort(rng.choice(there, min(count, len(there)), replace=False))


@dataclass(frozen=True, eq=False)
class _Decile:
    """Pairs of a decile, and those of them whose gradients are compared."""

    pairs: Pairs
    compared: Pairs

    @classmethod
    def of(cls, pairs: Pairs, count: int, rng: np.random.Generator) -> "_Decile":
        return cls(pairs, pairs.take(np.sort(rng.choice(len(pairs), min(count, len(pairs)), replace=False))))


def _ticking(steps: int, on_step: OnStep | None) -> Tick:
    if on_step is None:
        return silent
    done = itertools.count(1)
    return lambda: on_step(next(done), steps)


def _measured(
    latent: Latent, sample: csr_matrix, groups: Groups, deciles: Sequence[_Decile], effort: Effort, tick: Tick
) -> Geometry:
    rows = Rows.of(sample, latent.device)
    noise = torch.Generator(latent.device).manual_seed(effort.seed)
    # The first to draw from the noise, so that all arms of the same data see the same masks.
    means = latent.masked_means(rows, effort.masks, noise, tick=tick)
    variances, weights = drift.mask_variance(means), latent.weights(rows)
    curved = rows.take(torch.arange(min(effort.curved, len(rows)), device=latent.device))
    curvature = drift.curvature(latent, curved, probes=effort.probes, noise=noise, tick=tick)

    def distance(anchors: Tensor) -> float:
        return float(drift.centroid_distance(means, drift.centroids(rows, weights, anchors)).mean())

    constant, (near, far) = _compared(latent, rows, deciles, effort.draws, noise, tick)
    return Geometry(
        users=len(rows),
        masks=effort.masks,
        keep=latent.keep,
        dimensions=means.shape[2],
        active=active_dimensions(latent.posterior(rows)),
        variance=float(variances.mean()),
        spread=float(means.mean(dim=0).var(dim=0).sum()),
        groups=tuple(_by_group(variances.cpu().numpy(), np.diff(sample.indptr), groups)),
        centroid_distance=None if latent.anchors is None else distance(latent.anchors),
        fitted_distance=distance(drift.fitted_anchors(means, rows, weights, sample.shape[1])),
        curvature=curvature,
        pull=latent.pull,
        lipschitz=constant,
        near=near,
        far=far,
        anchors=None if latent.anchors is None else _anchors(latent.anchors),
    )


def _compared(
    latent: Latent, rows: Rows, deciles: Sequence[_Decile], draws: int, noise: torch.Generator, tick: Tick
) -> tuple[float, list[PairGroup]]:
    """Return L_thetaz among the compared pairs of all deciles, and what was found of each decile."""
    posterior = latent.posterior(rows)
    found = [sharing.transfer(latent, rows, each.compared, draws=draws, noise=noise, tick=tick) for each in deciles]
    bounds = [_bounds(posterior, each.compared) for each in deciles]
    constant = max(sharing.lipschitz(each.moved, apart) for each, apart in zip(found, bounds, strict=True))
    everyone = [_bounds(posterior, each.pairs) for each in deciles]
    return constant, [_pair_group(*each, constant) for each in zip(deciles, found, bounds, everyone, strict=True)]


def _pair_group(decile: _Decile, found: Transfer, compared: Bounds, everyone: Bounds, constant: float) -> PairGroup:
    radius = sharing.sharing_radius(found, constant)
    return PairGroup(
        pairs=len(decile.pairs),
        input_distance=float(decile.pairs.distance.mean()),
        low=float(everyone.low.mean()),
        high=float(everyone.high.mean()),
        compared=len(decile.compared),
        gradient=float(found.norm.mean()),
        mismatch=float(found.mismatch.mean()),
        room=_share(radius > 0),
        within=_share(compared.high < radius),
        within_at_most=_share(compared.low < radius),
        helped=_share(found.product > 0),
    )


def _share(marked: Tensor) -> float:
    return float(marked.double().mean())


def _bounds(posterior: Posterior, pairs: Pairs) -> Bounds:
    one, other = (
        Posterior(posterior.mean[users], posterior.log_variance[users])
        for users in map(torch.from_numpy, (pairs.first, pairs.second))
    )
    return sharing.wasserstein_bounds(one, other)


def _by_group(variances: NDArray[np.float32], lengths: NDArray[np.integer], groups: Groups) -> Iterator[GroupDrift]:
    position = groups.of(lengths)
    for number, name in enumerate(groups.names):
        own = variances[position == number]
        if len(own):
            yield GroupDrift(name, len(own), float(own.mean()))


def _anchors(anchors: Tensor) -> Anchors:
    return Anchors(float(anchor_spread(anchors)), effective_rank(anchors))
