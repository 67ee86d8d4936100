"""Where the arms place users, and how masks and alignment move them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from datetime import datetime
from functools import partial
from html import escape

import altair as alt
import streamlit as st

from ab_platform.errors import NotFoundError
from ab_platform.latent_findings import Findings, Plane
from ab_platform.lineage import Launch
from ab_platform.reporting import html_tables, latent, latent_html
from ab_platform.reporting.charts import drift, plane
from ab_platform.reporting.html_key import key
from ab_platform.reporting.lineage import identity, moment
from ab_platform.reporting.offline_html import article, section
from dashboards import choosing, drawing, frame, reading, reading_arms

QUESTION = "Where the arms place users, how far masks move them, and what alignment does to both."
EMPTY = (
    "nobody looked into the latent spaces yet; run `abp geometry multi_vae pia`, which takes a minute with arms that "
    "were trained"
)


def _page(url: str) -> None:
    st.html(f"<style>{html_tables.stylesheet()}</style>")
    names = reading_arms.written(url, "geometry")
    if not names:
        raise NotFoundError(EMPTY)
    launches = reading.launches(url)
    with st.container(horizontal=True, vertical_alignment="bottom", key="choices"):
        name = choosing.choice("geometry", "Latent spaces of", list(names), default=_default(list(names), launches))
    found = reading_arms.latent_spaces(url, name)
    st.html(frame.heading("Latent space", QUESTION, of=name))
    st.html(article([*_said(found.findings), _lead(found.findings, launches, names[name])]))
    identity = (url, name, names[name])
    _figure_2(found.plane, identity)
    _drift(found.findings, identity)
    _tables(found.findings)


def _default(names: Sequence[str], launches: Sequence[Launch]) -> str:
    """Return the findings on the data of the experiment that was looked at last, else of the newest one, if any."""
    remembered = st.session_state.get(choosing.REMEMBERED + "experiment")
    keys = sorted(launches, key=lambda launch: launch.experiment.key != remembered)
    datasets = [launch.experiment.data.dataset for launch in keys]
    return next((dataset for dataset in datasets if dataset in names), names[0])


def _lead(found: Findings, launches: Sequence[Launch], at: datetime) -> str:
    """Say which artifacts these are, and which experiments serve them."""
    first = found.arms[0].geometry
    arms = "".join(f"<li>{_arm(arm.arm, arm.artifact_id, launches)}</li>" for arm in found.arms)
    drawn = (
        f"Measured on {first.users:,} users of {escape(found.dataset)}, {first.masks} masks each; written {moment(at)}."
    )
    return f'<p class="quiet">{drawn}</p><ul class="told quiet">{arms}</ul>'


def _arm(label: str, artifact_id: str, launches: Sequence[Launch]) -> str:
    keys = [launch.experiment.key for launch in launches if artifact_id in launch.artifacts.values()]
    served = f"frozen in {escape(', '.join(keys))}" if keys else "frozen in no experiment"
    return f"{escape(label)}: {identity(artifact_id, shown=16)}, {served}"


def _said(found: Findings) -> Iterator[str]:
    yield from (f'<p class="said caution">{escape(each)}</p>' for each in latent_html.collapsed(found))
    yield from (f'<p class="said">{escape(each)}</p>' for each in latent_html.sentences(found))


def _figure_2(found: Plane, identity: tuple[Hashable, ...]) -> None:
    """Show the panels; the identity names the findings in the store."""
    legend = key(plane.marks(found))
    st.html(article([section("The same users under each condition", legend, told=latent.caption(found))]))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="panels"):
        for number, panel in enumerate(found.panels):
            with st.container(width=plane.SIDE + 4, gap="xsmall"):
                st.html(article([f"<h3>{escape(panel.arm)}</h3>", f'<p class="quiet">{escape(panel.condition)}</p>']))
                draw = partial(plane.panel, panel, found.cohorts)
                drawing.chart(draw, f"panel {number}", *identity, width=plane.SIDE + 4, around=4)
                st.html(article([f'<p class="quiet">{"<br>".join(latent_html.of_panel(panel))}</p>']))


def _drift(found: Findings, identity: tuple[Hashable, ...]) -> None:
    """Show what was measured; the identity names the findings in the store."""
    st.html(article([section("What masks and alignment do", key(drift.arm_marks(found)))]))
    charts: list[tuple[str, Callable[[Findings], alt.LayerChart], str]] = [
        ("How far masks move a user, by interactions", drift.variances, ""),
        ("How far apart pairs of users lie, at least", drift.distances, ""),
        ("Who can learn from whom", drift.sharing, ""),
    ]
    if found.contractions:
        legend = key(drift.contraction_marks())
        charts.append(("What alignment contracts, and what is predicted", drift.contractions, legend))
    for start in range(0, len(charts), 2):
        for column, (title, draw, legend) in zip(st.columns(2, gap="large"), charts[start : start + 2], strict=False):
            with column:
                st.html(article([f"<h3>{escape(title)}</h3>", legend]))
                drawing.chart(partial(draw, found), title, *identity, around=drift.AROUND)


def _tables(found: Findings) -> None:
    for each in latent.tables(found):
        with st.expander(each.title):
            st.html(article([latent_html.laid_out(each, found.dataset)]))


if __name__ == "__main__":
    frame.page(_page)
