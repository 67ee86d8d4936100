"""Users and days against the lift that can be found: of an experiment that stands, or of one in the making."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from ab_platform import drafting
from ab_platform.assignment import BUCKETS
from ab_platform.errors import NotFoundError, PlatformError
from ab_platform.experiment import Experiment
from ab_platform.metrics import CATALOGUE, Row
from ab_platform.past import PastData
from ab_platform.planning import Given, by_days, planned
from ab_platform.power_plan import PowerPlan, RowPower
from ab_platform.reporting.charts.power import Curve, curves
from ab_platform.reporting.html_parts import capital
from ab_platform.reporting.power_answer import arm_words, distinct, row_label, rows_by_name
from ab_platform.reporting.power_table import answer_html, table_html
from ab_platform.stored_past import stored_past
from dashboards import choosing, dials, drawing, folding, frame, planner_dials, reading, reading_planner

DRAFT = "a new draft"
"""What is chosen to start from no experiment."""

QUESTION = "How many users and days it takes, and how small a lift the ones there are can show."

PRIMARY = "home_card.play_duration"

MOST_ARMS = 5
"""Treatments of a draft."""


@dataclass(frozen=True)
class Start:
    """What the plan begins with.

    Attributes:
        experiment: one that stands, or a blank one.
        population: users of its data set.
        next_key: under which the plan goes to a file.
        told: where that number is from, where it is not the data set's own; empty else.
    """

    experiment: Experiment
    population: int
    next_key: str
    told: str = ""


def _page(url: str) -> None:
    _plan(url, _start(url))


def _start(url: str) -> Start:
    """Let a person choose what to start from."""
    launches = {each.experiment.key: each for each in reading.launches(url)}
    names = [*reading_planner.datasets(url), *(each.experiment.data.dataset for each in launches.values())]
    if not names:
        raise NotFoundError("nothing is ingested yet; run `abp demo` to go the whole way once, or `abp ingest ml-1m`")
    with st.container(horizontal=True, vertical_alignment="bottom", key="choices"):
        analysed = next((key for key in launches if reading.as_ofs(url, key)), None)
        key = choosing.choice("experiment", "Start from", [*launches, DRAFT], default=analysed, on_change=_forget)
        dataset = "" if key != DRAFT else _dataset(names)
    st.html(frame.heading("Planner", QUESTION, of=key))
    if key != DRAFT:
        return _with_users(url, launches[key].experiment, drafting.next_key(key))
    with st.container(horizontal=True, key="draft"):
        rows = dials.several("rows", "Primary rows", [PRIMARY], words=_rows())
        treatments = dials.slide("treatments", "Treatments", 1, span=(1, MOST_ARMS))
    begun = drafting.blank(dataset, primary=rows, treatments=treatments)
    return _with_users(url, begun, begun.key)


def _dataset(names: Sequence[str]) -> str:
    return choosing.choice("dataset", "Data set", list(dict.fromkeys(names)), on_change=_forget)


def _with_users(url: str, experiment: Experiment, next_key: str) -> Start:
    dataset = reading_planner.datasets(url).get(experiment.data.dataset)
    if dataset is not None:
        return Start(experiment, dataset.users, next_key)
    found = next(iter(reading_planner.newest(url, experiment.data.dataset)), None)
    if found is None:
        raise NotFoundError(
            f"data set '{experiment.data.dataset}' is not ingested and no experiment on it is analysed, so nobody "
            f"knows how many users there are; run `abp ingest {experiment.data.dataset}`"
        )
    low, high = found.launch.experiment.layer_buckets
    came = next((sum(row.counts) for row in found.splits if (row.scope, row.as_of) == ("all", found.as_of)), 0)
    users = round(came / max(found.launch.traffic * (high - low) / BUCKETS, 1e-9))
    told = f"Data set {experiment.data.dataset} is not ingested: the users who came to {found.launch.experiment.key} "
    return Start(experiment, users, next_key, f"{told}are taken for all there are.")


def _rows() -> dict[str, str]:
    """Name every row that a draft may have."""
    rows = [Row(surface, each) for surface in ("home_card", "movie_card") for each in CATALOGUE]
    return {row.name: capital(row_label(row)) for row in rows if row.metric.statistic != "coverage"}


def _forget() -> None:
    """Set every dial as the new start has it."""
    dials.forget(planner_dials.NAMES)


@st.fragment
def _plan(url: str, start: Start) -> None:
    """Show the dials and what they come to; only this runs again when one is turned."""
    try:
        _lay_out(url, start)
    except PlatformError as error:
        st.html(frame.notice("This cannot be planned", str(error)))


def _lay_out(url: str, start: Start) -> None:
    answered = st.container()
    chosen, given = planner_dials.turned(start.experiment, _measured(url, start, start.experiment))
    draft = drafting.drafted(start.experiment, chosen)
    measured = _measured(url, start, draft)
    plan = planned(draft, measured, start.population, given=given)
    if draft.analysis.monitoring != "fixed":
        draft = drafting.tuned_for(draft, max(row.users for row in plan.rows))
        plan = planned(draft, measured, start.population, given=given)
    answered.html(answer_html(plan, draft))
    _draw(plan, [_curve(draft, measured, start, row, given) for row in distinct(plan, draft) if row.curve])
    st.html(table_html(plan, draft, more=start.told))
    _hand_out(draft, start.next_key, given)


def _measured(url: str, start: Start, draft: Experiment) -> PastData:
    return stored_past(reading_planner.newest(url, draft.data.dataset), draft, start.population)


def _curve(draft: Experiment, measured: PastData, start: Start, row: RowPower, given: Given) -> Curve:
    label, arm = capital(row_label(rows_by_name(draft)[row.row])), arm_words(row, draft)
    return Curve(f"{label}, {arm}" if arm else label, row, by_days(draft, measured, start.population, row, given=given))


def _draw(plan: PowerPlan, drawn: list[Curve]) -> None:
    if not drawn:
        return
    against = dials.side("against", "Lift found against", "users", words={"users": "users", "days": "days"})
    draw = partial(curves, plan, drawn, against="days" if against == "days" else "users")
    st.vega_lite_chart(drawing.picture(draw, "plan", plan, drawn, against), width="stretch", key="plan")
    drawing.files(draw, f"{plan.experiment}-plan", title="Curves")


def _hand_out(draft: Experiment, key: str, given: Given) -> None:
    """Give the draft away: its lines, the whole file, and the command that gives the same figures."""
    file = f"{key}.toml"
    with folding.part("Take it to an experiment file", "file") as opened:
        if not opened:
            return
        st.markdown("These lines say what is set above. What runs is never changed, so they go to a file of a new key.")
        st.code(drafting.lines(draft), language="toml")
        st.download_button(
            f"Download {file}", drafting.as_file(draft, key), file_name=file, mime="text/plain", on_click="ignore"
        )
        st.markdown("The same figures on the command line, once the file is there:")
        st.code(drafting.command(file, given), language="bash")


if __name__ == "__main__":
    frame.page(_page)
