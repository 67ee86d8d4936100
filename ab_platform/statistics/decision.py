"""Decision: what all rows, the split and the calendar say together, in one word and one sentence.

The rule of Schultzberg, Ankargren and Frånberg, "Risk-aware product decisions in A/B tests with multiple metrics",
arXiv 2402.11609: ship what is significantly better in at least one primary row, significantly worse in none, and
significantly non-inferior in every guardrail. Since all guardrails have to pass, none of them needs a stricter alpha;
since each may fail, the chance to miss is divided between them (`guardrail_power`). Primary rows come with p-values
that are adjusted for their number. Secondary rows inform and never decide, so they are no input.

What comes first wins:

    unhealthy         the split alarms, or too many users were seen in several arms: no row can be believed
    not enough data   the split is unknown, or no primary row has a p-value
    keep running      fixed monitoring before the planned end: its error rates hold for one look, at that end
    roll back         a primary row is worse, or a guardrail's interval lies wholly beyond its margin
    ship              as above
    keep running      neither yet, and the planned end is not reached
    neutral           neither, and it is

Under fixed monitoring a guardrail that looks breached before the end is told and decides nothing: the same look, made
every day, would roll back far more good treatments than alpha says. Who fears the harm more than a wrong verdict can
stop at any time; who wants the rule to decide early runs a sequential or group-sequential experiment.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ab_platform.statistics.monitoring import MonitoringName

Outcome = Literal["not enough data", "keep running", "ship", "roll back", "neutral", "unhealthy"]
PrimaryFinding = Literal["better", "worse", "no difference shown", "unknown"]
GuardrailFinding = Literal["non-inferior", "breached", "not shown", "unknown"]
SplitFinding = Literal["trust", "alarm", "unknown"]

MOST_MIXED = 0.01
"""Share of users in several arms beyond which it is no longer enough to leave them out: the assignment is at fault."""

_FEW_DAYS, _WEEK_DAYS = 3, 7


@dataclass(frozen=True, slots=True)
class PrimaryRow:
    """What a primary row says.

    Attributes:
        name: `surface.metric`.
        finding: significantly better or worse, the metric's direction considered; `unknown` without a p-value.
        reason: why it is unknown, or the figures that show the finding.
    """

    name: str
    finding: PrimaryFinding
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class GuardrailRow:
    """What a guardrail says.

    Attributes:
        name: `surface.metric`.
        finding: `non-inferior` when its interval lies wholly on the better side of the margin, `breached` when wholly
            beyond it, `not shown` when it holds the margin, `unknown` without a p-value.
        margin: tolerated lift for the worse, as a fraction.
        reason: as in `PrimaryRow`.
    """

    name: str
    finding: GuardrailFinding
    margin: float
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """Whether the arms got their users.

    Attributes:
        finding: `trust` only when it was tested and found right.
        reason: why it alarms or is unknown.
        mixed_share: share of the users who were seen in several arms, as a fraction.
    """

    finding: SplitFinding
    reason: str | None = None
    mixed_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Calendar:
    """How far the experiment is.

    Attributes:
        monitoring: how often it may be looked at.
        days: that count so far.
        planned_days: of the experiment.
        days_left: until there are users enough, about; None where that cannot be said. Not read under fixed monitoring.
    """

    monitoring: MonitoringName
    days: int
    planned_days: int
    days_left: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about one treatment.

    Attributes:
        outcome: in one word.
        reason: in one sentence, with the names that decided.
        days_left: until there is enough to decide, about; None where nothing is waited for or it cannot be said.
    """

    outcome: Outcome
    reason: str
    days_left: float | None = None


