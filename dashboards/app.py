"""The dashboard: which pages there are. `abp dashboard` serves it."""

from __future__ import annotations

import streamlit as st

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


def main() -> None:
    """Set the pages up and show the one that the address names."""
    st.set_page_config(page_title="A/B platform", page_icon="⚖️", layout="wide")
    pages = {
        section: [
            st.Page(f"pages/{module}.py", title=title, url_path=module, default=module == HOME)
            for module, title in members
        ]
        for section, members in SECTIONS.items()
    }
    st.navigation(pages).run()


if __name__ == "__main__":
    main()
