"""What the arms reach before anyone is served, how they were trained, and where they come from."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial
from html import escape

import streamlit as st

from ab_platform.lineage import Launch
from ab_platform.offline.frozen import cautions, counterparts
from ab_platform.offline.results import ACCURACY, BY_GROUP, MAIN, ArmScores, Comparison
from ab_platform.reporting import frozen, html_tables, lineage, offline, offline_html
from ab_platform.reporting.charts import differences, training
from ab_platform.reporting.charts.training import Curve
from ab_platform.reporting.html_key import key as legend
from ab_platform.reporting.lineage import Origins, moment
from ab_platform.reporting.offline_html import article, section
from dashboards import choosing, curves, drawing, frame, reading_arms

QUESTION = "What the arms reach before anyone is served, how they were trained, and where they come from."
ANEW = (
    "Each recipe trained anew, from several seeds, and judged on users whom it was not trained on: this is about the "
    "recipes, and not about the one training that was frozen."
)
MARKS = "A dot marks the epoch whose weights were kept, a small bar where a training ended."


def _page(url: str) -> None:
    st.html(f"<style>{html_tables.stylesheet()}</style>")
    with st.container(horizontal=True, vertical_alignment="bottom", key="choices"):
        launch = choosing.experiment(url)
    key = launch.experiment.key
    st.html(frame.heading("Offline", QUESTION, of=key))
    found = reading_arms.origins(url, key)
    _frozen(url, found)
    _compared(url, launch, found)
    _trained(curves.frozen(found, reading_arms.trials(url, key)), "How the arms of this experiment were trained")
    _lineage(found)


def _frozen(url: str, found: Origins) -> None:
    """Show what was known of the arms when they were frozen."""
    popularity = reading_arms.popularity(url, found.launch.experiment.key)
    tone, words = frozen.remark(found, popularity)
    said = f'<p class="said {tone}">{escape(words)}</p>'
    told = "On a tenth of the users, who chose the epoch and were not trained on; one training each, so no interval."
    st.html(article([section("The frozen arms", said, frozen.scores(found, popularity), told=told)]))


def _compared(url: str, launch: Launch, found: Origins) -> None:
    """Show the arms compared user by user, where that was done."""
    names = reading_arms.written(url, "comparison")
    dataset = launch.experiment.data.dataset
    st.html(article([section("Compared on the same users", told=ANEW)]))
    if not names:
        st.html(article([_missing(launch)]))
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key="comparison-choices"):
        name = choosing.choice("comparison", "Comparison", list(names), default=_nearest(list(names), dataset))
        shown = choosing.choice("accuracy", "Metric", list(ACCURACY.values()), default=ACCURACY[MAIN])
    metric = next(each for each, label in ACCURACY.items() if label == shown)
    compared = reading_arms.comparison(url, name)
    recipes = {arm: artifact.recipe for arm, artifact in found.artifacts.items()}
    own = counterparts(recipes, compared)
    doubts = "".join(f"<p>{escape(each)}</p>" for each in cautions(recipes, compared))
    warned = f'<div class="said caution">{doubts}</div>' if doubts else ""
    lead = f'<p class="quiet">{escape(offline.lead(compared))} Written {moment(names[name])}.</p>'
    labels = {arm.label for arm in own.values()}
    st.html(article([lead, warned, offline_html.verdicts(compared, labels)]))
    _difference(compared, metric, (url, name, names[name]))
    _tables(compared, metric)
    _trained(curves.compared(_curved(compared, list(own.values()))), f"How the arms compared on {name} were trained")


def _difference(compared: Comparison, metric: str, identity: tuple[Hashable, ...]) -> None:
    """Draw the differences and list them; the identity names the comparison in the store."""
    if not compared.differences:
        return
    title = f"<h3>Differences from {escape(compared.control)} in {ACCURACY[metric]}</h3>"
    st.html(article([title, legend(differences.marks())]))
    draw = partial(differences.differences, compared, metric)
    drawing.chart(draw, "differences", *identity, metric, around=differences.AROUND)
    st.html(article([offline_html.differences(compared, metric)]))
    drawing.files(draw, f"differences-from-{compared.control}-{metric}", title="Differences")


def _tables(compared: Comparison, metric: str) -> None:
    parts = ["<h3>Scores on the test users</h3>", offline_html.scores(compared)]
    if metric in BY_GROUP:
        told = (
            "Those shown and those to be found. Beneath each score its difference from "
            f"{escape(compared.control)} with its interval, not corrected; coloured where the interval leaves out 0."
        )
        title = f"<h3>{ACCURACY[metric]} by a user's interactions</h3>"
        parts += [f'{title}<p class="quiet">{told}</p>', offline_html.by_group(compared, metric)]
    st.html(article([*parts, offline_html.listed(offline.notes(compared))]))
    with st.expander("Settings, seeds and time of each arm"):
        st.html(article([offline_html.listed(offline.trainings(compared), quiet=False)]))


def _trained(shown: Sequence[Curve], title: str) -> None:
    """Show training curves; without any, nothing is to be seen."""
    if not shown:
        return
    behind = " Faint lines are trials of abp tune on the same data." if any(each.faint for each in shown) else ""
    st.html(article([section(title, legend(training.marks(shown)), told=MARKS + behind)]))
    draw = partial(training.training, shown)
    drawing.chart(draw, title, *shown)
    with st.expander("The same as a table"):
        st.html(article([curves.listed(shown)]))
        drawing.files(draw, title.lower().replace(" ", "-"), title=title)


def _lineage(found: Origins) -> None:
    told = lineage.same_data(found)
    note = "A click on an id selects the whole of it."
    st.html(article([section("From data to experiment", lineage.tree(found), told=f"{told} {note}".strip())]))


def _missing(launch: Launch) -> str:
    """Say which command compares the arms of an experiment."""
    arms = " ".join(dict.fromkeys(["popularity", *(arm.recommender for arm in launch.experiment.arms)]))
    command = f"abp evaluate {arms} --dataset {launch.experiment.data.dataset}"
    return (
        f'<p class="said">Nothing was compared yet. <code>{escape(command)}</code> trains the arms from three seeds '
        "and judges them on users whom none was trained on, with intervals; it takes minutes to hours.</p>"
    )


def _nearest(names: Sequence[str], dataset: str) -> str:
    """Return the comparison on a data set, that under its own name first; else the newest."""
    of_dataset = [name for name in names if name == dataset] or [name for name in names if name.startswith(dataset)]
    return (of_dataset or list(names))[0]


def _curved(compared: Comparison, own: Sequence[ArmScores]) -> list[ArmScores]:
    """Return the arms whose curves are shown: the control and those of the experiment, or all where it has none."""
    labels = {compared.control, *(arm.label for arm in own)} if own else {arm.label for arm in compared.arms}
    return [arm for arm in compared.arms if arm.label in labels]


if __name__ == "__main__":
    frame.page(_page)
