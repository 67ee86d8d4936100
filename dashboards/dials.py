"""Settings that a person turns, each kept in the address while it is not what it would be anyway.

One that is not shown stands where the address says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import streamlit as st


def forget(names: Sequence[str]) -> None:
    """Let every dial go back to where it would stand by itself."""
    for name in names:
        st.session_state.pop(name, None)
        st.query_params.pop(name, None)


def slide(
    name: str,
    label: str,
    default: int,
    *,
    span: tuple[int, int],
    sign: str = "%d",
    told: str | None = None,
    shown: bool = True,
) -> int:
    """Let a whole number be set within a span.

    Args:
        name: in the address.
        label: in words.
        default: where it stands by itself.
        span: least and most.
        sign: how it is written, such as `%d %%`.
        told: what it means, on hover.
        shown: whether it can be turned.
    """
    low, high = span
    standing = min(max(default, low), high)
    asked = _number(name)
    value = standing if asked is None else min(max(round(asked), low), high)
    chosen = st.slider(label, low, high, value, format=sign, key=name, help=told) if shown else value
    _keep(name, str(chosen), chosen == standing)
    return int(chosen)


def step(
    name: str,
    label: str,
    default: float,
    *,
    steps: Sequence[float],
    words: Callable[[float], str],
    told: str | None = None,
    shown: bool = True,
) -> float:
    """Let one of a row of numbers be set; the default joins them.

    Args:
        name: in the address.
        label: in words.
        default: where it stands by itself.
        steps: in order.
        words: how one is written.
        told: what it means, on hover.
        shown: whether it can be turned.
    """
    every = sorted({*steps, default})
    asked = _number(name)
    value = default if asked is None else min(every, key=lambda each: abs(each - asked))
    if shown:
        value = st.select_slider(label, every, value, format_func=words, key=name, help=told)
    chosen = float(value)
    _keep(name, f"{chosen:g}", chosen == default)
    return chosen


def amount(
    name: str,
    label: str,
    *,
    span: tuple[float, float | None],
    empty: str,
    told: str | None = None,
    shown: bool = True,
) -> float | None:
    """Let a number be given in place of what is measured; None where it is not.

    Args:
        name: in the address.
        label: in words.
        span: least and most; None for no most.
        empty: what stands where nothing is given.
        told: what it means, on hover.
        shown: whether it can be turned.
    """
    asked = _number(name)
    low, high = span
    value = asked if asked is not None and low <= asked <= (math.inf if high is None else high) else None
    if shown:
        value = st.number_input(label, low, high, value, placeholder=empty, key=name, help=told, format="%g")
    # All digits: once it is not shown any more, the address alone knows it.
    _keep(name, f"{value:.15g}" if value is not None else "", value is None)
    return None if value is None else float(value)


def pick(name: str, label: str, default: str, *, words: Mapping[str, str], told: str | None = None) -> str:
    """Let one of a few be picked.

    Args:
        name: in the address.
        label: in words.
        default: where it stands by itself.
        words: what may be picked, and how each is written.
        told: what it means, on hover.
    """
    asked = st.query_params.get(name, default)
    options = list(words)
    place = options.index(asked if asked in words else default)
    chosen = st.selectbox(label, options, place, format_func=words.__getitem__, key=name, help=told)
    _keep(name, chosen, chosen == default)
    return chosen


def side(name: str, label: str, default: str, *, words: Mapping[str, str]) -> str:
    """Let one of two or three be picked that stand side by side."""
    asked = st.query_params.get(name, default)
    standing = asked if asked in words else default
    chosen = st.segmented_control(label, list(words), default=standing, format_func=words.__getitem__, key=name)
    # Pressed again, the picked one is let go.
    picked = default if chosen is None else str(chosen)
    _keep(name, picked, picked == default)
    return picked


def several(
    name: str, label: str, default: Sequence[str], *, words: Mapping[str, str], told: str | None = None
) -> tuple[str, ...]:
    """Let some of a few be picked; the default where none is."""
    asked = st.query_params.get(name)
    value = list(default) if asked is None else [each for each in asked.split(",") if each in words]
    chosen = st.multiselect(label, list(words), value, format_func=words.__getitem__, key=name, help=told)
    _keep(name, ",".join(chosen), tuple(chosen) == tuple(default) or not chosen)
    return tuple(chosen) or tuple(default)


def _number(name: str) -> float | None:
    try:
        value = float(st.query_params.get(name, ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _keep(name: str, text: str, ordinary: bool) -> None:
    if ordinary:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != text:
        st.query_params[name] = text
