"""Latent spaces side by side, as tables: for a terminal, and as Markdown with the pictures beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ab_platform.latent_findings import ArmGeometry, Cohort, Contraction, Findings, PairGroup, Plane
from ab_platform.reporting.figures import ABSENT
from ab_platform.reporting.markdown import escape

PLANE, VARIANCES, DISTANCES = "plane.svg", "variances.svg", "distances.svg"
"""Files of the pictures."""


@dataclass(frozen=True)
class Table:
    """Figures side by side, and what they are.

    Attributes:
        title: above it.
        columns: their names, the first of what a row is about.
        rows: of cells; None is absent.
        told: below it, a sentence each.
        picture: file of the picture of it; None for none.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    told: tuple[str, ...] = ()
    picture: str | None = None


def tables(findings: Findings) -> tuple[Table, ...]:
    """Lay out what was found; what no arm has is left out."""
    found = (_masks(findings), _groups(findings), _contractions(findings), _pairs(findings))
    return tuple(table for table in found if table.rows)


def as_markdown(findings: Findings, plane: Plane) -> str:
    """Put tables and pictures on a page."""
    parts = [
        f"# Latent geometry on {escape(findings.dataset)}",
        "Arms, and their artifacts: " + ", ".join(f"{escape(arm.arm)} `{arm.artifact_id}`" for arm in findings.arms),
        f"![The same users under each condition]({PLANE})",
        caption(plane),
    ]
    for table in tables(findings):
        parts += [f"## {table.title}", "\n".join(_lines(table))]
        parts += [f"![{table.title}]({table.picture})"] if table.picture else []
        parts += ["\n".join(f"- {escape(sentence)}" for sentence in table.told)] if table.told else []
    return "\n\n".join(parts) + "\n"


def group_names(findings: Findings) -> tuple[str, ...]:
    """Return the groups of users by interactions that there are."""
    return tuple(group.group for group in findings.arms[0].geometry.groups)


def span(cohort: Cohort) -> str:
    """Say how many interactions the users of a cohort have."""
    return f"{cohort.least}" if cohort.least == cohort.most else f"{cohort.least} to {cohort.most}"


def _masks(findings: Findings) -> Table:
    first = findings.arms[0].geometry
    return Table(
        "Across masks",
        ("arm", "keep", "variance", "of spread", "to anchors", "to fitted", "active", "anchor spread", "anchor rank"),
        tuple(map(_mask_row, findings.arms)),
        (
            f"variance: trace of the covariance of a user's posterior mean over {first.masks} masks, mean of "
            f"{first.users:,} users; of spread: as a share of the same trace over users.",
            "to anchors: mean distance of a masked mean to the centroid of its user's anchors; to fitted: the same "
            "with the anchors that fit the encoder best, which every arm has.",
            "active: latent dimensions whose mean KL from the prior is above 0.01 nats, of all; anchor spread: root "
            "mean squared distance of the anchors from their mean; anchor rank: their effective rank.",
        ),
    )


def _mask_row(arm: ArmGeometry) -> tuple[object, ...]:
    found, anchors = arm.geometry, arm.geometry.anchors
    return (
        arm.arm,
        found.keep,
        found.variance,
        found.relative_variance,
        found.centroid_distance,
        found.fitted_distance,
        f"{found.active} of {found.dimensions}",
        anchors.spread if anchors else None,
        anchors.rank if anchors else None,
    )


def _groups(findings: Findings) -> Table:
    users = tuple(group.users for group in findings.arms[0].geometry.groups)
    rows = [(arm.arm, *(group.variance for group in arm.geometry.groups)) for arm in findings.arms]
    return Table(
        "Variance across masks, by interactions",
        ("arm", *group_names(findings)),
        (("users", *users), *rows),
        picture=VARIANCES,
    )


