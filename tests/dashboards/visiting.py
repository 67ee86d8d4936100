"""Visit a page as Streamlit runs it, without a browser, and read its words."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import pyarrow as pa
from streamlit.testing.v1 import AppTest

APP = Path(__file__).parents[2] / "dashboards" / "app.py"


def visit(module: str, **query: str) -> AppTest:
    """Open a page, by its module and with what its address says."""
    page = AppTest.from_file(str(APP), default_timeout=30).run()
    for name, value in query.items():
        page.query_params[name] = value
    return page.switch_page(f"pages/{module}.py").run()


def html(page: AppTest) -> str:
    """Return what the page shows as HTML, its style left out."""
    assert not page.exception
    bodies = [element.proto.body for element in page.get("html")]
    return "\n".join(body for body in bodies if not body.startswith("<style>"))


def words(page: AppTest) -> str:
    """Return the text of what the page shows as HTML."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html(page))).split())


def drawn(page: AppTest, number: int = 0) -> list[dict[str, Any]]:
    """Return the records that a chart of the page is drawn from, those of all its layers."""
    chart = page.get("vega_lite_chart")[number].proto
    tables = [pa.ipc.open_stream(each.data.data).read_all() for each in chart.datasets]
    return [record for table in tables for record in table.to_pylist()]
