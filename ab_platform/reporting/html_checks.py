"""Health as HTML: a banner, the split with bars of how far it is from what the weights promise, and the checks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from statistics import NormalDist

from ab_platform.alerts import Alert, AlertKind
from ab_platform.reporting.figures import moment
from ab_platform.reporting.health import place
from ab_platform.reporting.html_parts import figure
from ab_platform.reporting.printed_checks import Gap, PrintedCheck, PrintedChecks, ScopeSplit, printed_checks
from ab_platform.results import CheckStatus, Readout
from ab_platform.statistics.sample_ratio import ALARM_BELOW

REACH = 6.0
"""Standard deviations that a bar shows to either side; what lies beyond stands at the end, with an arrow."""

SPLIT_HEADS = ("Where", "Status", "Users, by arm", "Gap to expected", "p-value", "e-value")
ALERT_HEADS = ("Alert", "State", "What was found, what to do")
ALERT_LABELS: dict[AlertKind, str] = {
    "sample_ratio": "Sample ratio",
    "guardrail": "Guardrail",
    "end_reached": "End reached",
    "no_data": "No data",
}
CHECK_HEADS = ("Check", "Status", "What was found, what is required")


def health_article(readout: Readout) -> str:
    """Lay the health of an analysis out as an article without its style: the word, the split and the data."""
    page = printed_checks(readout)
    return _article(health_banner(page), _whole(page), _checks(page.checks))


def scopes_article(readout: Readout) -> str:
    """Lay out the split of each surface, phase and segment; those in trouble first."""
    return _article(_scopes(printed_checks(readout).scopes))


def alerts_article(alerts: Sequence[Alert]) -> str:
    """Lay out the alerts of an experiment, those that stand first.

    Args:
        alerts: the newest first.
    """
    rows = "".join(_alert(each) for each in sorted(alerts, key=lambda each: each.cleared_at is not None))
    heads = "".join(_head(name) for name in ALERT_HEADS)
    table = _table("checks", "Alerts", heads, rows)
    return _article(f'<section aria-label="Alerts">\n<h2>Alerts</h2>\n{table}</section>\n')


def health_banner(page: PrintedChecks) -> str:
    """Say in a word whether the table may be believed, why, and what to do."""
    found = page.belief
    step = f'<p class="next">Next: {sentence(page.next_step)}.</p>\n' if page.next_step else ""
    return (
        f'<section class="believe {found.status}" role="status" aria-label="Health">\n'
        f'<p class="outcome">{status(found.status, found.word)} <span>{escape(found.meaning)}.</span></p>\n'
        f"<p>{figure(page.reason)}</p>\n{step}</section>\n"
    )


def status(found: CheckStatus, word: str | None = None) -> str:
    """Return a status as a shape, a word and a colour."""
    return f'<strong class="status {found}">{escape(word or found)}</strong>'


def sentence(text: str) -> str:
    """Escape a sentence; words in backticks are commands."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text.rstrip("."), quote=False))


def _article(*sections: str) -> str:
    return f'<article class="abp health">\n{"".join(sections)}</article>\n'


def _whole(page: PrintedChecks) -> str:
    """Lay out the split of all users, arm by arm."""
    if page.whole is None:
        return ""
    rows = "".join(_arm(gap, page.whole.status) for gap in page.whole.gaps)
    heads = "".join(_head(name) for name in ("Arm", "Users", "Expected", "Gap", f"Gap beside chance{_ticks()}"))
    reason = f" Why: {escape(page.whole.reason)}." if page.whole.reason else ""
    return (
        f'<section aria-label="Sample ratio">\n<h2>Sample ratio of all users {status(page.whole.status)}</h2>\n'
        f'<p class="quiet">Did each arm get the users that its weight promises? {figure(page.whole.evidence)}.{reason}'
        f" It alarms below p = {ALARM_BELOW}, or from an e-value of {1 / ALARM_BELOW:,.0f} on, which may be looked at "
        f"any time. Shaded: where chance alone leaves 999 splits of 1,000.</p>\n"
        f"{_table('arms', 'Users of each arm', heads, rows)}</section>\n"
    )


def _arm(gap: Gap, found: CheckStatus) -> str:
    return (
        f'<tr role="row"><th role="rowheader" scope="row">{escape(gap.arm)}</th>'
        f"{_cell('number', 'Users', figure(gap.found))}{_cell('number', 'Expected', figure(gap.expected))}"
        f"{_cell('number', 'Gap', figure(gap.gap))}{_cell('chance', '', _bar(gap, found))}</tr>\n"
    )


def _scopes(splits: Sequence[ScopeSplit]) -> str:
    """Lay out the splits of surfaces, phases and segments, those in trouble first."""
    if not splits:
        return ""
    heads = "".join(_head(f"{name}{_ticks() * (name == SPLIT_HEADS[3])}") for name in SPLIT_HEADS)
    rows = "".join(line for split in splits for line in _scope(split))
    return (
        '<section aria-label="Splits of surfaces, phases and segments">\n'
        "<h2>The same by surface, phase and segment</h2>\n"
        '<p class="quiet">An alarm in one place says where users were lost. Those in trouble come first.</p>\n'
        f"{_table('scopes', 'Split by scope', heads, rows)}</section>\n"
    )