def _contractions(findings: Findings) -> Table:
    curvatures = "; ".join(
        f"{arm.arm} {arm.geometry.curvature.mean:.3g} and {arm.geometry.curvature.top:.3g}" for arm in findings.arms
    )
    return Table(
        "What alignment contracts",
        ("arm / control", "measured", "predicted: before", "after", "bound"),
        tuple(row for found in findings.contractions for row in _contraction_rows(found)),
        (
            "predicted, by proposition 3.2 with tau = L / (L + 2 lambda): tau squared for the variance across masks, "
            "tau for the distance to the centroid of the fitted anchors; nothing for the variance of spread.",
            "L: mean eigenvalue of the Hessian of the negative evidence bound in the posterior mean, at the control "
            "for before and at the arm for after; for bound the largest one at the arm, and ratios should be below.",
            f"mean and largest eigenvalue: {curvatures}.",
        ),
    )


def _contraction_rows(found: Contraction) -> Iterator[tuple[object, ...]]:
    name, taus = f"{found.arm} / {found.control}", (found.tau_before, found.tau_after, found.tau_bound)
    yield (f"{name}: variance", found.variance_ratio, *(tau**2 for tau in taus))
    yield (f"{name}: distance", found.distance_ratio, *taus)
    yield (f"{name}: variance of spread", found.relative_ratio, None, None, None)


def _pairs(findings: Findings) -> Table:
    constants = ", ".join(f"{arm.arm} {arm.geometry.lipschitz:.3g}" for arm in findings.arms)
    return Table(
        "Pairs of users",
        ("arm and inputs", "apart", "W1 from", "to", "||g_u||", "Delta_x", "radius > 0", "within it", "helped"),
        tuple(
            _pair_row(f"{arm.arm}, {name}", pairs)
            for arm in findings.arms
            for name, pairs in (("near", arm.geometry.near), ("far", arm.geometry.far))
        ),
        (
            f"near and far: the tenth of the drawn pairs, {findings.arms[0].geometry.near.pairs:,}, whose inputs are "
            "least and most apart by 1 - cosine; W1: bounds on the 1-Wasserstein distance of their posteriors, means.",
            f"g: gradient of a user's expected reconstruction loss in the decoder's parameters, for "
            f"{findings.arms[0].geometry.near.compared:,} pairs of each tenth; Delta_x: distance of the gradients of u "
            "and v at the same points, those of v. The source leaves open how these are computed.",
            "radius: (||g_u|| - Delta_x) / L; where W1 is within it, a small step on v is sure to help u (theorem "
            "2.3). helped: how often it does, <g_u, g_v> > 0.",
            f"L: the largest change of g_u per distance among the pairs, so not above the true one: {constants}.",
        ),
        picture=DISTANCES,
    )


def _pair_row(name: str, pairs: PairGroup) -> tuple[object, ...]:
    surely, perhaps = _percent(pairs.within), _percent(pairs.within_at_most)
    return (
        name,
        pairs.input_distance,
        pairs.low,
        pairs.high,
        pairs.gradient,
        pairs.mismatch,
        _percent(pairs.room),
        surely if surely == perhaps else f"{surely} to {perhaps}",
        _percent(pairs.helped),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def caption(plane: Plane) -> str:
    """Say who is shown, and what near and far mean on the plane."""
    users = ", ".join(f"{each.users} with {each.name} ({span(each)})" for each in plane.cohorts)
    return (
        f"Users by their interactions: {users}. Each mark is the posterior mean under one mask, joined to the user's "
        "others, laid out by t-SNE for each condition by itself, so that only what is near means something."
    )


def _lines(table: Table) -> Iterator[str]:
    yield _line(table.columns)
    yield _line(["---", *["---:"] * (len(table.columns) - 1)])
    for row in table.rows:
        yield _line([shown(cell) for cell in row])


def _line(cells: Iterator[str] | list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(map(escape, cells))} |"


def shown(cell: object) -> str:
    """Print a cell."""
    match cell:
        case None:
            return ABSENT
        case float():
            return f"{cell:.4g}"
        case int():
            return f"{cell:,}"
    return str(cell)
