"""The dashboard: which pages there are. `abp dashboard` serves it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboards import frame, links, signing_in

SECTIONS = {
    "Experiment": (
        ("experiments", "Experiments"),
        ("results", "Results"),
        ("health", "Health"),
        ("over_time", "Over time"),
        ("segments", "Segments"),
    ),
    "Arms": (("offline", "Offline"), ("latent", "Latent space")),
    "Tools": (("planner", "Planner"), ("user", "A user")),
}
"""Modules of `pages` and their titles; the first page of all opens where the address names none."""

HOME = "experiments"

PAGES = Path(__file__).with_name("pages")

MARK, WORDMARK = (Path(__file__).with_name(f"{name}.svg") for name in ("mark", "wordmark"))
"""An interval beside its zero line, in a colour that is seen on light and on dark; the name is drawn, not set."""

SIDEBAR_PIXELS = 208
"""Wide enough for the longest title; Table 2 wants the rest of a laptop's screen. On a phone it is closed at first."""


def main() -> None:
    """Ask who is there, set the pages up and show the one that the address names."""
    frame.begin_with_the_app()
    st.set_page_config(page_title="ab-platform", page_icon=MARK, layout="wide", initial_sidebar_state=SIDEBAR_PIXELS)
    st.logo(WORDMARK, icon_image=MARK)
    pages = {
        section: [
            st.Page(PAGES / f"{module}.py", title=title, url_path=module, default=module == HOME)
            for module, title in members
        ]
        for section, members in SECTIONS.items()
    }
    known = signing_in.person() is not None
    # Who is still to sign in stays at the address that they came by.
    page = st.navigation(pages, expanded=True, position="sidebar" if known else "hidden")
    if known:
        links.follow({module: PAGES / f"{module}.py" for members in SECTIONS.values() for module, _ in members}, HOME)
        page.run()


if __name__ == "__main__":
    main()