def decide(
    primaries: Sequence[PrimaryRow], guardrails: Sequence[GuardrailRow], *, split: Split, calendar: Calendar
) -> Decision:
    """Decide on one treatment, by the rule of the module's head.

    Args:
        primaries: of the experiment.
        guardrails: of the experiment; may be empty.
        split: whether the arms got their users.
        calendar: how far the experiment is.

    Raises:
        ValueError: when no row is primary.
    """
    if not primaries:
        raise ValueError("0 primary rows; a decision needs at least 1")
    early = calendar.days < calendar.planned_days
    against = _against(primaries, guardrails)
    better = [row for row in primaries if row.finding == "better"]
    missing = [row for row in guardrails if row.finding != "non-inferior"]
    unusable = _unusable(primaries, split, calendar)
    if unusable is not None:
        return unusable
    if early and calendar.monitoring == "fixed":
        return Decision("keep running", _waiting(against, calendar), float(calendar.planned_days - calendar.days))
    if against:
        return Decision("roll back", _and(against))
    if better and not missing:
        return Decision("ship", _ship_reason(primaries, better, guardrails))
    short = _short(primaries, better, missing)
    if early:
        return Decision("keep running", f"{short}; {_outlook(calendar)}", calendar.days_left)
    return Decision("neutral", f"{short}, and the planned end is reached")


def guardrail_power(power: float, guardrails: int) -> float:
    """Return the power that each row must have for the experiment to ship with the one wanted.

    1 - (1 - power) / (guardrails + 1): shipping needs the primary row that is better and every guardrail, so by Boole's
    inequality their chances to miss add up to at most 1 - power, whatever the rows have to do with each other (as in
    arXiv 2402.11609, where beta is corrected for guardrails and alpha is not). A true effect in one primary row is
    enough. That another, without effect, is falsely found worse comes on top, with a chance of no more than alpha where
    the primary rows are adjusted for their number.

    Args:
        power: chance to ship a treatment that is better and breaks nothing, in (0, 1).
        guardrails: their number.

    Raises:
        ValueError: for an argument out of its range.
    """
    if not 0.0 < power < 1.0:
        raise ValueError(f"power is {power}; it must lie between 0 and 1, such as 0.8")
    if guardrails < 0:
        raise ValueError(f"guardrails is {guardrails}; it must be at least 0")
    return 1.0 - (1.0 - power) / (guardrails + 1)


def days_left(*, users_by_day: Sequence[int], needed: int, planned_left: int) -> float | None:
    """Extrapolate until how many more days bring the users needed.

    New users come at the mean rate of the last 3 full days, and fewer every day by the factor at which those fell short
    of the 3 before: a population that is nearly used up sends fewer and fewer. From two weeks on, weeks take the place
    of the 3 days, so that a weekend is no decline. Arrivals that grow are taken to stay as they are.

    Args:
        users_by_day: users first exposed on each full day, oldest first.
        needed: in total, by then.
        planned_left: days until the planned end.

    Returns:
        0 when they are there; None when nobody has come yet, or the planned end comes before.

    Raises:
        ValueError: when a day counts fewer than 0 users.
    """
    if any(users < 0 for users in users_by_day):
        raise ValueError(f"users by day are {list(users_by_day)}; each must be at least 0")
    lacking = needed - sum(users_by_day)
    if lacking <= 0:
        return 0.0
    window = _WEEK_DAYS if len(users_by_day) >= 2 * _WEEK_DAYS else _FEW_DAYS
    recent, before = users_by_day[-window:], users_by_day[-2 * window : -window]
    if not sum(recent):
        return None
    kept = 1.0
    if len(before) == window and sum(recent) < sum(before):
        kept = (sum(recent) / sum(before)) ** (1.0 / window)
    days = _days_until(lacking, sum(recent) / len(recent), kept)
    return days if days is not None and days <= planned_left else None


def _days_until(lacking: float, rate: float, kept: float) -> float | None:
    """Return n with rate * (kept + kept^2 + ... + kept^n) = lacking, or None where even all days do not bring it."""
    if kept == 1.0:
        return lacking / rate
    left = 1.0 - lacking * (1.0 - kept) / (rate * kept)
    return math.log(left) / math.log(kept) if left > 0.0 else None


