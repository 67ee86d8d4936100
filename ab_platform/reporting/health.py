"""Health: one word on whether what an analysis says may be believed, and the reason that decides it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ab_platform.metrics import SURFACE_LABELS
from ab_platform.results import Check, CheckName, CheckStatus, DecisionRow, SampleRatioRow

WORST_FIRST: tuple[CheckStatus, ...] = ("unhealthy", "warning", "unknown", "healthy")
"""What is known to be wrong comes before what is not known."""

CHECK_LABELS: dict[CheckName, str] = {
    "mixed_users": "users in several arms",
    "logging_delay": "logging delay",
    "fallbacks": "fallbacks",
    "missing_data": "missing data",
    "no_data": "no data",
}

NOT_ANALYSED = "nothing was analysed yet"
SPLIT_SOUND = "the arms got the users that their weights promise"
SOUND = f"{SPLIT_SOUND}, and no check of the data found anything"
UNCHECKED = f"{SPLIT_SOUND}; the data was not checked, since an earlier version analysed it"

SCOPES = {"all": "all users"} | {str(surface): label for surface, label in SURFACE_LABELS.items()}


class Health(NamedTuple):
    """What is found of an experiment.

    Attributes:
        status: the worst of what was looked at.
        reason: why, as a clause without a full stop: all that was found of that status, the split first.
        brief: the same without figures, for where there is little room.
    """

    status: CheckStatus
    reason: str
    brief: str


def overall(
    sample_ratios: Sequence[SampleRatioRow], checks: Sequence[Check], decisions: Sequence[DecisionRow]
) -> Health:
    """Say whether what an analysis says may be believed.

    Unhealthy is an alarm of any split, an unhealthy check, or a decision that says so. A split of all users that was
    not tested is unknown; that of a phase or segment, too small to be tested, is not held against the rest, as in the
    decision. Nor is a check that cannot be told, since some never can: a replay has no logging delay.

    Args:
        sample_ratios: of one analysis; at least the one of all users.
        checks: of the same.
        decisions: of the same; they know of alarms that lie in rows not given here.
    """
    found = [*_splits(sample_ratios), *_checks(checks)]
    if not any(each.status == "unhealthy" for each in found):
        found += [Health("unhealthy", row.reason, row.reason) for row in decisions if row.outcome == "unhealthy"]
    for status in WORST_FIRST:
        of_status = [each for each in found if each.status == status]
        if of_status:
            return Health(status, _joined(each.reason for each in of_status), _joined(each.brief for each in of_status))
    sound = SOUND if checks else UNCHECKED
    return Health("healthy", sound, sound)


def _joined(clauses: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(clauses))


def place(scope: str) -> str:
    """Name a scope as people read it: a surface by its label, and after it the arm."""
    surface, _, arm = scope.partition(" ")
    if surface not in SCOPES:
        return scope
    return f"{SCOPES[surface]}, {arm}" if arm else SCOPES[surface]


def _splits(rows: Sequence[SampleRatioRow]) -> Iterator[Health]:
    of_all = next((row for row in rows if row.scope == "all"), None)
    if of_all is None:
        told = NOT_ANALYSED if not rows else "the split of all users was not tested"
        yield Health("unknown", told, told)
    elif of_all.p_value is None and not of_all.alarm:
        yield _told("unknown", "the split is unknown", _why(of_all.reason))
    for row in rows:
        if row.alarm:
            yield _told("unhealthy", f"the split of {place(row.scope)} alarms", _why(row.reason))


def _checks(rows: Iterable[Check]) -> Iterator[Health]:
    for row in rows:
        if row.status in ("unhealthy", "warning"):
            where = "" if row.scope == "all" else f" on {place(row.scope)}"
            yield _told(row.status, f"{CHECK_LABELS[row.check]}{where}", f": {row.told.rstrip('.')}")


def _told(status: CheckStatus, brief: str, figures: str) -> Health:
    return Health(status, f"{brief}{figures}", brief)


def _why(reason: str | None) -> str:
    return f" ({reason})" if reason else ""
