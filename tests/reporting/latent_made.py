"""Latent findings and a plane whose figures are known, without a recommender."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ab_platform.latent_findings import (
    Anchors,
    ArmGeometry,
    Cohort,
    Contraction,
    Curvature,
    Findings,
    Geometry,
    GroupDrift,
    PairGroup,
    Panel,
    Plane,
    Point,
)

NEAR = PairGroup(2_000, 0.76, 11.2, 11.3, 100, 157.2, 281.2, room=0.3, within=0.0, within_at_most=0.1, helped=0.8)
FAR = replace(NEAR, low=11.8, high=11.9, room=0.0, within_at_most=0.0, helped=0.19)
PLAIN = Geometry(
    users=2_000,
    masks=20,
    keep=0.5,
    dimensions=200,
    active=180,
    variance=12.284,
    spread=86.54,
    groups=(GroupDrift("5-10", 141, 13.1), GroupDrift("100+", 397, 12.06)),
    centroid_distance=None,
    fitted_distance=7.748,
    curvature=Curvature(0.306, 3.21),
    pull=0.0,
    lipschitz=41.5,
    near=NEAR,
    far=FAR,
    anchors=None,
)
ALIGNED = replace(PLAIN, variance=2.88, centroid_distance=3.407, pull=0.3, anchors=Anchors(1.629, 83.74))
FINDINGS = Findings(
    "ml-1m",
    (ArmGeometry("multi_vae", "6f8dc1a8e6c256b4", PLAIN), ArmGeometry("pia", "aad0632778f6e883", ALIGNED)),
    (Contraction("multi_vae", "pia", 0.2345, 1.547, 0.4257, 0.3375, 0.6669, 0.9696),),
)


def some_points(masks: int) -> tuple[tuple[Point, ...], ...]:
    rng = np.random.default_rng(masks)
    return tuple(tuple((x, y) for x, y in one) for one in rng.normal(size=(masks, 6, 2)).tolist())


def some_plane(panels: int = 3, masks: int = 5, *, anchored: bool = False) -> Plane:
    cohorts = (Cohort("few", 2, 5, 5), Cohort("some", 2, 49, 51), Cohort("many", 2, 324, 378))
    clean = Panel("a<b", "trained on whole histories", some_points(1), None, None, 0.86)
    (centroids,) = some_points(1)
    masked = Panel(
        "pia", "masks that keep 50 %", some_points(masks), centroids if anchored else None, own=0.94, same_cohort=0.85
    )
    return Plane(cohorts, (clean, *[masked] * (panels - 1)))