def _unusable(primaries: Sequence[PrimaryRow], split: Split, calendar: Calendar) -> Decision | None:
    """Decide where no row may be believed or none is there, or return None."""
    if split.finding == "alarm":
        return Decision("unhealthy", f"the split alarms{_why(split.reason)}")
    if split.mixed_share > MOST_MIXED:
        share = f"{100.0 * split.mixed_share:.2g} % of the users were seen in several arms"
        return Decision("unhealthy", f"{share}, more than {100.0 * MOST_MIXED:g} %; find out how they changed arms")
    left = _left(calendar)
    if split.finding == "unknown":
        return Decision("not enough data", f"the split is unknown{_why(split.reason)}", left)
    if all(row.finding == "unknown" for row in primaries):
        names = _and([f"{row.name}{_why(row.reason)}" for row in primaries])
        return Decision("not enough data", f"no primary row has a p-value: {names}", left)
    return None


def _against(primaries: Sequence[PrimaryRow], guardrails: Sequence[GuardrailRow]) -> list[str]:
    """Say what speaks for rolling back."""
    worse = [f"{row.name} is significantly worse{_why(row.reason)}" for row in primaries if row.finding == "worse"]
    breached = [
        f"{row.name} breaches its margin of {_percent(row.margin)}{_why(row.reason)}"
        for row in guardrails
        if row.finding == "breached"
    ]
    return worse + breached


def _waiting(against: Sequence[str], calendar: Calendar) -> str:
    reached = f"day {calendar.days} of {calendar.planned_days}, and fixed monitoring decides at the planned end"
    if not against:
        return reached
    return (
        f"{reached}: so far {_and(against)}, which one look too early cannot confirm, so stop by hand if it does harm"
    )


def _ship_reason(
    primaries: Sequence[PrimaryRow], better: Sequence[PrimaryRow], guardrails: Sequence[GuardrailRow]
) -> str:
    found = _and([*_better(better), "no primary row is shown to be worse", *_unknown(primaries)])
    if not guardrails:
        return f"{found}; there are no guardrails"
    kept = _and([f"{row.name} at {_percent(row.margin)}{_why(row.reason)}" for row in guardrails])
    return f"{found}; every guardrail is non-inferior, {kept}"


def _short(primaries: Sequence[PrimaryRow], better: Sequence[PrimaryRow], missing: Sequence[GuardrailRow]) -> str:
    """Say what shipping lacks."""
    if not better:
        return _and(["no primary row shows a difference", *_unknown(primaries)])
    lacking = [
        f"{row.name} is {'unknown' if row.finding == 'unknown' else 'not shown to be within ' + _percent(row.margin)}"
        f"{_why(row.reason)}"
        for row in missing
    ]
    return f"{_and(_better(better))}, but {_and(lacking)}"


def _better(rows: Sequence[PrimaryRow]) -> list[str]:
    return [f"{row.name} is significantly better{_why(row.reason)}" for row in rows]


def _unknown(rows: Sequence[PrimaryRow]) -> list[str]:
    return [f"{row.name} is unknown{_why(row.reason)}" for row in rows if row.finding == "unknown"]


def _outlook(calendar: Calendar) -> str:
    if calendar.days_left is None:
        return f"it is planned to end in {_days(calendar.planned_days - calendar.days)}"
    return f"about {_days(calendar.days_left)} left"


def _left(calendar: Calendar) -> float | None:
    if calendar.monitoring == "fixed" and calendar.days < calendar.planned_days:
        return float(calendar.planned_days - calendar.days)
    return calendar.days_left if calendar.days < calendar.planned_days else None


def _days(count: float) -> str:
    return "1 day" if round(count) == 1 else f"{count:.0f} days"


def _percent(fraction: float) -> str:
    return f"{100.0 * fraction:.3g} %"


def _why(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def _and(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
