"""What was found in latent spaces, ready to be printed and kept: plain values, without arrays or tensors."""

from __future__ import annotations

from dataclasses import dataclass

Point = tuple[float, float]
"""A place on the plane."""


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
class Curvature:
    """Eigenvalues of a user's Hessian of the negative evidence bound in the posterior mean, averaged over users.

    Attributes:
        mean: of all of them.
        top: the largest.
    """

    mean: float
    top: float


@dataclass(frozen=True)
class Anchors:
    """How the anchors lie.

    Attributes:
        spread: root mean squared distance from their mean; 0 is collapse.
        rank: their effective rank, between 1 and the latent dimensions.
    """

    spread: float
    rank: float


@dataclass(frozen=True)
class Geometry:
    """The latent space of one recommender; `models.geometry.Geometry` says how each figure is computed.

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
        lipschitz: the largest change of g_u per distance among all compared pairs.
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


@dataclass(frozen=True)
class ArmGeometry:
    """What was measured of an arm."""

    arm: str
    artifact_id: str
    geometry: Geometry


@dataclass(frozen=True)
class Contraction:
    """Proposition 3.2, measured: an arm with anchors against one without.

    Its tau is L / (L + 2 lambda_A). The proposition starts from the bound without alignment, whose L is the control's;
    alignment then also changes the decoder, and with it L. So each ratio stands between two readings and a bound.

    Attributes:
        control: the arm without anchors.
        arm: the arm with anchors.
        variance_ratio: of the variance across masks, arm over control; to be compared with tau squared.
        relative_ratio: the same of the variance as a share of the spread of an arm's users, which has no scale; None
            where the users of an arm have no spread.
        distance_ratio: of the distance to the centroid of each arm's fitted anchors; to be compared with tau.
        tau_before: by the mean eigenvalue at the control.
        tau_after: by the mean eigenvalue at the arm.
        tau_bound: by the largest eigenvalue at the arm, from which the source bounds both ratios.
    """

    control: str
    arm: str
    variance_ratio: float
    relative_ratio: float | None
    distance_ratio: float
    tau_before: float
    tau_after: float
    tau_bound: float


@dataclass(frozen=True)
class Findings:
    """What was found.

    Attributes:
        dataset: whose users were looked at.
        arms: in the order asked for.
        contractions: of each arm with anchors.
    """

    dataset: str
    arms: tuple[ArmGeometry, ...]
    contractions: tuple[Contraction, ...]


@dataclass(frozen=True)
class Cohort:
    """Users with about as many interactions.

    Attributes:
        name: few, some or many.
        users: how many of them there are.
        least: the least interactions that one of them has.
        most: the most.
    """

    name: str
    users: int
    least: int
    most: int


@dataclass(frozen=True)
class Panel:
    """One condition of figure 2.

    Attributes:
        arm: its label.
        condition: what it sees.
        points: of each mask, the place of each user, one cohort after the other; only what is near means something.
        centroids: the place of each user's mean anchor, laid out with the rest; None for an arm without anchors.
        own: share of points whose nearest other point is another mask of the same user; None with one mask.
        same_cohort: share of points whose nearest point of another user is of the same cohort; by chance a third.
    """

    arm: str
    condition: str
    points: tuple[tuple[Point, ...], ...]
    centroids: tuple[Point, ...] | None
    own: float | None
    same_cohort: float


@dataclass(frozen=True)
class Plane:
    """The picture of figure 2: the same users under several conditions."""

    cohorts: tuple[Cohort, ...]
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class LatentSpaces:
    """All that `abp geometry` finds: figures, and the picture."""

    findings: Findings
    plane: Plane
