"""Trained arms -> what their latent spaces look like, side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ab_platform.documents import made
from ab_platform.errors import DataError
from ab_platform.experiment import Arm
from ab_platform.latent_findings import (
    ArmGeometry,
    Cohort,
    Contraction,
    Findings,
    Geometry,
    LatentSpaces,
    Panel,
    Plane,
    Point,
)
from ab_platform.lineage import Artifact
from ab_platform.storage.segments import INTERACTION_GROUPS, MANY_INTERACTIONS
from ab_platform.storage.store import Store
from ab_platform.training import OnEpoch, Snapshot, Workshop, load_arm, train
from models.errors import ModelError
from models.geometry import Effort, Groups, Latent, cohorts, contraction, latent_of, measure, project
from models.geometry.drift import centroids
from models.recommender import Recommender
from models.rows import Rows

__all__ = [
    "ArmGeometry",
    "Contraction",
    "Findings",
    "LatentSpaces",
    "LoadedArm",
    "Plane",
    "contractions",
    "find_or_train",
    "lay_out",
    "load_arms",
    "look",
]

COHORT_USERS, COHORT_MASKS = 40, 5
ARTIFACT_ID = re.compile(r"[0-9a-f]{16}")

OnStep = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class LoadedArm:
    """A trained arm under the label that tells it from the others.

    Attributes:
        label: the recommender, with the settings in which arms of the same recommender differ.
        artifact: where it comes from.
        recommender: fitted.
        latent: its latent space.
    """

    label: str
    artifact: Artifact
    recommender: Recommender
    latent: Latent


def find_or_train(
    store: Store, workshop: Workshop, snap: Snapshot, name: str, *, at: datetime, on_epoch: OnEpoch | None = None
) -> Artifact:
    """Return the arm of an artifact id, or the newest one of a recommender, which is trained where there is none.

    Args:
        store: knows the artifacts.
        workshop: where they lie.
        snap: the data that the arm must have learned from.
        name: an artifact id, or the name of a recommender; trained with its defaults.
        at: now.
        on_epoch: called after each epoch of a training.

    Raises:
        NotFoundError: no artifact has this id.
        DataError: the artifact learned from other data.
        ExperimentError: the recommender is unknown.
    """
    if ARTIFACT_ID.fullmatch(name):
        artifact = store.artifact(name)
        if artifact.recipe.data_hash != snap.data_hash:
            raise DataError(
                f"artifact {name} learned from other interactions ({artifact.recipe.dataset}) than those of "
                f"{snap.dataset} now; give the data set, least rating and hold-back that it was trained with"
            )
        return artifact
    there = [
        each
        for each in store.artifacts()
        if (each.recipe.recommender, each.recipe.data_hash) == (name, snap.data_hash)
        and (workshop.artifacts / each.artifact_id).is_dir()
    ]
    return there[-1] if there else train(store, workshop, snap, Arm(name, name, 1.0), at=at, on_epoch=on_epoch)


def load_arms(workshop: Workshop, snap: Snapshot, artifacts: Sequence[Artifact]) -> tuple[LoadedArm, ...]:
    """Load arms, each under a label of its own.

    Args:
        workshop: where the artifacts lie.
        snap: the data they learned from.
        artifacts: to load, in the order of the report.

    Raises:
        DataError: an arm is asked for twice, is missing or damaged, or has no latent space.
    """
    ids = [artifact.artifact_id for artifact in artifacts]
    twice = next((each for each in ids if ids.count(each) > 1), None)
    if twice is not None:
        raise DataError(f"artifact {twice} is asked for twice; name each arm once, by its artifact id where need be")
    loaded = [load_arm(workshop, each) for each in ids]
    histories = snap.split().train.matrix
    with _refusals():
        spaces = [latent_of(recommender, histories) for recommender in loaded]
    return tuple(map(LoadedArm, _labels(artifacts), artifacts, loaded, spaces))


def look(
    arms: Sequence[LoadedArm],
    snap: Snapshot,
    *,
    effort: Effort,
    keep: float | None = None,
    on_step: Callable[[LoadedArm], OnStep] | None = None,
) -> Findings:
    """Measure the latent space of each arm on the users that it was trained on.

    Args:
        arms: loaded.
        snap: the data they learned from.
        effort: how much is drawn.
        keep: probability that an interaction passes a mask; None is each arm's own.
        on_step: makes what is called after each step of an arm.

    Raises:
        DataError: too few users have a history.
    """
    histories = snap.split().train.matrix
    names = [*(name for _, name in INTERACTION_GROUPS), MANY_INTERACTIONS]
    groups = Groups([end for end, _ in INTERACTION_GROUPS], names)
    measured = []
    with _refusals():
        for arm in arms:
            tell = None if on_step is None else on_step(arm)
            found = measure(arm.recommender, histories, groups, effort=effort, keep=keep, on_step=tell)
            measured.append(ArmGeometry(arm.label, arm.artifact.artifact_id, made(Geometry, asdict(found))))
        return Findings(snap.dataset, tuple(measured), tuple(contractions(measured)))


def contractions(arms: Sequence[ArmGeometry]) -> list[Contraction]:
    """Compare each arm with anchors with the first without any that masks move; none where there is no such arm."""
    control = next((arm for arm in arms if arm.geometry.anchors is None and arm.geometry.variance > 0.0), None)
    if control is None:
        return []
    return [_contraction(control, arm) for arm in arms if arm.geometry.anchors is not None]


def lay_out(arms: Sequence[LoadedArm], snap: Snapshot, *, seed: int, on_step: OnStep | None = None) -> Plane:
    """Lay out the same users of few, some and many interactions under each arm's own mask, and without any.

    An arm that was trained on whole histories is shown on whole histories: the source's first condition. Without such
    an arm, the first arm's whole histories stand in for it, with a title that says so.

    Args:
        arms: loaded.
        snap: the data they learned from.
        seed: of masks and layout.
        on_step: called with the panels done and the panels there are.
    """
    histories = snap.split().train.matrix
    with _refusals():
        chosen = cohorts(np.diff(histories.indptr), COHORT_USERS)
    users = histories[np.concatenate([cohort.rows for cohort in chosen])]
    cohort_of = [number for number, cohort in enumerate(chosen) for _ in cohort.rows]
    panels = []
    conditions = _conditions(arms)
    for done, (arm, condition, latent) in enumerate(conditions, start=1):
        panels.append(_panel(arm, condition, latent, users=users, cohort_of=cohort_of, seed=seed))
        if on_step is not None:
            on_step(done, len(conditions))
    told = tuple(Cohort(each.name, len(each.rows), each.least, each.most) for each in chosen)
    return Plane(told, tuple(panels))


def _panel(
    arm: str, condition: str, latent: Latent, *, users: csr_matrix, cohort_of: Sequence[int], seed: int
) -> Panel:
    """Lay out one condition; where there are anchors, each user's centroid of them is a point beside the masks."""
    masks = COHORT_MASKS if latent.keep < 1.0 else 1
    views = latent.views(users, masks, seed=seed)
    # The shares are those of the masks alone, so that arms with and without anchors compare.
    found = project(views, cohort_of, seed=seed)
    anchored = _centroids(latent, users)
    if anchored is None:
        return Panel(arm, condition, _slices(found.points), None, found.own, found.cohort)
    *points, centres = _slices(project(np.concatenate([views, anchored[None]]), cohort_of, seed=seed).points)
    return Panel(arm, condition, tuple(points), centres, found.own, found.cohort)


