"""How the lift came to be what it is: its band by day, and what each band promises."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape
from urllib.parse import urlencode

import streamlit as st

from ab_platform.events import Surface
from ab_platform.lineage import Launch
from ab_platform.reporting import history, html_over_time, html_tables
from ab_platform.reporting.charts import novelty, over_time
from ab_platform.reporting.html_parts import figure
from ab_platform.reporting.printed_rows import metric_of, surface_label
from ab_platform.reporting.printed_segments import AGE, NOVELTY_MEANING
from ab_platform.reporting.story import Story, on_one_axis, story
from ab_platform.reporting.viewing import NO_VIEWS, Scale
from ab_platform.results import LiftRow, LiftView, Readout, SegmentRow
from dashboards import believing, choosing, drawing, frame, reading, reading_history, rows
from dashboards.views import EFFECT

QUESTION = "How did the lift come to be what it is, and as of which day might it have been acted on?"
COUNTS = (
    "A mark is coloured where the band that counts on its day leaves out 0 (of a guardrail, its margin). Before the "
    "planned end that is the wide one, which holds at every look."
)


def _page(url: str) -> None:
    st.html(f"<style>{html_tables.stylesheet()}{html_over_time.stylesheet()}</style>")
    with st.container(horizontal=True, vertical_alignment="bottom", key="choices"):
        launch = choosing.experiment(url, on_change=rows.forget)
        key = launch.experiment.key
        readout = reading.readout(url, key, None)
        chosen = rows.chosen(readout, together=True)
    with st.container(horizontal=True, vertical_alignment="bottom", key="ways"):
        scale = rows.effect(readout)
        there = history.adjusted_for(reading_history.lift_history(url, key), _key(chosen[0]))
        covariates = rows.covariates(readout, chosen[0], there)
    st.html(frame.heading("Over time", QUESTION, of=key))
    _figures(url, launch, [_key(row) for row in chosen], scale, covariates)


@frame.live
def _figures(
    url: str, launch: Launch, keys: Sequence[tuple[Surface, str, str]], scale: Scale, covariates: bool
) -> None:
    """Show the days, and read them again every now and then without the reader's doing."""
    key = launch.experiment.key
    readout = reading.readout(url, key, None)
    views = reading_history.lift_history(url, key)
    planned = history.calendar(launch, reading.changes(url, key))
    told = [_story(readout, row, views, planned, scale, covariates) for row in readout.lifts]
    large = on_one_axis([each for each in told if _key(each.row) in keys and each.told])
    if not large:
        st.html(frame.remark(_nothing(readout, views, covariates)))
    warning = believing.warning(readout)
    if warning:
        st.html(warning)
    for each in large:
        _large(readout, each)
    if large:
        st.html(f'<article class="abp"><p class="quiet">{COUNTS}</p></article>')
    _novelty(readout, large)
    _small([each for each in told if each.told], large, scale)
    st.html(frame.freshness(readout, launch))


def _story(
    readout: Readout, row: LiftRow, views: Sequence[LiftView], planned: history.Calendar, scale: Scale, wanted: bool
) -> Story:
    """Tell one row; with covariates where they are wanted and the row has them."""
    truth = readout.truth(row)
    return story(
        views,
        row,
        metric_of(readout, row.surface, row.metric),
        planned,
        covariates=wanted and True in history.adjusted_for(views, _key(row)),
        scale=scale,
        truth=None if truth is None else truth.lift,
        doubted=believing.doubted(readout),
    )


def _large(readout: Readout, told: Story) -> None:
    """Draw one row, with its figures beneath."""
    key = "-".join(_key(told.row))
    words = f'<p class="said {told.told[-1].tone}">{_newest(told)}</p>{_gaps(readout, told)}'
    st.html(f'<article class="abp"><h2>{escape(_title(readout, told.row))}</h2>{words}</article>')
    drawn = drawing.picture(partial(over_time.draw, told), "over time", told)
    st.vega_lite_chart(drawn, width="stretch", key=f"over time {key}")
    with st.expander("Figures by day"):
        st.html(f'<article class="abp">{html_over_time.days_table(told)}</article>')
        st.download_button(
            "Download as CSV",
            lambda: history.as_csv([each.day for each in told.told]),
            file_name=f"{readout.experiment}-{key}-by-day.csv",
            mime="text/csv",
            key=f"csv {key}",
            on_click="ignore",
        )
        name = f"{readout.experiment}-{key}-over-time"
        drawing.files(partial(over_time.draw, told), name, title=_title(readout, told.row))


def _newest(told: Story) -> str:
    newest = told.told[-1]
    _, estimate, fixed, sequential, word = newest.facts
    by = f"{fixed} by the band for one look" if newest.counts == "fixed" else f"{sequential} by the band for every look"
    return figure(f"As of {newest.as_of.isoformat()}: {estimate}, {by}; {word}.")


def _gaps(readout: Readout, told: Story) -> str:
    """Say how many days were not analysed, with the next step."""
    absent = history.missing([each.day for each in told.told], told.planned)
    if not absent:
        return ""
    days = "One day was" if len(absent) == 1 else f"{len(absent)} days were"
    command = f"<code>abp analyze {escape(readout.experiment)} --every-day</code>"
    return f'<p class="quiet">{days} not analysed; {command} makes up for it.</p>'


def _nothing(readout: Readout, views: Sequence[LiftView], covariates: bool) -> str:
    if not views:
        return NO_VIEWS.format(key=f"{readout.experiment} --every-day")
    return f"No day of this row was analysed {'with' if covariates else 'without'} covariates; choose another row"


def _novelty(readout: Readout, large: Sequence[Story]) -> None:
    """Draw the lift by days since exposure, where the row has it."""
    for told in large:
        ages = [row for row in readout.segments if row.dimension == AGE and _key(row) == _key(told.row)]
        if not ages:
            continue
        title = "Novelty" if len(large) == 1 else f"Novelty, {told.row.arm}"
        st.html(
            f'<article class="abp"><h2>{escape(title)}</h2><p class="quiet">The lift by days since exposure: one that '
            f"fades is a novelty, one that grows is learned. {NOVELTY_MEANING} Shaded, the interval over all days."
            "</p></article>"
        )
        draw = partial(novelty.novelty, ages, told.row, told.measured)
        drawn = drawing.picture(draw, "novelty", ages, told.row, told.measured)
        st.vega_lite_chart(drawn, width="stretch", key=f"novelty {told.row.arm}")


def _small(stories: Sequence[Story], large: Sequence[Story], scale: Scale) -> None:
    """Draw every row small, each with a link that shows it large."""
    if len(stories) < 2:
        return
    options = {EFFECT: scale} if scale != "relative" else {}
    several = len({told.row.arm for told in stories}) > 1
    shown = {_key(each.row) for each in large}

    def link(told: Story) -> str:
        words = {"experiment": told.row.experiment, rows.ROW: rows.name_of(told.row)}
        arm = {rows.ARM: told.row.arm} if several else {}
        return f"over_time?{urlencode(words | arm | options)}"

    cards = html_over_time.small_multiples(stories, link, lambda told: _key(told.row) in shown)
    st.html(f'<article class="abp"><h2>Every row</h2>{cards}</article>')


def _title(readout: Readout, row: LiftRow) -> str:
    title = f"{surface_label(row.surface)}, {metric_of(readout, row.surface, row.metric).label}"
    return f"{title}, {row.arm}" if len({each.arm for each in readout.lifts}) > 1 else title


def _key(row: LiftRow | SegmentRow) -> tuple[Surface, str, str]:
    return row.surface, row.metric, row.arm


if __name__ == "__main__":
    frame.page(_page)
