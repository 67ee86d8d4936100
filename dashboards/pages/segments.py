"""Whether the lift is the same for everyone: one picture a dimension, and the test between its segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from functools import partial

import streamlit as st

from ab_platform.lineage import Launch
from ab_platform.reporting import html_by_segment, html_tables
from ab_platform.reporting.charts.forest import Layout, forest, laid_out
from ab_platform.reporting.printed_rows import metric_of
from ab_platform.reporting.printed_segments import AGE, SegmentTable, tables
from ab_platform.results import LiftRow, Readout, SegmentRow, SegmentTestRow
from dashboards import believing, choosing, drawing, frame, reading, rows

QUESTION = "Is the lift the same for everyone, or does it depend on who the user is?"
READ = (
    "First the lift of all users, whose interval is shaded through every segment. Intervals of segments are not "
    "adjusted for their number: whether lifts differ is for the test between them to say."
)
NONE = (
    'No segments were asked for. Name them in the experiment file, `segments = ["interactions", "cohort"]` under '
    "`[analysis]`, or load attributes of users first with `abp attributes`; a running experiment keeps the segments "
    "that it was launched with"
)


def _page(url: str) -> None:
    st.html(f"<style>{html_tables.stylesheet()}</style>")
    with st.container(horizontal=True, vertical_alignment="bottom", key="choices"):
        launch = choosing.experiment(url, on_change=rows.forget)
        as_of = choosing.day(url, launch.experiment.key)
        readout = reading.readout(url, launch.experiment.key, as_of)
        row = rows.chosen(readout)[0]
    st.html(frame.heading("Segments", QUESTION, of=launch.experiment.key))
    _figures(url, launch, as_of, (row.surface, row.metric, row.arm))


@frame.live
def _figures(url: str, launch: Launch, as_of: date | None, key: tuple[str, str, str]) -> None:
    """Show every dimension, and read it again every now and then without the reader's doing."""
    readout = reading.readout(url, launch.experiment.key, as_of)
    row = next((each for each in readout.lifts if (each.surface, each.metric, each.arm) == key), readout.lifts[0])
    found = [(dimension, each) for dimension, each in tables(readout, row) if dimension != AGE]
    if not found:
        st.html(frame.remark(_nothing(readout, launch)))
    else:
        layout = _layout(readout, row)
        warned = any(each.found != "differs" for _, each in found)
        hypotheses = f'<p class="said caution">{html_by_segment.HYPOTHESES}</p>' if warned else ""
        st.html(f'{believing.warning(readout)}<article class="abp">{hypotheses}<p class="quiet">{READ}</p></article>')
        for dimension, each in found:
            _dimension(readout, row, dimension, each, layout)
    st.html(frame.freshness(readout, launch))


def _dimension(readout: Readout, row: LiftRow, dimension: str, found: SegmentTable, layout: Layout) -> None:
    """Say what the test found, draw the segments, and list their figures."""
    st.html(f'<article class="abp">{html_by_segment.verdict(dimension, found)}</article>')
    segments = [each.row for each in found.segments]
    test = next(_tests(readout, row, dimension), None)
    measured = metric_of(readout, row.surface, row.metric)
    doubted = believing.doubted(readout)
    draw = partial(forest, segments, test, row, measured, layout=layout, doubted=doubted)
    drawn = drawing.picture(draw, "forest", segments, test, row, measured, layout, doubted)
    st.vega_lite_chart(drawn, width="stretch", key=f"segments {dimension}")
    with st.expander("Figures by segment"):
        st.html(f'<article class="abp">{html_by_segment.segments_table(dimension, found, row, measured)}</article>')
        drawing.files(draw, f"{readout.experiment}-{row.surface}-{row.metric}-by-{dimension}", title=dimension)


def _tests(readout: Readout, row: LiftRow, dimension: str) -> Iterator[SegmentTestRow]:
    key = (row.surface, row.metric, row.arm, dimension)
    return (each for each in readout.segment_tests if (each.surface, each.metric, each.arm, each.dimension) == key)


def _layout(readout: Readout, row: LiftRow) -> Layout:
    """Lay all dimensions out alike, so that their lifts can be compared."""
    return laid_out([each for each in _segments(readout, row) if each.dimension != AGE], row)


def _segments(readout: Readout, row: LiftRow) -> Sequence[SegmentRow]:
    key = (row.surface, row.metric, row.arm)
    return [each for each in readout.segments if (each.surface, each.metric, each.arm) == key]


def _nothing(readout: Readout, launch: Launch) -> str:
    """Say why there are no segments, and how to get some."""
    if not launch.experiment.analysis.segments:
        return NONE
    if readout.segments:
        return "This row has no segments: they are made of means alone; choose another row"
    return f"This analysis was stored without segments; run `abp analyze {readout.experiment}`"


if __name__ == "__main__":
    frame.page(_page)
