"""The lift over time as HTML: one row's figures by day, and every row small; of boxes alone, since SVG is stripped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from html import escape
from importlib.resources import files

from ab_platform.reporting import definitions, figures
from ab_platform.reporting.history import missing
from ab_platform.reporting.html_parts import capital, figure
from ab_platform.reporting.html_tables import Cell, Column, Row, table
from ab_platform.reporting.printed_rows import surface_label
from ab_platform.reporting.story import TRUE, Story, Told, describe

ONE_LOOK = "Made for one look, at the planned end: looked at every day it promises too much."
EVERY_LOOK = "A confidence sequence: it holds at every look, so any day may be acted on."
SAYS = "By the interval that counts on the day: at the planned end the one for one look where that was the rule."

HALF_LINE_PIXELS = 0.9


def stylesheet() -> str:
    """Return the rules that the small pictures are drawn with, beside those of the reports."""
    return (files("ab_platform.reporting") / "over_time.css").read_text(encoding="utf-8")


def days_table(told: Story) -> str:
    """Lay the figures of every day out, the newest first; a day that was not analysed says so.

    Args:
        told: of one row, of at least one day.
    """
    estimate = "Lift" if told.scale == "relative" else "Difference"
    columns = (
        Column("As of", "Last day that counts.", words=True),
        Column("Users", detail="control / treatment"),
        Column(estimate, definitions.LIFT if told.scale == "relative" else definitions.DIFFERENCE),
        Column("For one look", ONE_LOOK, detail=f"{figures.level(told.row.alpha)} interval, p"),
        Column("At every look", EVERY_LOOK, detail=f"{figures.level(told.row.alpha)} sequence, p"),
        Column("Says", SAYS, words=True),
    )
    rows = {each.as_of: _day(each, told) for each in told.told}
    absent = missing([each.day for each in told.told], told.planned)
    rows |= {day: _absent(f"{day.isoformat()}", f"day {told.planned.number(day)}") for day in absent}
    return table(f"Figures by day: {describe(told)}", columns, [rows[day] for day in sorted(rows, reverse=True)])


def unbroken(text: str) -> str:
    """Keep a figure's sign of percent or unit on its line."""
    return text.replace(" %", "\u00a0%").replace(" pp", "\u00a0pp")


def _day(each: Told, told: Story) -> Row:
    _, estimate, fixed, sequential, word = each.facts
    row, anytime = each.day.fixed, each.day.sequential
    p_value = "" if anytime is None else figures.p_clause(figures.p_value(anytime.p_value, anytime.alpha))
    return (
        Cell(each.as_of.isoformat(), f"day {told.planned.number(each.as_of)}"),
        Cell(f"{row.users_control:,}", f"{row.users_treatment:,}"),
        Cell(estimate),
        Cell(unbroken(fixed), figures.p_clause(figures.p_value(row.p_value, row.alpha))),
        Cell(unbroken(sequential), p_value),
        Cell(word, tone=each.tone if each.tone in ("better", "worse") else None),
    )


def _absent(day: str, number: str) -> Row:
    nothing = Cell(figures.ABSENT)
    return Cell(day, number), nothing, nothing, nothing, nothing, Cell("not analysed")


def small_multiples(stories: Sequence[Story], link: Callable[[Story], str], is_large: Callable[[Story], bool]) -> str:
    """Draw every row small, each on an axis of its own, with a link that enlarges it.

    Args:
        stories: of all rows, each of at least one day.
        link: where a row's link leads.
        is_large: whether a row is shown large already.
    """
    several = len({told.row.arm for told in stories}) > 1
    cards = "".join(_card(told, link(told), current=is_large(told), several=several) for told in stories)
    return f'<ul class="over-time" role="list">\n{cards}</ul>\n'


def _card(told: Story, link: str, *, current: bool, several: bool) -> str:
    newest = told.told[-1]
    place = surface_label(told.row.surface) + (f", {told.row.arm}" if several else "")
    shown = ' aria-current="true"' if current else ""
    return (
        f'<li><a href="{escape(link)}"{shown} title="Show it large"><small>{escape(place)}</small>'
        f"<b>{escape(told.measured.label)}</b></a>\n{picture(told)}"
        f"<p>{figure(newest.facts[1])} <small>{figure(_counting(told))}</small></p>"
        f'<p class="says {newest.tone}">{figure(newest.facts[4])}</p></li>\n'
    )


def _counting(told: Story) -> str:
    newest = told.told[-1]
    return newest.facts[3] if newest.counts == "sequential" else newest.facts[2]


def picture(told: Story) -> str:
    """Draw a story small: both bands, the line and zero; a day that may be acted on has a mark in its colour.

    Args:
        told: of one row, of at least one day.
    """
    pieces = [*_levels(told), *_drawn(told)]
    return f'<div class="days" role="img" aria-label="{escape(capital(describe(told)))}">{"".join(pieces)}</div>\n'


def _levels(told: Story) -> Iterator[str]:
    yield f'<span class="zero" style="top:{_y(told, 0.0):.1f}%"></span>'
    for name, level in told.levels.items():
        yield f'<span class="{"true" if name == TRUE else "margin"}" style="top:{_y(told, level):.1f}%"></span>'


def _drawn(told: Story) -> Iterator[str]:
    for band, name in enumerate(("every", "one")):
        for run in told.runs(band, bounded=True):
            yield f'<span class="band {name}" style="clip-path:polygon({_band(told, run, band)})"></span>'
    for run in told.runs():
        yield f'<span class="trace" style="clip-path:polygon({_trace(told, run)})"></span>'
        yield from (_dot(told, each) for each in run if each.tone in ("better", "worse"))


def _dot(told: Story, each: Told) -> str:
    place = f"left:{_x(told, each):.1f}%;top:{_y(told, each.spans[1].middle):.1f}%"
    return f'<span class="dot {each.tone}" style="{place}"></span>'


def _x(told: Story, each: Told, *, hours: int = 12) -> float:
    """Return where a day stands, in percent of the width; each has as much of it, and stands in its middle."""
    first, days = told.planned.first, (told.last - told.planned.first).days + 1
    return 100.0 * ((each.as_of - first) / timedelta(days=1) + hours / 24.0) / days


def _y(told: Story, value: float | None) -> float:
    return 100.0 * (1.0 - told.axis.share(value or 0.0))


def _band(told: Story, run: Sequence[Told], band: int) -> str:
    """Return the corners of the intervals of days in a row; of a single one, a bar of half a day."""
    upper, lower = list(_edge(told, run, band, high=True)), list(_edge(told, run, band, high=False))
    return ",".join(f"{x:.1f}% {y:.1f}%" for x, y in [*upper, *reversed(lower)])


def _edge(told: Story, run: Sequence[Told], band: int, *, high: bool) -> Iterator[tuple[float, float]]:
    hours = (12,) if len(run) > 1 else (6, 18)
    for each in run:
        end = each.spans[band].high if high else each.spans[band].low
        for hour in hours:
            yield _x(told, each, hours=hour), _y(told, end)


def _trace(told: Story, run: Sequence[Told]) -> str:
    """Return the corners of the line: there above it, back below it; of a single day, a dash."""
    hours = (12,) if len(run) > 1 else (8, 16)
    places = [(_x(told, each, hours=hour), _y(told, each.spans[1].middle)) for each in run for hour in hours]
    above = [f"{x:.1f}% calc({y:.1f}% - {HALF_LINE_PIXELS}px)" for x, y in places]
    below = [f"{x:.1f}% calc({y:.1f}% + {HALF_LINE_PIXELS}px)" for x, y in reversed(places)]
    return ",".join([*above, *below])
