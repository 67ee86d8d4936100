"""An experiment in the making: settings by hand, laid over one that stands, and the lines of its file."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ab_platform.experiment import KEY_PATTERN, Arm, DataRule, Experiment
from ab_platform.experiment_file import dump
from ab_platform.planning import Given
from ab_platform.statistics.monitoring import MonitoringName

LEAST_USERS = 100
"""That looks at any time, or planned ones, may be tuned for."""

WEIGHT_DECIMALS = 4


@dataclass(frozen=True)
class Settings:
    """What is set by hand.

    Attributes:
        days: planned.
        traffic: share of the owned users who are in.
        lift: to find on the primary rows, as a fraction.
        alpha: two-sided error rate.
        power: chance to find the lift.
        monitoring: how often it may be looked at.
        looks: how many are planned; for `group_sequential`.
        control_weight: share of the users who are in the control; the treatments share the rest as they did.
    """

    days: int
    traffic: float
    lift: float
    alpha: float
    power: float
    monitoring: MonitoringName
    looks: int
    control_weight: float


def blank(dataset: str, *, primary: Sequence[str], treatments: int = 1) -> Experiment:
    """Begin an experiment on a data set, with arms of equal weight.

    Args:
        dataset: its name.
        primary: rows that decide, as `surface.metric`.
        treatments: beside the control.

    Raises:
        ExperimentError: for a row that is not there.
    """
    weights = _weights([1.0 / (treatments + 1)] * treatments)
    names = ["treatment"] if treatments == 1 else [f"treatment_{place + 1}" for place in range(treatments)]
    arms = [Arm(name, "pia", weight) for name, weight in zip(names, weights[1:], strict=True)]
    control = Arm("control", "multi_vae", weights[0], control=True)
    return Experiment("my-experiment", DataRule(dataset), (control, *arms), primary=tuple(primary))


def drafted(start: Experiment, chosen: Settings) -> Experiment:
    """Lay settings over an experiment; of a ramp, the steps that still fit stay.

    Looks at any time, or planned ones, are tuned for no number of users yet: `tuned_for` does that.

    Raises:
        ExperimentError: for settings that no experiment may have.
    """
    grouped, once = chosen.monitoring == "group_sequential", chosen.monitoring == "fixed"
    steps = tuple(step for step in start.ramp if step.traffic < chosen.traffic)
    return replace(
        start,
        arms=_arms(start, chosen.control_weight),
        traffic=chosen.traffic,
        days=chosen.days,
        ramp=steps if sum(step.days for step in steps) < chosen.days else (),
        alpha=chosen.alpha,
        power=chosen.power,
        stop_on_breach=start.stop_on_breach and not once,
        analysis=replace(
            start.analysis,
            monitoring=chosen.monitoring,
            looks=chosen.looks if grouped else None,
            users=None if once else LEAST_USERS,
            lift_to_find=chosen.lift,
        ),
    )


def tuned_for(draft: Experiment, users: int) -> Experiment:
    """Return the draft with its looks tuned for so many users; one look at the end is tuned for none."""
    if draft.analysis.monitoring == "fixed":
        return draft
    return replace(draft, analysis=replace(draft.analysis, users=max(users, LEAST_USERS)))


def lines(draft: Experiment) -> str:
    """Write what was set as lines of an experiment file."""
    rule = draft.analysis
    analysed = [f'monitoring = "{rule.monitoring}"']
    analysed += [f"users = {rule.users}"] * (rule.users is not None)
    analysed += [f"looks = {rule.looks}"] * (rule.looks is not None)
    analysed += [f"lift_to_find = {rule.lift_to_find:g}"] * (rule.lift_to_find is not None)
    whole = [f"{name} = {getattr(draft, name):g}" for name in ("days", "traffic", "alpha", "power")]
    arms = [f'[[arms]]\nname = "{arm.name}"\nweight = {arm.weight:g}' for arm in draft.arms]
    return "\n\n".join(["\n".join(whole), "\n".join(["[analysis]", *analysed]), *arms])


def as_file(draft: Experiment, key: str) -> str:
    """Write the draft as a whole experiment file, under a key and a salt of its own: what runs is never changed."""
    return dump(replace(draft, key=key, salt=""))


def next_key(key: str) -> str:
    """Return the key of the experiment that comes after one."""
    following = f"{key[:59]}-next"
    return following if KEY_PATTERN.fullmatch(following) else key


def command(file: str, given: Given) -> str:
    """Return the command that gives the same figures from the file.

    Args:
        file: name of the experiment file.
        given: what was said by hand beside it.
    """
    said = (
        ("--users-per-day", given.users_per_day),
        ("--variation", given.variation),
        ("--variance-saved", given.variance_saved),
    )
    options = [part for name, value in said if value is not None for part in (name, f"{value:g}")]
    return shlex.join(["abp", "power", file, *options])


def _arms(start: Experiment, control_weight: float) -> tuple[Arm, ...]:
    """Give the control its weight, and the treatments the rest in the shares that they had of it."""
    had = [arm.weight for arm in start.treatments]
    rest = sum(had)
    shares = [weight / rest for weight in had] if rest else [1.0 / len(had)] * len(had)
    weights = _weights([share * (1.0 - control_weight) for share in shares])
    names = [start.control.name, *(arm.name for arm in start.treatments)]
    of_arm = dict(zip(names, weights, strict=True))
    return tuple(replace(arm, weight=of_arm[arm.name]) for arm in start.arms)


def _weights(treatments: Sequence[float]) -> list[float]:
    """Round weights as a file has them; the control, which comes first, has what is left of the whole."""
    rounded = [round(weight, WEIGHT_DECIMALS) for weight in treatments]
    return [round(1.0 - sum(rounded), WEIGHT_DECIMALS), *rounded]
