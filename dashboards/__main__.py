"""Serve the app with all loaded that its pages need, so that the first reader does not wait for it.

    python -m dashboards run app.py

takes what `python -m streamlit` takes. The modules beside it are not loaded here: they ask Streamlit for a session.
"""

from __future__ import annotations

import gc
import inspect
from contextlib import suppress
from importlib import import_module

LOADED = (
    "ab_platform.alerts",
    "ab_platform.analysis",
    "ab_platform.conduct.by_hand",
    "ab_platform.conduct.steps",
    "ab_platform.drafting",
    "ab_platform.offline.frozen",
    "ab_platform.pseudonym",
    "ab_platform.reporting.change_log",
    "ab_platform.reporting.charts.differences",
    "ab_platform.reporting.charts.drift",
    "ab_platform.reporting.charts.export",
    "ab_platform.reporting.charts.forest",
    "ab_platform.reporting.charts.novelty",
    "ab_platform.reporting.charts.over_time",
    "ab_platform.reporting.charts.plane",
    "ab_platform.reporting.charts.power",
    "ab_platform.reporting.charts.split",
    "ab_platform.reporting.charts.training",
    "ab_platform.reporting.frozen",
    "ab_platform.reporting.html_by_segment",
    "ab_platform.reporting.html_checks",
    "ab_platform.reporting.html_over_time",
    "ab_platform.reporting.html_overview",
    "ab_platform.reporting.latent_html",
    "ab_platform.reporting.lineage",
    "ab_platform.reporting.memberships",
    "ab_platform.reporting.offline_html",
    "ab_platform.reporting.placement",
    "ab_platform.reporting.power_table",
    "ab_platform.reporting.user_timeline",
    "ab_platform.reporting.writing",
    "ab_platform.settings",
    "ab_platform.stored_past",
    # Streamlit would load these for the first chart and the first icon.
    "pandas",
    "PIL.Image",
    "pyarrow.pandas_compat",
)
"""Every module of the platform that a page imports is among these or loaded by one of them."""


def load() -> None:
    """Load what the pages need, and do once what is slow only once."""
    for name in LOADED:
        import_module(name)
    _draw()
    _validate()


def main() -> None:
    """Load, then serve."""
    load()
    from streamlit.web.cli import main as serve

    # Streamlit looks once who called it, for which Python finds the file of every module.
    inspect.stack()
    # After each run it goes through all objects for what nobody uses any more, while the page waits for its last
    # parts. What was loaded stays for good, so it need not be gone through.
    gc.collect()
    gc.freeze()
    serve(prog_name="streamlit")


def _draw() -> None:
    """Draw a chart of nothing: with the first one Altair finds out which channels there are."""
    import altair as alt

    alt.Chart(alt.InlineData(values=[])).mark_point().encode(x="x:Q", y=alt.datum(0)).to_dict(validate=False)


def _validate() -> None:
    """Read an experiment of nothing: with the first one pydantic makes what validates."""
    from ab_platform.errors import ExperimentError
    from ab_platform.experiment_file import from_values

    with suppress(ExperimentError):
        from_values({})


if __name__ == "__main__":
    main()
