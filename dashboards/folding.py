"""Parts of a page that open: what is in one is made once it is open, so that the page itself is there sooner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st


@contextmanager
def part(title: str, key: str) -> Iterator[bool]:
    """Lay out within a part of the page that is closed at first, and say whether a reader has opened it.

    Args:
        title: stands on it, open or closed.
        key: unlike that of any other of the page.
    """
    folded = st.expander(title, key=key, on_change="rerun")
    with folded:
        yield bool(folded.open)
