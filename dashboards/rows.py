"""Which row of the table a page is about: the address says it, and a person may choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import streamlit as st

from ab_platform.errors import NotFoundError, nearest
from ab_platform.reporting.printed_rows import metric_of, surface_label
from ab_platform.reporting.viewing import Scale
from ab_platform.results import LiftRow, Readout
from dashboards import choosing
from dashboards.views import COVARIATES, CUPED, EFFECT, EFFECTS, TOLD

ROW, ARM = "row", "arm"
EVERY_ARM = "all"
WRITTEN = "written "
"""Before the name of what the address was last given by a page: what it has otherwise comes from a link."""


def chosen(readout: Readout, *, together: bool = False) -> tuple[LiftRow, ...]:
    """Let a row be chosen, and a treatment where there are several; the first primary row where nobody did.

    Args:
        readout: of one experiment as of one day.
        together: whether all treatments may be chosen at once.

    Returns:
        The row of each treatment that was chosen.

    Raises:
        NotFoundError: for a readout without rows, or an address that names a row or an arm that is not there.
    """
    if not readout.lifts:
        raise NotFoundError(f"no row of {readout.experiment} was computed; run `abp analyze {readout.experiment}`")
    rows = sorted(readout.lifts, key=lambda row: row.role != "primary")
    names = {name_of(row): _label(readout, row) for row in rows}
    name = _select(readout, ROW, "Row", names, width=380)
    of_row = [row for row in readout.lifts if name_of(row) == name]
    arms = {row.arm: row.arm for row in of_row}
    if len(arms) == 1:
        return tuple(of_row)
    arm = _select(readout, ARM, "Treatment", arms | ({EVERY_ARM: "All treatments"} if together else {}), width=200)
    return tuple(row for row in of_row if arm in (row.arm, EVERY_ARM))


def forget() -> None:
    """Begin with the first row as of the newest day: another experiment has other rows, arms and days."""
    choosing.forget_day()
    for name in (ROW, ARM, CUPED):
        st.query_params.pop(name, None)


def name_of(row: LiftRow) -> str:
    """Name a row as experiment files do."""
    return f"{row.surface}.{row.metric}"


def effect(readout: Readout) -> Scale:
    """Let lifts or differences be shown."""
    return cast(Scale, _words(readout, EFFECT, "Effect", EFFECTS, "relative"))


def covariates(readout: Readout, row: LiftRow, there: Sequence[bool]) -> bool:
    """Let covariates be left out or taken in; as the table has them where nobody chose.

    Args:
        readout: of one experiment as of one day.
        row: of its table.
        there: with which of both the row is stored.
    """
    standing = "on" if row.variance_saved is not None else "off"
    options = {name: COVARIATES[name] for name in COVARIATES if (name == "on") in there or name == standing}
    return _words(readout, CUPED, "Variance", options, standing) == "on"


def _label(readout: Readout, row: LiftRow) -> str:
    return f"{surface_label(row.surface)}: {metric_of(readout, row.surface, row.metric).label}"


def _select(readout: Readout, name: str, label: str, options: Mapping[str, str], *, width: int) -> str:
    key, names = f"{name} of {readout.experiment}", list(options)
    asked = st.query_params.get(name, names[0])
    _follow(key, asked, names)
    if key not in st.session_state and asked in names:
        st.session_state[key] = asked
    found = st.selectbox(
        label,
        names,
        index=0 if key in st.session_state else None,
        key=key,
        format_func=lambda each: options[each],
        placeholder="Choose",
        width=width,
    )
    if found is None:
        raise NotFoundError(f"the link asks for {name} '{asked}', which is not here; {nearest(asked, names)}")
    return _kept(name, key, found, standing=names[0])


def _words(readout: Readout, name: str, label: str, options: Mapping[str, str], standing: str) -> str:
    key = f"{name} of {readout.experiment} by row"
    asked = st.query_params.get(name, standing)
    _follow(key, asked, list(options))
    if key not in st.session_state:
        st.session_state[key] = asked if asked in options else standing
    found = st.segmented_control(
        label,
        list(options),
        format_func=lambda each: options[each],
        required=True,
        key=key,
        help=TOLD[name],
        disabled=len(options) < 2,
    )
    return _kept(name, key, found or standing, standing=standing)


def _follow(key: str, asked: str, options: Sequence[str]) -> None:
    """Let a link that was followed on this page win over what its widget remembers."""
    if st.session_state.get(WRITTEN + key, asked) == asked:
        return
    if asked in options:
        st.session_state[key] = asked
    else:
        st.session_state.pop(key, None)


def _kept(name: str, key: str, found: str, *, standing: str) -> str:
    if found == standing:
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = found
    st.session_state[WRITTEN + key] = found
    return found
