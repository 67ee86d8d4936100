"""Seconds over users, on logarithmic axes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import altair as alt

from ab_platform.reporting.charts.export import LIGHT, as_svg
from benchmarks.analysis.contenders import contender
from benchmarks.analysis.measuring import Measured

ROOM = {"left": 5, "top": 5, "right": 50, "bottom": 5}
"""Around the picture: names are as wide as the reader's letters, which may be wider than those it was drawn with."""


def draw(found: Sequence[Measured], path: Path) -> None:
    """Write the picture as SVG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_svg(chart(found), look=LIGHT), encoding="utf-8")


def chart(found: Sequence[Measured]) -> alt.Chart:
    """Draw a line for each contender, through the sizes at which it was asked."""
    rows = [
        {"users": each.users, "seconds": each.seconds, "side": contender(each.contender).name}
        for each in found
        if each.rounds
    ]
    sides = list(dict.fromkeys(str(row["side"]) for row in rows))
    logarithmic = alt.Scale(type="log", nice=False)
    drawn: alt.Chart = (
        alt.Chart(alt.Data(values=rows), width=560, height=340, padding=ROOM)  # type: ignore[no-untyped-call]
        .mark_line(point=True)
        .encode(
            x=alt.X("users:Q", scale=logarithmic, title="users", axis=alt.Axis(format="~s")),
            y=alt.Y("seconds:Q", scale=logarithmic, title="seconds"),
            color=alt.Color("side:N", sort=sides, title=None),
            strokeDash=alt.StrokeDash("side:N", sort=sides, legend=None),
        )
    )
    return drawn