def _scope(split: ScopeSplit) -> Iterator[str]:
    users = "".join(
        f"<span>{escape(gap.arm)} <b>{figure(gap.found)}</b> of {figure(gap.expected)}</span>" for gap in split.gaps
    )
    widest = split.widest
    yield (
        f'<tr role="row"><th role="rowheader" scope="row">{escape(split.scope)}</th>'
        f"{_cell('state', '', status(split.status))}{_cell('users', 'Users, by arm', users)}"
        f"{_cell('chance', '', f'{_bar(widest, split.status)}<small>{_widest(split)}</small>')}"
        f"{_cell('number', 'p-value', figure(split.p_value))}{_cell('number', 'e-value', figure(split.e_value))}</tr>\n"
    )
    if split.reason:
        reason = f'<td role="cell" colspan="{len(SPLIT_HEADS)}">Why: {figure(split.reason)}.</td>'
        yield f'<tr role="row" class="why">{reason}</tr>\n'


def _widest(split: ScopeSplit) -> str:
    return f"{escape(split.widest.arm)} {figure(split.widest.gap)}"


def _checks(checks: Sequence[PrintedCheck]) -> str:
    """Lay out the checks of the data, those in trouble first."""
    if not checks:
        return ""
    heads = "".join(_head(name) for name in CHECK_HEADS)
    rows = "".join(_check(check) for check in checks)
    return (
        '<section aria-label="Checks of the data">\n<h2>The data</h2>\n'
        f"{_table('checks', 'Checks of the data', heads, rows)}</section>\n"
    )


def _check(check: PrintedCheck) -> str:
    step = f'<small class="next">Next: {sentence(check.next_step)}.</small>' if check.next_step else ""
    found = f'<span title="{escape(check.question)}">{figure(check.told.rstrip("."))}.</span>{step}'
    return (
        f'<tr role="row"><th role="rowheader" scope="row">{escape(check.label)}<small>{escape(check.scope)}</small>'
        f"</th>{_cell('state', '', status(check.status))}{_cell('told', '', found)}</tr>\n"
    )


def _table(name: str, label: str, heads: str, rows: str) -> str:
    return (
        f'<table class="{name}" role="table" aria-label="{label}">\n<thead role="rowgroup"><tr role="row">{heads}</tr>'
        f'</thead>\n<tbody role="rowgroup">\n{rows}</tbody>\n</table>\n'
    )


def _alert(alert: Alert) -> str:
    stands = alert.cleared_at is None
    times = [f"raised {moment(alert.raised_at)}"]
    times += [f"sent {moment(alert.sent_at)}"] if alert.sent_at else ["not sent"] * stands
    times += [f"cleared {moment(alert.cleared_at)}"] if alert.cleared_at else []
    state = status("unhealthy", "stands") if stands else "cleared"
    label = f"{ALERT_LABELS[alert.kind]}<small>{escape(place(alert.subject))}</small>"
    told = f"{sentence(alert.message)}.<small>{', '.join(times)}</small>"
    return (
        f'<tr role="row"><th role="rowheader" scope="row">{label}</th>{_cell("state", "", state)}'
        f"{_cell('told', '', told)}</tr>\n"
    )


def _head(text: str) -> str:
    return f'<th role="columnheader" scope="col">{text}</th>'


def _cell(name: str, label: str, body: str) -> str:
    labelled = f' data-label="{label}"' if label else ""
    return f'<td role="cell" class="{name}"{labelled}>{body}</td>'


def _bar(gap: Gap, found: CheckStatus) -> str:
    """Draw a gap from the middle, where the expected users are, over the band that chance keeps to."""
    end = _place(gap.spread)
    left, right = min(50.0, end), max(50.0, end)
    band = _place(-_chance()), _place(_chance())
    cut = " cut-low" if gap.spread < -REACH else " cut-high" if gap.spread > REACH else ""
    tone = "worse" if found == "unhealthy" else "no"
    words = figure(f"{gap.arm}: {gap.gap} users, {abs(gap.spread):.1f} standard deviations of chance")
    return (
        f'<span class="gap-bar {tone}" role="img" aria-label="{words}" title="{words}">'
        f'<span class="band" style="left:{band[0]:.2f}%;width:{band[1] - band[0]:.2f}%"></span>'
        f'<span class="expected"></span>'
        f'<span class="off{cut}" style="left:{left:.2f}%;width:{right - left:.2f}%"></span>'
        f'<span class="end" style="left:{end:.2f}%"></span></span>'
    )


def _ticks() -> str:
    """Name the middle and the ends of the band, above the bars."""
    return '<span class="ticks"><span>fewer</span><span>expected</span><span>more</span></span>'


def _place(spread: float) -> float:
    """Return where a gap stands, in percent of the width."""
    return 50.0 + 47.0 * max(-REACH, min(REACH, spread)) / REACH


def _chance() -> float:
    """Return the standard deviations that chance passes, either way, in ALARM_BELOW of all splits."""
    return NormalDist().inv_cdf(1.0 - ALARM_BELOW / 2.0)
