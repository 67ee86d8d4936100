"""How the table is looked at: a person chooses among what is stored, and the address keeps what differs from the rule.

What is chosen holds for one experiment: another has another rule, so its page begins with the table as decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import streamlit as st

from ab_platform.reporting.viewing import NO_VIEWS, Looks, Scale, View, choices, normal, rule
from ab_platform.results import Readout
from ab_platform.statistics.monitoring import MonitoringName

EFFECT, CUPED, LOOKS, BASELINE = "effect", "cuped", "looks", "baseline"
NAMES = (EFFECT, CUPED, LOOKS, BASELINE)
"""In the address."""

EFFECTS: dict[str, str] = {"relative": "Relative", "difference": "Difference"}
COVARIATES: dict[str, str] = {"off": "Plain", "on": "CUPED"}
LOOKS_LABELS: dict[MonitoringName, str] = {
    "fixed": "One look",
    "sequential": "Any look",
    "group_sequential": "Planned looks",
}
TOLD = {
    EFFECT: "Relative: treatment over control, minus 1. Difference: treatment minus control, in the metric's unit.",
    CUPED: "CUPED takes out of the difference what was different before the experiment; the interval gets narrower.",
    LOOKS: "One look: holds at the planned end alone. Any look: holds whenever it is looked at; the interval is wider.",
    BASELINE: "The arm that the others are compared with.",
}


def chosen(readout: Readout) -> View:
    """Let the table be made another way, as far as its rows are stored that way.

    Args:
        readout: as it was decided.
    """
    said, offered = rule(readout), choices(readout)
    key = readout.experiment
    why = "" if readout.views else f" Here is no choice: {NO_VIEWS.format(key=key)}."
    scale = _segments(key, EFFECT, "Effect", EFFECTS, "relative")
    cuped = {name: COVARIATES[name] for name in (_on(each) for each in offered.covariates)}
    covariates = _segments(key, CUPED, "Variance", cuped, _on(said.covariates), why=why)
    looks: dict[str, str] = {name: LOOKS_LABELS[name] for name in offered.looks}
    monitoring = _segments(key, LOOKS, "Looks", looks, said.monitoring, why=why)
    baseline = _arm(key, offered.baselines)
    wanted = View(
        baseline=baseline,
        covariates=covariates == "on",
        # Planned looks are a rule's own: no view is stored for them, so asking for them is asking for the rule.
        looks=None if monitoring == said.monitoring else cast(Looks, monitoring),
        scale=cast(Scale, scale),
    )
    return normal(readout, wanted)


def refused(readout: Readout) -> str:
    """Say what the address asks for that is not stored; empty where all of it is shown."""
    offered = choices(readout)
    there: dict[str, Sequence[str]] = {
        EFFECT: tuple(EFFECTS),
        CUPED: tuple(_on(each) for each in offered.covariates),
        LOOKS: offered.looks,
        BASELINE: offered.baselines,
    }
    asked = {name: st.query_params[name] for name in NAMES if name in st.query_params}
    absent = [f"{name}={value}" for name, value in asked.items() if value not in there[name]]
    if not absent:
        return ""
    why = NO_VIEWS.format(key=readout.experiment) if not readout.views else "choose one of those above"
    return f"The link asks for {', '.join(absent)}, which is not stored of this analysis: {why}"


def _segments(key: str, name: str, label: str, options: Mapping[str, str], standing: str, *, why: str = "") -> str:
    """Let one of a few words be chosen; the address keeps it while it is not what the rule says."""
    asked = st.query_params.get(name, standing)
    told = st.segmented_control(
        label,
        list(options),
        default=asked if asked in options else standing,
        format_func=lambda option: options[option],
        required=True,
        key=f"{name} of {key}",
        help=TOLD[name] + why,
        disabled=len(options) < 2,
    )
    return _kept(name, told or standing, standing, options)


def _arm(key: str, arms: Sequence[str]) -> str:
    """Let the baseline be chosen where there are several arms."""
    if len(arms) < 2:
        return arms[0]
    asked = st.query_params.get(BASELINE, arms[0])
    index = arms.index(asked) if asked in arms else 0
    told = st.selectbox("Baseline", arms, index=index, key=f"{BASELINE} of {key}", help=TOLD[BASELINE], width=180)
    return _kept(BASELINE, told, arms[0], arms)


def _kept(name: str, told: str, standing: str, options: Mapping[str, str] | Sequence[str]) -> str:
    if told != standing:
        st.query_params[name] = told
    elif st.query_params.get(name, standing) in options:
        # What the address asks for in vain stays there, so that the page can say so.
        st.query_params.pop(name, None)
    return told


def forget() -> None:
    """Go back to the table as decided, since another experiment has another rule."""
    for name in NAMES:
        st.query_params.pop(name, None)


def _on(covariates: bool) -> str:
    return "on" if covariates else "off"
