"""Decision: what a treatment's rows say together, by a rule that was set before the first look.

Ship when at least one primary row is significantly better, none is significantly worse, and every guardrail is
significantly non-inferior at its margin (M. Schultzberg, S. Ankargren and M. Fraanberg, "Risk-aware product decisions in
A/B tests with multiple metrics", arXiv 2402.11609). The error rate alpha is not corrected for guardrails: to ship, all of
them have to hold, so that more of them make a wrong ship rarer. The chance to miss, beta, is: see `guardrail_power`.

An experiment that is looked at once, at its planned end, is not decided before it, but for trouble with the split. One
whose monitoring allows a look may be decided at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ab_platform.statistics.monitoring import MonitoringName

Outcome = Literal["not enough data", "keep running", "ship", "roll back", "neutral", "unhealthy"]

PrimaryFinding = Literal["better", "worse", "no difference shown", "unknown"]
GuardrailFinding = Literal["non-inferior", "breached", "not shown", "unknown"]
SplitFinding = Literal["trust", "alarm", "unknown"]

MOST_MIXED = 0.01
"""Share of users seen in several arms beyond which leaving them out no longer mends the comparison."""


@dataclass(frozen=True, slots=True)
class Primary:
    """A row that decides.

    Attributes:
        name: as `surface.metric`.
        finding: what it shows at the level of its family.
        reason: why it is unknown.
    """

    name: str
    finding: PrimaryFinding
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """A row that must not get worse than its margin.

    Attributes:
        name: as `surface.metric`.
        finding: what it shows; `breached` where the whole interval lies beyond the margin.
        margin: tolerated change for the worse, as a fraction.
        reason: why it is unknown.
    """

    name: str
    finding: GuardrailFinding
    margin: float
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the comparison may be believed at all.

    Attributes:
        split: what the sample ratio says.
        mixed_share: share of the users who were seen in several arms.
        reason: why the split alarms or is unknown.
    """

    split: SplitFinding
    mixed_share: float = 0.0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Calendar:
    """How far the experiment is.

    Attributes:
        monitoring: how often it may be looked at.
        days: that count so far.
        planned_days: until the planned end.
        days_left: until the users are there that the plan asks for, about; None where that cannot be said.
        stopped: whether it was stopped, so that no more will come.
    """

    monitoring: MonitoringName
    days: int
    planned_days: int
    days_left: float | None = None
    stopped: bool = False

    @property
    def ended(self) -> bool:
        """Whether the planned end is reached, or no more users will come."""
        return self.stopped or self.days >= self.planned_days


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a treatment.

    Attributes:
        outcome: the verdict.
        reason: why, in one sentence.
        days_left: until there is more to say, about; None when decided, or where that cannot be said.
    """

    outcome: Outcome
    reason: str
    days_left: float | None = None


def decide(primaries: Sequence[Primary], guards: Sequence[Guard], health: Health, calendar: Calendar) -> Decision:
    """Apply the rule.

    Args:
        primaries: at least one.
        guards: any number.
        health: of the comparison.
        calendar: how far the experiment is.

    Raises:
        ValueError: without a primary row.
    """
    if not primaries:
        raise ValueError("no primary row; a decision needs at least 1")
    trouble = _trouble(health)
    if trouble is not None:
        return Decision("unhealthy", trouble)
    if all(row.finding == "unknown" for row in primaries):
        why = next((row.reason for row in primaries if row.reason), "no primary row has a p-value")
        return Decision("not enough data", f"No primary row could be tested: {why}.", _left(calendar))
    if calendar.monitoring == "fixed" and not calendar.ended:
        return _wait(calendar, f"it is planned for one look after {calendar.planned_days} days{_breaches(guards)}")
    return _judge(primaries, guards, health, calendar)


def guardrail_power(power: float, guardrails: int) -> float:
    """Return the power that every row of an experiment is planned for, so that a good treatment ships with `power`.

    The chance to miss is shared by the guardrails and the primary rows together: beta / (guardrails + 1), proposition
    4.1 of arXiv 2402.11609.

    Args:
        power: wanted of the decision, in (0, 1).
        guardrails: how many have to be shown non-inferior.

    Raises:
        ValueError: for an argument out of its range.
    """
    if not 0.0 < power < 1.0 or guardrails < 0:
        raise ValueError(
            f"power is {power} with {guardrails} guardrails; power must lie in (0, 1), guardrails from 0 on"
        )
    return 1.0 - (1.0 - power) / (guardrails + 1)


def days_left(users_by_day: Sequence[int], *, needed: int) -> float | None:
    """Return in how many days the users are there, at the rate of the last three full days.

    New users grow fewer from day to day, so this is the least it may take, not the most.

    Args:
        users_by_day: first exposed on each day so far, the oldest first.
        needed: users in all.

    Returns:
        Days, 0 where they are there already; None where nobody came lately.

    Raises:
        ValueError: for a need that is not above 0.
    """
    if needed < 1:
        raise ValueError(f"needed is {needed}; it must be at least 1 user")
    missing = needed - sum(users_by_day)
    if missing <= 0:
        return 0.0
    lately = users_by_day[-3:]
    return missing * len(lately) / sum(lately) if sum(lately) else None


def _trouble(health: Health) -> str | None:
    if health.split == "alarm":
        return f"The split cannot be trusted: {health.reason or 'the sample ratio alarms'}."
    if health.mixed_share > MOST_MIXED:
        return (
            f"{100 * health.mixed_share:.1f} % of users were seen in several arms; "
            f"at most {100 * MOST_MIXED:g} % can be left out."
        )
    return None


def _judge(primaries: Sequence[Primary], guards: Sequence[Guard], health: Health, calendar: Calendar) -> Decision:
    worse, better = (_names(primaries, finding) for finding in ("worse", "better"))
    breached, open_guards = _names(guards, "breached"), _names(guards, "not shown", "unknown")
    if worse or breached:
        found = [*(f"{name} is worse" for name in worse), *(f"{name} is beyond its margin" for name in breached)]
        return Decision("roll back", f"{_capital(_listed(found))}.")
    if health.split == "unknown":
        return _wait(calendar, f"whether the split can be trusted is unknown ({health.reason or 'too few users'})")
    if better and not open_guards:
        kept = f" and {_listed([row.name for row in guards])} kept within the margin" if guards else ""
        return Decision("ship", f"{_capital(_listed(better))} {_are(better)} better{kept}.")
    if better:
        return _wait(
            calendar, f"{_listed(better)} {_are(better)} better, but {_listed(open_guards)} not yet shown non-inferior"
        )
    names = _listed([row.name for row in primaries])
    return _wait(calendar, f"{names} {'shows' if len(primaries) == 1 else 'show'} no difference")


def _wait(calendar: Calendar, why: str) -> Decision:
    """Keep running while there is something to wait for; a reached end without a finding is neutral."""
    if calendar.ended:
        end = "the experiment was stopped" if calendar.stopped else "the planned end is reached"
        return Decision("neutral", f"{_capital(end)} and {why}.")
    return Decision("keep running", f"Day {calendar.days} of {calendar.planned_days}: {why}.", _left(calendar))


def _left(calendar: Calendar) -> float | None:
    if calendar.ended:
        return None
    planned = float(calendar.planned_days - calendar.days)
    return min(planned, calendar.days_left) if calendar.days_left else planned


def _breaches(guards: Sequence[Guard]) -> str:
    """Say before the end what would roll back, since waiting has a price."""
    breached = _names(guards, "breached")
    return f"; {_listed(breached)} already looks beyond its margin: stop it by hand if that hurts" if breached else ""


def _names(rows: Sequence[Primary] | Sequence[Guard], *findings: str) -> list[str]:
    return [row.name for row in rows if row.finding in findings]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
