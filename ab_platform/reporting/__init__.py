"""The table as text, Markdown, HTML, LaTeX and JSON. Pure: a Readout in, a string out (for JSON, plain values)."""

from ab_platform.reporting.html import article, as_html, stylesheet
from ab_platform.reporting.latex import as_latex
from ab_platform.reporting.machine import as_json
from ab_platform.reporting.markdown import as_markdown
from ab_platform.reporting.text import as_text

__all__ = ["article", "as_html", "as_json", "as_latex", "as_markdown", "as_text", "stylesheet"]
