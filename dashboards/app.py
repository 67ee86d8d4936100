"""The dashboard: which pages there are. `abp dashboard` serves it."""

from __future__ import annotations

import streamlit as st


def main() -> None:
    """Set the pages up and show the one that the address names."""
    st.set_page_config(page_title="A/B platform", page_icon="⚖️", layout="wide")
    pages = [st.Page("pages/table2.py", title="Table 2", default=True)]
    st.navigation(pages, position="top").run()


if __name__ == "__main__":
    main()
