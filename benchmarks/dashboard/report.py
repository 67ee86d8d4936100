"""The measured section: what is asked and whether it holds, then every page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from statistics import median

from benchmarks.arms.rates import processor
from benchmarks.arms.tables import table
from benchmarks.dashboard.measuring import Measured
from benchmarks.dashboard.world import Size

OPEN_SECONDS, RERUN_SECONDS = 2.0, 0.2


def section(found: Sequence[Measured], size: Size, gigabytes: float, *, command: str, rounds: int) -> str:
    """Return the section of what was measured.

    Args:
        found: of the pages.
        size: of the store.
        gigabytes: of its file.
        command: that made it.
        rounds: how often each page was measured.
    """
    told = (
        f"## As measured\n\n    {command}\n\n{processor()}, {os.cpu_count()} cores; server and browser (headless "
        f"Chromium) share them. The store is a SQLite file of {gigabytes:.1f} GB: {size.experiments} experiments of "
        f"two arms, each analysed as of {size.days} days, and {size.users:,} exposed users. Seconds, the median of "
        f"{rounds}, in brackets the slowest. *First page* is the first that a server is asked for once it listens, so "
        "it imports what it needs; *opened* is a page loaded anew from a server that has answered before; both are "
        "from the browser's request until figures and charts stand. *Click* is from the click until the page is made "
        "again and its charts are drawn: the browser's own work, without a graphics processor, is most of that. "
        "*Rerun* is what the server takes to run the page again."
    )
    return "\n\n".join([told, _bars(found), _pages(found)])


def bars(found: Sequence[Measured]) -> list[tuple[str, str, bool]]:
    """Return what is asked, the slowest page that answers it, and whether it holds."""
    asked = (
        (f"a page opens in under {OPEN_SECONDS:g} s, the server's first", "cold", OPEN_SECONDS),
        (f"a page opens in under {OPEN_SECONDS:g} s", "warm", OPEN_SECONDS),
        (f"a page is run again in under {RERUN_SECONDS * 1000:.0f} ms", "rerun", RERUN_SECONDS),
        (f"a click is shown in under {RERUN_SECONDS * 1000:.0f} ms", "click", RERUN_SECONDS),
    )
    rows = []
    for told, name, most in asked:
        medians = {each.page: median(getattr(each, name)) for each in found if getattr(each, name)}
        if medians:
            slowest = max(medians, key=lambda page: medians[page])
            rows.append((told, f"{medians[slowest]:.2f} s at most ({slowest})", medians[slowest] < most))
    return rows


def _bars(found: Sequence[Measured]) -> str:
    rows = [(asked, figure, "holds" if holds else "**does not hold**") for asked, figure, holds in bars(found)]
    return table(("asked", "found", ""), rows)


def _pages(found: Sequence[Measured]) -> str:
    rows = [
        (
            each.page,
            *(_seconds(measured) for measured in (each.cold, each.warm, each.rerun, each.click)),
            each.clicked or "nothing to click",
        )
        for each in found
    ]
    return table(("page", "first page", "opened", "rerun", "click", "what the click does"), rows)


def _seconds(measured: Sequence[float]) -> str:
    return f"{median(measured):.2f} ({max(measured):.2f})" if measured else "—"
