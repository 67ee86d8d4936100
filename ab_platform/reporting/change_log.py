"""What was done to an experiment, the newest first: when, what and why, as an HTML list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from html import escape

from ab_platform.lineage import Action, Change
from ab_platform.reporting.figures import moment
from ab_platform.reporting.html_parts import capital, figure


def change_log(changes: Iterable[Change], name: str) -> str:
    """Lay a change log out.

    Args:
        changes: the oldest first, as they are stored.
        name: of the experiment, for who cannot see the list.
    """
    items = "".join(_item(change) for change in reversed(list(changes)))
    label = escape(f"What was done to {name}, the newest first")
    return f'<div class="abp changes">\n<ol aria-label="{label}">\n{items}</ol>\n</div>\n'


def told(change: Change) -> str:
    """Say in a few words what was done."""
    return _WORDS[change.action](change)


def share(traffic: object) -> str:
    """Print a share of the users as it was set, such as `12.5 %`."""
    return f"{100 * float(str(traffic)):.6g} %"


def _item(change: Change) -> str:
    why = f"<span>{escape(change.reason)}</span>" if change.reason else ""
    return f"<li><small>{moment(change.at)}</small> <b>{figure(capital(told(change)))}</b> {why}</li>\n"


def _ramped(change: Change) -> str:
    return f"traffic {share((change.before or {}).get('traffic', 0))} → {share(change.after.get('traffic', 0))}"


def _gate(change: Change) -> str:
    verdict = "passed" if change.after.get("passes") is True else "did not pass"
    return f"gate of step {change.after.get('step')} {verdict}"


def _decided(change: Change) -> str:
    after: Mapping[str, object] = change.after
    return f"decided: {after.get('choice')} {after.get('arm')}, by {after.get('by')}"


def _replayed(change: Change) -> str:
    until = change.after.get("until")
    return f"visits replayed up to {moment(datetime.fromisoformat(str(until)))}" if until else "replay begun"


_WORDS: Mapping[Action, Callable[[Change], str]] = {
    "launch": lambda change: f"launched, traffic {share(change.after.get('traffic', 0))}",
    "ramp": _ramped,
    "gate": _gate,
    "decide": _decided,
    "stop": lambda change: "stopped",
    "replay": _replayed,
    "simulate": lambda change: "visits simulated",
    "delete_events": lambda change: "raw events deleted",
}