def _centroids(latent: Latent, users: csr_matrix) -> NDArray[np.float32] | None:
    """Return each user's mean anchor, (users, latent); None where there are no anchors."""
    if latent.anchors is None:
        return None
    rows = Rows.of(users, latent.device)
    found: NDArray[np.float32] = centroids(rows, latent.weights(rows), latent.anchors).cpu().numpy()
    return found


def _slices(points: NDArray[np.float64]) -> tuple[tuple[Point, ...], ...]:
    return tuple(tuple((x, y) for x, y in one) for one in points.tolist())


def _contraction(control: ArmGeometry, arm: ArmGeometry) -> Contraction:
    before, after = control.geometry, arm.geometry
    relative = (before.relative_variance, after.relative_variance)
    return Contraction(
        control=control.arm,
        arm=arm.arm,
        variance_ratio=after.variance / before.variance,
        relative_ratio=None if relative[0] is None or relative[1] is None else relative[1] / relative[0],
        distance_ratio=after.fitted_distance / before.fitted_distance,
        tau_before=contraction(before.curvature.mean, after.pull),
        tau_after=contraction(after.curvature.mean, after.pull),
        tau_bound=contraction(after.curvature.top, after.pull),
    )


def _conditions(arms: Sequence[LoadedArm]) -> list[tuple[str, str, Latent]]:
    """Return the arm, what it sees, and its space, for each panel; those without masks first."""
    clean = [(arm.label, "trained on whole histories", arm.latent) for arm in arms if arm.latent.keep == 1.0]
    masked = [
        (arm.label, f"masks that keep {100 * arm.latent.keep:g} %", arm.latent) for arm in arms if arm.latent.keep < 1.0
    ]
    if not clean:
        clean = [(arms[0].label, "whole histories, though trained with masks", arms[0].latent.masked_with(1.0))]
    return clean + masked


def _labels(artifacts: Sequence[Artifact]) -> list[str]:
    """Name each arm by its recommender, and by what tells it from others of that recommender."""
    recipes = [artifact.recipe for artifact in artifacts]
    labels = []
    for recipe in recipes:
        rivals = [other for other in recipes if other.recommender == recipe.recommender]
        settings = [{**other.config, "seed": other.seed} for other in rivals]
        own = {**recipe.config, "seed": recipe.seed}
        told = [f"{name} {value}" for name, value in own.items() if any(each.get(name) != value for each in settings)]
        labels.append(" ".join([recipe.recommender, ", ".join(told)]).strip())
    return [
        label if labels.count(label) == 1 else f"{label} {artifact.artifact_id}"
        for label, artifact in zip(labels, artifacts, strict=True)
    ]


@contextmanager
def _refusals() -> Iterator[None]:
    """Let what the recommenders refuse be an error of the platform."""
    try:
        yield
    except ModelError as error:
        raise DataError(str(error)) from error
