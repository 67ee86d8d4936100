"""The steps of an experiment: which days at which traffic, and going from one to the next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from ab_platform.errors import ExperimentError
from ab_platform.lineage import Change, Launch, own_time, replayed_until
from ab_platform.storage.store import Store

LATE = timedelta(minutes=30)
"""How long after its last day a step is waited for: clients send in batches, and some events come late."""


@dataclass(frozen=True)
class Step:
    """Days of an experiment at one traffic.

    Attributes:
        number: from 1.
        of: how many there are.
        traffic: share of the owned users who are in.
        since: its first moment.
        until: its end, exclusive.
    """

    number: int
    of: int
    traffic: float
    since: datetime
    until: datetime

    @property
    def last_day(self) -> date:
        """Return the last day (UTC) that is in it."""
        return (self.until - timedelta(microseconds=1)).astimezone(UTC).date()

    @property
    def label(self) -> str:
        """Return the step for people: `step 2 of 3, traffic 50 %`."""
        return f"step {self.number} of {self.of}, traffic {100 * self.traffic:g} %"


def steps_of(launch: Launch) -> tuple[Step, ...]:
    """Return the steps of an experiment; they tile its days, and the last ends at the planned end."""
    planned = launch.experiment.steps
    found, since = [], launch.starts_at
    for number, step in enumerate(planned, start=1):
        until = since + timedelta(days=step.days)
        found.append(Step(number, len(planned), step.traffic, since, until))
        since = until
    return tuple(found)


def step_of(launch: Launch, number: int) -> Step:
    """Return a step by its number.

    Raises:
        ExperimentError: where the experiment has no such step.
    """
    steps = steps_of(launch)
    if not 1 <= number <= len(steps):
        raise ExperimentError(f"{launch.experiment.key} has no step {number}; it has 1 to {len(steps)}")
    return steps[number - 1]


def current_step(launch: Launch, at: datetime) -> Step:
    """Return the step that a moment is in: the first before the start, the last after the end."""
    begun = [step for step in steps_of(launch) if step.since <= at]
    return begun[-1] if begun else steps_of(launch)[0]


def next_step(launch: Launch, changes: Iterable[Change], at: datetime) -> Step | None:
    """Return the step whose users are to be let in now: begun, with more traffic than there ever was; None without one.

    Who ramps down by hand means it: what was let in once is not let in again.
    """
    most = most_traffic(launch, changes)
    return next((step for step in steps_of(launch) if step.since <= at and most < step.traffic), None)


def most_traffic(launch: Launch, changes: Iterable[Change]) -> float:
    """Return the largest traffic that an experiment has had."""
    ramped = [float(str(change.after["traffic"])) for change in changes if change.action == "ramp"]
    return max([launch.experiment.steps[0].traffic, *ramped])


def is_over(store: Store, key: str, number: int, *, now: datetime) -> bool:
    """Tell whether the days of a step are over and late events have had their time, or the experiment was stopped."""
    launch, changes = store.experiment(key), store.changes(key)
    late = timedelta() if replayed_until(changes) else LATE  # what is replayed is never late
    return launch.state == "stopped" or own_time(launch, changes, now) >= step_of(launch, number).until + late


def enter(store: Store, key: str, number: int, *, now: datetime) -> Step:
    """Let the users of a step in, once the gate of the step before has passed; nobody changes arm.

    Args:
        store: holds the experiment.
        key: of the experiment.
        number: of the step, from 1.
        now: the time; of a replay, its calendar is asked instead.

    Raises:
        ExperimentError: for a stopped experiment, a step that is not due, or a gate that has not passed.
    """
    launch, changes = store.experiment(key), store.changes(key)
    step = step_of(launch, number)
    if launch.state == "stopped":
        raise ExperimentError(f"{key} is stopped; {step.label} cannot begin: launch it under a new key")
    if most_traffic(launch, changes) >= step.traffic:
        return step
    at = own_time(launch, changes, now)
    if at < step.since:
        raise ExperimentError(
            f"{step.label} of {key} begins at {step.since:%Y-%m-%d %H:%M} UTC; it is {at:%Y-%m-%d %H:%M}: wait for it, "
            f"or let users in by hand with `abp ramp {key}`"
        )
    if not gate_passed(changes, number - 1):
        raise ExperimentError(
            f"{step.label} of {key} needs the gate of step {number - 1} to pass; run `abp advance {key}`"
        )
    store.ramp(key, step.traffic, at=at, reason=step.label)
    return step


def gate_passed(changes: Sequence[Change], number: int) -> bool:
    """Tell whether the gate at the end of a step has passed."""
    gates = [change.after for change in changes if change.action == "gate"]
    return any(gate.get("step") == number and gate.get("passes") is True for gate in gates)
