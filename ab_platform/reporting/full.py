"""The full report: the table and all that it rests on, as one page that stands by itself, or as a PDF."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape

import altair as alt

from ab_platform.reporting.charts.export import LIGHT, as_inline_svg, as_svg
from ab_platform.reporting.charts.forest import describe as describe_forest
from ab_platform.reporting.charts.forest import forest
from ab_platform.reporting.charts.over_time import draw
from ab_platform.reporting.course import Course
from ab_platform.reporting.history import calendar
from ab_platform.reporting.html import as_html
from ab_platform.reporting.html_checks import health_article, scopes_article
from ab_platform.reporting.html_segments import segments
from ab_platform.reporting.printed import Printed, printed
from ab_platform.reporting.printed_checks import printed_checks
from ab_platform.reporting.printed_rows import metric_of, surface_label
from ab_platform.reporting.printed_segments import AGE
from ab_platform.reporting.story import Story, describe, story
from ab_platform.reporting.typst_source import Drawing, source
from ab_platform.reporting.viewing import AS_DECIDED, View
from ab_platform.results import LiftRow, Readout, SegmentRow, SegmentTestRow

SERIF = "Libertinus Serif"
"""The font of the PDF: it comes with what sets it."""

TIME, SEGMENT = "time", "segment"
"""Before the number of a picture, to name what it defines."""

OVER_TIME = (
    "The lift as of each day that was analysed, with the interval for one look at the planned end, and the wider one "
    "that holds at every look."
)


@dataclass(frozen=True)
class Sketch:
    """A picture before it is drawn.

    Attributes:
        title: its heading.
        told: what it shows, in a sentence.
        chart: what is drawn.
    """

    title: str
    told: str
    chart: alt.LayerChart


def full_html(readout: Readout, course: Course, *, published: bool = False, view: View = AS_DECIDED) -> str:
    """Lay the full report out as one self-contained page, light or dark as the reader's system is.

    Args:
        readout: of one experiment as of one day.
        course: how it came to it.
        published: whether the paper's own figures stand beneath each row.
        view: how the table is made.
    """
    page = printed(readout, published=published, view=view)
    parts = [
        health_article(readout),
        scopes_article(readout) if len(readout.sample_ratios) > 1 else "",
        _pictures("Over time", OVER_TIME, _over_time(readout, course), TIME),
        _pictures("Segments", "", _by_segment(readout), SEGMENT),
        _by_figures(page),
    ]
    return as_html(readout, published=published, view=view, after="".join(parts), whole=False)


def full_source(readout: Readout, course: Course, *, published: bool = False, view: View = AS_DECIDED) -> str:
    """Write the full report as a document of typst, whose segments are drawn in their tables.

    Args:
        readout: of one experiment as of one day.
        course: how it came to it.
        published: whether the paper's own figures stand beneath each row.
        view: how the table is made.
    """
    page = printed(readout, published=published, view=view)
    drawings = [
        Drawing(f"Over time: {each.title}", each.told, as_svg(each.chart, font=SERIF, look=replace(LIGHT, paper=None)))
        for each in _over_time(readout, course)
    ]
    return source(page, drawings=drawings, checks=printed_checks(readout).checks)


def _pictures(title: str, told: str, sketches: Iterator[Sketch], name: str) -> str:
    drawn = "".join(
        f'<figure role="group" aria-label="{escape(each.title)}"><h3>{escape(each.title)}</h3>\n'
        f"{as_inline_svg(each.chart, f'{name}{_letters(number)}')}\n"
        f"<figcaption>{escape(each.told)}</figcaption></figure>\n"
        for number, each in enumerate(sketches)
    )
    lead = f'<p class="quiet">{escape(told)}</p>\n' if told else ""
    return f'<article class="abp">\n<h2>{title}</h2>\n{lead}{drawn}</article>\n' if drawn else ""


def _letters(number: int) -> str:
    """Name a picture by letters: what it defines is numbered."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


def _over_time(readout: Readout, course: Course) -> Iterator[Sketch]:
    """Draw every primary row that was analysed on more days than one."""
    for row in _primary(readout):
        told = _story(readout, course, row)
        if len(told.told) > 1:
            yield Sketch(_title(readout, row), describe(told), draw(told))


def _story(readout: Readout, course: Course, row: LiftRow) -> Story:
    truth = readout.truth(row)
    return story(
        [each for each in course.history if each.row.as_of <= readout.as_of],
        row,
        metric_of(readout, row.surface, row.metric),
        calendar(course.launch, course.changes),
        truth=None if truth is None else truth.lift,
    )


def _by_segment(readout: Readout) -> Iterator[Sketch]:
    """Draw every primary row by every dimension but the days since exposure, which are no groups of users."""
    for row in _primary(readout):
        of_row = [each for each in readout.segments if _key(each) == _key(row) and each.dimension != AGE]
        measured = metric_of(readout, row.surface, row.metric)
        for dimension in dict.fromkeys(each.dimension for each in of_row):
            groups = [each for each in of_row if each.dimension == dimension]
            test = _test(readout, row, dimension)
            told = "" if test is None else describe_forest(groups, test, row, measured)
            yield Sketch(f"{_title(readout, row)}, by {dimension}", told, forest(groups, test, row, measured))


def _by_figures(page: Printed) -> str:
    """List what the pictures of segments show, folded until asked for."""
    figures = "".join(segments(block, page) for block in page.blocks)
    if not figures:
        return ""
    return (
        '<article class="abp"><details class="told"><summary>Segments and days since exposure, by figures</summary>\n'
        f"{figures}</details></article>\n"
    )


def _primary(readout: Readout) -> Iterator[LiftRow]:
    return (row for row in readout.lifts if row.role == "primary")


def _key(row: LiftRow | SegmentRow | SegmentTestRow) -> tuple[str, str, str]:
    return row.surface, row.metric, row.arm


def _test(readout: Readout, row: LiftRow, dimension: str) -> SegmentTestRow | None:
    return next(
        (each for each in readout.segment_tests if (*_key(each), each.dimension) == (*_key(row), dimension)), None
    )


def _title(readout: Readout, row: LiftRow) -> str:
    """Name a row, and its treatment where there are several."""
    title = f"{surface_label(row.surface)}, {metric_of(readout, row.surface, row.metric).label}"
    return f"{title}, {row.arm}" if len({each.arm for each in readout.lifts}) > 1 else title
