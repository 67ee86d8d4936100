"""Links within the dashboard that lie in a page's own HTML: followed without loading the page anew.

A browser that loads anew begins a new session, which has forgotten who signed in and what was chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl

import streamlit as st

CATCH = """
export default function ({ setTriggerValue }) {
  const follow = (event) => {
    const link = event.target.closest?.(".abp a[href], .abp-frame a[href]");
    const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (!link || !plain || link.target || link.origin !== location.origin) return;
    event.preventDefault();
    const page = link.pathname.split("/").pop();
    setTriggerValue("followed", { page, query: link.search.slice(1) });
    scrollTo(0, 0);
  };
  document.addEventListener("click", follow);
  return () => document.removeEventListener("click", follow);
}
"""
"""A click on a link of the page's own; one that asks for a new tab or leads elsewhere is the browser's."""

_catch = st.components.v2.component("abp_links", js=CATCH)


def follow(pages: Mapping[str, Path], home: str) -> None:
    """Go where a link leads that was clicked on the page before this run.

    Args:
        pages: the files of the pages there are, by the last part of their addresses.
        home: where an address without one leads.
    """
    with st.container(key="links"):
        followed = _catch(key="followed links", on_followed_change=_noted).followed
    if followed is None:
        return
    page = pages.get(followed["page"] or home)
    if page is not None:
        st.switch_page(page, query_params=parse_qsl(followed["query"]))


def _noted() -> None:
    """Let the click run the page again; what was clicked is read in that run."""
