"""Who is at the dashboard, and what they may see and do."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from ab_platform.errors import AccessError

PERSON = "person"
"""Where the session keeps who is here; nothing a browser sends gets there."""


@dataclass(frozen=True)
class Person:
    """Somebody who was let in.

    Attributes:
        name: for the change log.
        may_act: may stop experiments and change their traffic.
        experiments: keys of those that the person may see; None for every one.
    """

    name: str
    may_act: bool
    experiments: frozenset[str] | None = None

    def may_see(self, experiment: str) -> bool:
        """Tell whether an experiment is shown to them."""
        return self.experiments is None or experiment in self.experiments


def current() -> Person:
    """Return who is here.

    Raises:
        AccessError: where nobody was let in.
    """
    found = st.session_state.get(PERSON)
    if not isinstance(found, Person):
        raise AccessError("nobody is signed in here; open the dashboard's first page and sign in")
    return found
