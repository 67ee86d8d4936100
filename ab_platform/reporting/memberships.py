"""In which experiments one user is, as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from urllib.parse import urlencode

from ab_platform.lineage import Launch
from ab_platform.reporting import figures
from ab_platform.reporting.placement import Place, verdict


def memberships(placed: Sequence[tuple[Launch, Place]], exposed: Mapping[str, datetime], *, user: str) -> str:
    """List the experiments that a user is in, or was exposed under; of the others, how many there are.

    Args:
        placed: every other experiment, with the user's place in it.
        exposed: since when, by experiment.
        user: as the address names them.
    """
    own = [each for each in placed if each[1].arm is not None or each[0].experiment.key in exposed]
    others = len(placed) - len(own)
    without = f"In {others:,} other {'experiment' if others == 1 else 'experiments'} the user is not."
    rest = f'<p class="quiet">{without}</p>' if others else ""
    if not own:
        return f'<section class="abp"><h2>Other experiments</h2>{rest or "<p>There is none.</p>"}</section>\n'
    heads = "".join(
        f'<th role="columnheader" scope="col">{word}</th>' for word in ("Experiment", "State", "Arm", "Counts since")
    )
    rows = "".join(_row(launch, where, exposed, user) for launch, where in own)
    return (
        '<section class="abp"><h2>Other experiments</h2>\n<table role="table" aria-label="Other experiments">'
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>\n<tbody role="rowgroup">\n{rows}</tbody></table>'
        f"{rest}</section>\n"
    )


def _row(launch: Launch, where: Place, exposed: Mapping[str, datetime], user: str) -> str:
    key = launch.experiment.key
    link = escape("user?" + urlencode({"experiment": key, "user": user}))
    at = exposed.get(key)
    cells = (
        ("State", launch.state),
        ("Arm", verdict(where).removeprefix("In arm ")),
        ("Counts since", figures.ABSENT if at is None else figures.moment(at)),
    )
    told = "".join(f'<td role="cell" data-label="{name}">{escape(text)}</td>' for name, text in cells)
    head = f'<a href="{link}">{escape(key)}</a>'
    return f'<tr role="row"><th role="rowheader" scope="row" class="metric">{head}</th>{told}</tr>\n'
