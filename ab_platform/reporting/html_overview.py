"""The list of all experiments as an HTML table: one row an experiment, by state; cards on a phone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from urllib.parse import urlencode

from ab_platform.reporting.health import WORST_FIRST
from ab_platform.reporting.html_parts import capital, figure
from ab_platform.reporting.overview import Entry, Line
from ab_platform.reporting.sparkline import sparkline

COLUMNS = {
    "experiment": ("Experiment", "The key, which leads to its results; what is believed; the arms."),
    "health": ("Health", "Whether the lift may be believed: the split of the users and the checks of the data."),
    "days": ("Day", "How many of the planned days it has had, and how many are left."),
    "traffic": ("Traffic", "Share of its own users who are in."),
    "lift": ("Primary lift", "Treatment / control - 1 in the first primary row, with its interval."),
    "trend": ("By day", "The same lift as of each day that was analysed, with its interval and zero."),
    "said": ("Decision", "What the decision rule says of the treatment."),
}


def stylesheet() -> str:
    """Return the rules that the list is drawn with, beside those of the report."""
    return (files("ab_platform.reporting") / "overview.css").read_text(encoding="utf-8")


def overview(entries: Sequence[Entry]) -> str:
    """Lay the experiments out.

    Args:
        entries: those that run first.
    """
    running = [entry for entry in entries if entry.running]
    stopped = [entry for entry in entries if not entry.running]
    groups = (("Running", running), ("Stopped", stopped))
    heads = "".join(
        f'<th role="columnheader" scope="col" class="{name}" title="{escape(told)}">{head}</th>'
        for name, (head, told) in COLUMNS.items()
    )
    return (
        '<div class="abp overview">\n<table role="table" aria-label="Experiments">\n'
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>\n'
        f"{''.join(_group(title, members) for title, members in groups if members)}</table>\n</div>\n"
    )


def _group(title: str, entries: Sequence[Entry]) -> str:
    rows = "".join(row for entry in entries for row in _rows(entry))
    told = f"{title} <small>{escape(_counts(entries))}</small>"
    return (
        '<tbody role="rowgroup">\n<tr role="row" class="surface">'
        f'<th role="rowheader" scope="rowgroup" colspan="{len(COLUMNS)}">{told}</th></tr>\n{rows}</tbody>\n'
    )


def _counts(entries: Sequence[Entry]) -> str:
    """Count the experiments by health, the worst first, such as `12: 1 unhealthy, 11 healthy`."""
    counted = Counter(entry.health.status for entry in entries)
    return f"{len(entries)}: {', '.join(f'{counted[status]} {status}' for status in WORST_FIRST if counted[status])}"


def _rows(entry: Entry) -> Iterator[str]:
    """Lay an experiment out: a row for each treatment, the first of them with what holds for all."""
    height = max(1, len(entry.lines))
    whole = f' rowspan="{height}"' if height > 1 else ""
    first = "".join(_of_line(entry.lines[0], first=True, several=height > 1)) if entry.lines else _without_lift(entry)
    yield (
        f'<tr role="row" class="entry"><th role="rowheader" scope="row" class="experiment"{whole}>{_name(entry)}</th>'
        f'<td role="cell" class="health" data-label="Health"{whole}>{_health(entry)}</td>'
        f'<td role="cell" class="days" data-label="Day"{whole}>{entry.days}<small>{entry.left}</small></td>'
        f'<td role="cell" class="traffic" data-label="Traffic"{whole}>{entry.traffic}</td>{first}</tr>\n'
    )
    for line in entry.lines[1:]:
        yield f'<tr role="row" class="entry more">{"".join(_of_line(line, first=False, several=True))}</tr>\n'


def _name(entry: Entry) -> str:
    href = escape(f"results?{urlencode({'experiment': entry.key})}")
    told = f"<small>{escape(entry.hypothesis)}</small>" if entry.hypothesis else ""
    return f'<a href="{href}">{escape(entry.key)}</a>{told}<small class="arms">{escape(entry.arms)}</small>'


def _health(entry: Entry) -> str:
    status, reason, brief = entry.health
    told = "" if status == "healthy" else f"<small>{figure(capital(brief))}</small>"
    return f'<span class="status {status}" title="{escape(capital(reason))}">{status}</span>{told}'


def _of_line(line: Line, *, first: bool, several: bool) -> Iterator[str]:
    """Lay a treatment out; what is measured is the same for all, so the first says it."""
    arm = f"<small>{escape(line.arm)}</small>" if several else ""
    measured = f"<small>{escape(line.row)}</small>" if first else ""
    yield (
        f'<td role="cell" class="lift" data-label="Primary lift"><b class="{line.tone}">{arm}{figure(line.lift)}</b>'
        f"<small>{figure(line.interval)}</small>{measured}</td>"
    )
    yield f'<td role="cell" class="trend" data-label="By day">{sparkline(line.points, line.tone, line.arm)}</td>'
    outcome = f'<span class="{line.outcome_tone}">{escape(capital(line.outcome))}</span>' if line.outcome else "—"
    yield f'<td role="cell" class="said" data-label="Decision" title="{escape(line.reason)}">{outcome}</td>'


def _without_lift(entry: Entry) -> str:
    step = f"Not analysed yet; run <code>abp analyze {escape(entry.key)}</code>"
    return f'<td role="cell" class="none" colspan="3"><small>{step}</small></td>'
