"""Whom the page of a user is about: the address keeps the id under which the platform knows them, and no other.

Where users are known by pseudonyms, a person types the user's own id; it is hashed at once and shown nowhere again.
"""

from __future__ import annotations

import re

import streamlit as st

from ab_platform.pseudonym import DIGITS, Pseudonyms

USER, PAGE = "user", "page"

_TYPED = "typed user"
_PSEUDONYM = re.compile(rf"[0-9a-f]{{{DIGITS}}}")


def user(known: Pseudonyms) -> str | None:
    """Let a user be asked for; None while nobody is.

    Args:
        known: the ids under which users are known.

    Returns:
        The id under which the platform knows them.
    """
    asked = _asked(known)
    if known.key is None:
        told = "As the data set has it. The link to this page keeps it."
        st.text_input("User id", asked or "", key=_TYPED, help=told, on_change=_take, args=(known,), width=280)
    else:
        told = "The user's own. It is hashed at once: neither the page nor its link keeps it."
        st.text_input("User id", key=_TYPED, help=told, on_change=_take, args=(known,), autocomplete="off", width=280)
    return asked


def _asked(known: Pseudonyms) -> str | None:
    """Return whom the address names; an own id that was written there is replaced by the pseudonym."""
    named = st.query_params.get(USER, "").strip()
    if not named or known.key is None or _PSEUDONYM.fullmatch(named):
        return named or None
    st.query_params[USER] = known.of(named)
    return known.of(named)


def _take(known: Pseudonyms) -> None:
    """Take the id that was typed, and begin with the newest slates."""
    typed = str(st.session_state[_TYPED]).strip()
    st.query_params.pop(PAGE, None)
    if known.key is not None:
        st.session_state[_TYPED] = ""
    if typed:
        st.query_params[USER] = known.of(typed)
    else:
        st.query_params.pop(USER, None)
