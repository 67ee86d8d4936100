"""Serve the app with all loaded that its pages need, so that the first reader does not wait for it.

    python -m dashboards run app.py

takes what `python -m streamlit` takes. The modules beside it are not loaded here: they ask Streamlit for a session.
"""

from __future__ import annotations

from importlib import import_module

LOADED = (
    "ab_platform.analysis",
    "ab_platform.conduct.by_hand",
    "ab_platform.drafting",
    "ab_platform.stored_past",
    "ab_platform.reporting.charts.differences",
    "ab_platform.reporting.charts.drift",
    "ab_platform.reporting.charts.forest",
    "ab_platform.reporting.charts.novelty",
    "ab_platform.reporting.charts.over_time",
    "ab_platform.reporting.charts.plane",
    "ab_platform.reporting.charts.power",
    "ab_platform.reporting.charts.split",
    "ab_platform.reporting.charts.training",
    "ab_platform.reporting.writing",
)


def main() -> None:
    """Load, then serve."""
    for name in LOADED:
        import_module(name)
    from streamlit.web.cli import main as serve

    serve(prog_name="streamlit")


if __name__ == "__main__":
    main()
