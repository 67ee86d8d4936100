"""Whether what a page shows may be believed, said above it wherever lifts are shown without the table."""

from __future__ import annotations

from dataclasses import replace

from ab_platform.reporting import html_parts
from ab_platform.reporting.printed_health import belief
from ab_platform.results import Readout


def warning(readout: Readout) -> str:
    """Say what speaks against believing the lifts of a readout; empty where nothing does."""
    # The decision, which may say it already, stands on another page.
    told = html_parts.belief(replace(belief(readout), decided=False))
    return f'<article class="abp">{told}</article>' if told else ""


def doubted(readout: Readout) -> bool:
    """Tell whether the lifts must not be believed, so that no colour may speak for one."""
    return belief(readout).status == "unhealthy"
