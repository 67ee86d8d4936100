"""Latent spaces as HTML: the tables of `reporting.latent`, and what was found in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from ab_platform.latent_findings import Contraction, Findings, Panel
from ab_platform.reporting.html_tables import Cell, Column, table
from ab_platform.reporting.latent import Table, shown

SHORT = 8
"""Letters of a head that fits beside three others on a narrow screen."""


def sentences(found: Findings) -> tuple[str, ...]:
    """Say what was found, with its figures: what alignment contracts, and whether anyone can learn from anyone."""
    return (*map(_contracted, found.contractions), *map(_predicted, found.contractions), _shared(found))


def of_panel(found: Panel) -> tuple[str, ...]:
    """Say beneath a panel what the plane cannot show, since it is no measure of distance."""
    own = "one mark a user" if found.own is None else f"nearest mark is the same user's: {_percent(found.own)}"
    return own, f"nearest other user has as many: {_percent(found.same_cohort)}"


def laid_out(found: Table, dataset: str) -> str:
    """Lay a table out, its sentences beneath."""
    heads = [Column(name, words=not number) for number, name in enumerate(found.columns)]
    rows = [tuple(Cell(shown(cell)) for cell in row) for row in found.rows]
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in found.told)
    told = f'<ul class="told quiet">{items}</ul>' if items else ""
    short = all(len(name) <= SHORT for name in found.columns[1:])
    return table(f"{found.title}, {dataset}", heads, rows, across=4 if short else 3) + told


def collapsed(found: Findings) -> Iterator[str]:
    """Warn of arms whose posterior has fallen onto the prior, or whose anchors lie on one point."""
    for arm in found.arms:
        geometry = arm.geometry
        if geometry.active < geometry.dimensions / 2:
            yield f"{arm.arm} uses {geometry.active} of its {geometry.dimensions} latent dimensions; lower its beta."
        if geometry.anchors is not None and geometry.anchors.spread == 0.0:
            yield f"The anchors of {arm.arm} lie on one point, so alignment tells nothing of titles."


def _contracted(found: Contraction) -> str:
    relative = ""
    if found.relative_ratio is not None:
        more = "further" if found.relative_ratio > 1.0 else "less far"
        relative = f"; beside the spread of the users, {found.relative_ratio:.3g} times, so masks move them {more}"
    return (
        f"{found.arm}: the variance of a user's mean across masks is {found.variance_ratio:.3g} times that of "
        f"{found.control}{relative}."
    )


def _predicted(found: Contraction) -> str:
    kept = found.variance_ratio <= found.tau_bound**2 and found.distance_ratio <= found.tau_bound
    return (
        f"Proposition 3.2 predicts {found.tau_before**2:.3g} with the curvature before alignment and "
        f"{found.tau_after**2:.3g} with that after it; its bound of {found.tau_bound**2:.3g} is "
        f"{'kept' if kept else 'NOT kept'} by {found.arm}."
    )


def _shared(found: Findings) -> str:
    near, far = ([getattr(arm.geometry, end) for arm in found.arms] for end in ("near", "far"))
    room = max(pairs.room for pairs in (*near, *far))
    rare = "No pair of users has" if room == 0.0 else f"At most {_percent(room)} of pairs of users have"
    return (
        f"{rare} a sharing radius above 0 as computed here, while a small step on one helps the other in "
        f"{_between([pairs.helped for pairs in near])} of pairs with near inputs and in "
        f"{_between([pairs.helped for pairs in far])} of those with far ones."
    )


def _between(shares: Sequence[float]) -> str:
    low, high = f"{100 * min(shares):.0f}", f"{100 * max(shares):.0f}"
    return f"{high} %" if low == high else f"{low} to {high} %"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
