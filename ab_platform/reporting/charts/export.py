"""A chart as a picture that stands by itself, in the platform's fonts and colours, drawn without a browser."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import altair as alt

SANS = "Source Sans, Segoe UI, system-ui, sans-serif"
PIXELS_PER_INCH = 192.0
"""Twice what a chart's sizes are in, so that a picture in a slide is sharp."""

_IDENTIFIER = re.compile(r'(?:(?<=id=")|(?<=url\(#)|(?<=href="#))[A-Za-z_][\w-]*')


@dataclass(frozen=True)
class Look:
    """The colours around a chart's marks; None for no background."""

    ink: str
    quiet: str
    line: str
    paper: str | None


LIGHT = Look(ink="#1c1b19", quiet="#65625c", line="#d3cfc6", paper="#fdfcfa")
DARK = Look(ink="#ecebe7", quiet="#a3a19b", line="#3d4046", paper="#15171b")
INLINE = Look(ink="currentColor", quiet="currentColor", line="#8a877f", paper=None)
"""Takes the text's colour from the page around it, so that one picture is right in both themes."""


def as_svg(chart: alt.TopLevelMixin, *, dark: bool = False, font: str = SANS, look: Look | None = None) -> str:
    """Draw a chart as SVG; the same chart gives the same text.

    Args:
        chart: of any kind.
        dark: whether it is for a dark page.
        font: families of its text, the first that is there is taken.
        look: its colours; those of the light or the dark theme where None.
    """
    import vl_convert

    shown = look or (DARK if dark else LIGHT)
    drawn: str = vl_convert.vegalite_to_svg(chart.to_json(), config=config(shown, font=font))
    return _numbered(drawn)


def as_inline_svg(chart: alt.TopLevelMixin, name: str) -> str:
    """Draw a chart as SVG for an HTML page of either theme.

    Args:
        chart: of any kind.
        name: of letters, unlike that of any other picture of the page: what is defined in one must not reach another.
    """
    return _IDENTIFIER.sub(lambda found: f"{name}-{found[0]}", as_svg(chart, look=INLINE))


def as_png(chart: alt.TopLevelMixin, *, dark: bool = False) -> bytes:
    """Draw a chart as PNG, at twice its size.

    Args:
        chart: of any kind.
        dark: whether it is for a dark page.
    """
    import vl_convert

    look = DARK if dark else LIGHT
    drawn: bytes = vl_convert.vegalite_to_png(chart.to_json(), config=config(look, font=SANS), ppi=PIXELS_PER_INCH)
    return drawn


def config(look: Look, *, font: str) -> dict[str, Any]:
    """Return the settings of Vega-Lite that a picture is drawn with.

    Args:
        look: the colours around the marks.
        font: families of its text.
    """
    labels = {"labelColor": look.quiet, "titleColor": look.quiet, "labelFontSize": 11, "titleFontSize": 11}
    lines = {"domainColor": look.line, "gridColor": look.line, "tickColor": look.line}
    return {
        "font": font,
        "background": look.paper,
        "view": {"stroke": None},
        "text": {"color": look.ink},
        "title": {"color": look.ink, "subtitleColor": look.quiet, "fontSize": 14, "anchor": "start", "fontWeight": 600},
        "axis": labels | lines | {"titleFontWeight": 400},
        "header": labels,
        "legend": labels | {"titleFontWeight": 400},
    }


def _numbered(svg: str) -> str:
    """Count what a picture defines from 0: the renderer goes on counting from one picture to the next."""
    found = dict.fromkeys(_IDENTIFIER.findall(svg))
    names = {name: f"{name.rstrip('0123456789')}{number}" for number, name in enumerate(found)}
    return _IDENTIFIER.sub(lambda each: names[each[0]], svg)
