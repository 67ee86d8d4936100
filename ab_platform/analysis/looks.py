"""What a look at an experiment requires, by the day it is made as of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta

from ab_platform.lineage import Launch
from ab_platform.statistics.confidence_sequence import tuned
from ab_platform.statistics.group_sequential import GroupSequential
from ab_platform.statistics.monitoring import FIXED, Monitoring
from ab_platform.storage.store import ExposedOn


@dataclass(frozen=True)
class Monitored:
    """How the rows of one look are inferred.

    Attributes:
        monitoring: what interval and p-value require.
        told: the same in a sentence.
        absent: why there is no interval and no p-value at this look; None where there are.
    """

    monitoring: Monitoring
    told: str
    absent: str | None = None


def monitored(launch: Launch, exposed: Sequence[ExposedOn], as_of: date) -> Monitored:
    """Say what the look as of a day requires.

    Args:
        launch: the experiment.
        exposed: users by surface and day; the surface with the most users tells how far the experiment is.
        as_of: last day that counts.
    """
    rule = launch.experiment.analysis
    match rule.monitoring:
        case "fixed":
            return Monitored(FIXED, _told_fixed(launch, as_of))
        case "sequential":
            assert rule.users is not None
            how = f"asymptotic confidence sequence tuned for {rule.users:,} users"
            told = f"Monitoring: sequential ({how}); it may be looked at any time."
            return Monitored(tuned(rule.users, launch.experiment.alpha), told)
        case "group_sequential":
            return _grouped(launch, exposed, as_of)


def look_days(launch: Launch) -> tuple[date, ...]:
    """Return the last day that each planned look counts; evenly over the planned days."""
    experiment = launch.experiment
    looks = experiment.analysis.looks or 1
    first = launch.starts_at.astimezone(UTC).date()
    after = dict.fromkeys(math.ceil(experiment.days * look / looks) for look in range(1, looks + 1))
    return tuple(first + timedelta(days=days - 1) for days in after)


def _told_fixed(launch: Launch, as_of: date) -> str:
    last = launch.ends_at.astimezone(UTC).date() - timedelta(days=1)
    if as_of >= last or launch.state == "stopped":
        return "Monitoring: fixed, one look at the planned end."
    return (
        f"Monitoring: fixed, for one look at the planned end, {last}: before it interval and p-value promise too much. "
        "Looks at any time need monitoring = 'sequential' in the experiment file."
    )


def _grouped(launch: Launch, exposed: Sequence[ExposedOn], as_of: date) -> Monitored:
    days = look_days(launch)
    rule = launch.experiment.analysis
    assert rule.users is not None
    passed = [day for day in days if day <= as_of]
    fractions = _fractions(exposed, passed, rule.users)
    reached = next((place for place, fraction in enumerate(fractions) if fraction >= 1.0), None)
    made = (
        f"Monitoring: group sequential (Lan-DeMets, O'Brien-Fleming), {len(days)} planned looks, "
        f"{rule.users:,} users at the last"
    )
    if not passed or not fractions:
        return Monitored(FIXED, f"{made}; none was due.", f"the first planned look is as of {days[0]}; wait for it")
    over = as_of > days[-1] or (reached is not None and reached < len(fractions) - 1)
    if as_of != passed[-1] and not over:
        following = next(day for day in days if day > as_of)
        absent = f"{as_of} is no planned look; the last was {passed[-1]}, the next is {following}"
        return Monitored(FIXED, f"{made}; {as_of} is none.", absent)
    steps = _increasing(fractions)
    share = f"{100 * steps[-1]:.0f} % of the users"
    return Monitored(GroupSequential(steps), f"{made}; this is look {len(passed)}, with {share}.")


def _fractions(exposed: Sequence[ExposedOn], days: Sequence[date], users: int) -> tuple[float, ...]:
    """Return the share of the planned users at each look, at most 1, on the surface with the most of them."""
    by_surface = {each.surface: 0 for each in exposed}
    for each in exposed:
        by_surface[each.surface] += each.users
    if not by_surface:
        return ()
    largest = max(by_surface, key=lambda surface: by_surface[surface])
    counts = [sum(each.users for each in exposed if each.surface == largest and each.day <= day) for day in days]
    return tuple(min(1.0, count / users) for count in counts if count)


def _increasing(fractions: Sequence[float]) -> tuple[float, ...]:
    """Leave out looks that brought no users, and those after all of them were there."""
    return tuple(dict.fromkeys(fractions))
