"""A power plan: what every row needs and gets, how the figures were made, and what to do next, in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ab_platform.assignment import BUCKETS
from ab_platform.experiment import Experiment
from ab_platform.metrics import Role

NEAR = 0.05
"""How far `analysis.users` may be from the users expected, as a share of these: within it, nothing is to be gained."""


@dataclass(frozen=True)
class Variation:
    """How the users of one row vary.

    Attributes:
        coefficient: standard deviation of one user over the mean; of a ratio by the delta method.
        variance_saved: share of the variance that the covariates took away; None where there were none to use.
        source: where it was measured, that it was given, or that it was assumed.
    """

    coefficient: float
    variance_saved: float | None
    source: str


@dataclass(frozen=True)
class CurvePoint:
    """The smallest lift that so many users, all arms together, find with the planned power."""

    users: int
    detectable: float


@dataclass(frozen=True)
class DayPoint:
    """The smallest lift that is found by the end of a day, counted from 1, with the users exposed by then."""

    day: int
    users: int
    detectable: float


@dataclass(frozen=True)
class RowPower:
    """What one row needs of one treatment, and what it gets.

    Attributes:
        row: as `surface.metric`.
        arm: the treatment.
        role: a primary row is to find a lift, a guardrail to be shown non-inferior when nothing changed.
        asked: the lift to find, or the guardrail's margin on its worse side; None where no lift is asked for.
        alpha: two-sided error rate, shared by the primary rows.
        power: chance to find what is asked.
        variation: how its users vary.
        inflation: users it needs for being looked at several times, over those for one look.
        users: exposed on the surface by the planned end, all arms together.
        users_from: where that comes from.
        users_needed: of these, all arms together; None where nothing is asked or `reason` says why not.
        days_needed: until they are there; None where they are not within a year.
        detectable: smallest lift found, or margin shown, at the planned end; None with `reason`.
        curve: the same for other numbers of users.
        reason: why a number is absent.
    """

    row: str
    arm: str
    role: Role
    asked: float | None
    alpha: float
    power: float
    variation: Variation
    inflation: float
    users: int
    users_from: str
    users_needed: int | None = None
    days_needed: int | None = None
    detectable: float | None = None
    curve: tuple[CurvePoint, ...] = ()
    reason: str | None = None

    @property
    def enough(self) -> bool:
        """Whether the planned users are as many as are needed."""
        return self.users_needed is not None and self.users >= self.users_needed


@dataclass(frozen=True)
class PowerPlan:
    """What an experiment needs.

    Attributes:
        experiment: its key.
        days: planned.
        population: users of the data set.
        users_in: of these, in the experiment by its slice of the layer and its traffic.
        rows: primary rows, then guardrails, each against every treatment.
        told: how the figures were made, in sentences.
        advice: what to do next, in a sentence.
    """

    experiment: str
    days: int
    population: int
    users_in: int
    rows: tuple[RowPower, ...]
    told: tuple[str, ...]
    advice: str


def users_in(experiment: Experiment, population: int) -> float:
    """Return how many of a data set's users are in an experiment at its full traffic."""
    low, high = experiment.layer_buckets
    return population * (high - low) / BUCKETS * experiment.traffic


def family_size(experiment: Experiment) -> int:
    """Return among how many rows alpha is shared: at worst, before any of them is significant."""
    if experiment.analysis.adjustment == "none":
        return 1
    return len(experiment.primary) * len(experiment.treatments)


def told(experiment: Experiment, rows: Sequence[RowPower]) -> Iterator[str]:
    """Say how the figures of a plan were made, in sentences."""
    for row in {each.row: each for each in rows}.values():
        yield f"{row.row}: {_told_variation(experiment, row.variation)}; {row.users_from}."
    first = rows[0]
    family = family_size(experiment)
    shared = f" for each of {family} primary rows, {experiment.alpha:g} for all" if family > 1 else ""
    missed = f" each, {100 * experiment.power:.0f} % for all rows together" if experiment.guardrails else ""
    yield f"Power {100 * first.power:.0f} %{missed}, alpha {first.alpha:g}{shared}."
    if experiment.analysis.monitoring != "fixed":
        name = experiment.analysis.monitoring.replace("_", " ")
        yield f"Monitoring is {name}: {first.inflation:.2f} times the users of a single look."


def _told_variation(experiment: Experiment, variation: Variation) -> str:
    said = f"coefficient of variation {variation.coefficient:.2f} ({variation.source})"
    if variation.variance_saved is not None:
        return f"{said}; covariates save {100 * max(variation.variance_saved, 0.0):.0f} % of the variance"
    names = ", ".join(experiment.analysis.covariates)
    return f"{said}; what covariates ({names}) save is unknown and not counted on" if names else said


def advice(experiment: Experiment, rows: Sequence[RowPower]) -> str:
    """Say what to do next, in a sentence: what is missing first, then what would help most."""
    asked = [row for row in rows if row.users_needed is not None]
    if any(row.asked is None for row in rows):
        found = [row.detectable for row in rows if row.role == "primary" and row.detectable is not None]
        example = f" = {_rounded_up(max(found), 3):g}, which the planned end can show" if found else ""
        return f"say what to look for, with --lift or in the file as analysis.lift_to_find{example}"
    short = [row for row in asked if not row.enough]
    if short and experiment.traffic:
        return _advice_for(experiment, max(short, key=lambda row: (row.users_needed or 0) / max(row.users, 1)))
    if not asked or not experiment.traffic:
        return "let users in: traffic and the arms' weights must be above 0"
    settings = list(_settings(experiment, asked))
    return f"set {' and '.join(settings)} in the file, and launch it" if settings else "the plan holds: launch it"


def _settings(experiment: Experiment, rows: Sequence[RowPower]) -> Iterator[str]:
    """Yield what the file lacks of a plan that holds."""
    expected = max(row.users for row in rows)
    if experiment.analysis.monitoring != "fixed" and _is_far(experiment.analysis.users or 0, expected):
        yield f"analysis.users = {expected}"
    asked = next((row.asked for row in rows if row.role == "primary"), None)
    if asked is not None and asked != experiment.analysis.lift_to_find:
        yield f"analysis.lift_to_find = {asked:g}"


def _advice_for(experiment: Experiment, row: RowPower) -> str:
    """Say what would help the row that lacks most: traffic costs no time, days no traffic, a larger lift neither."""
    assert row.users_needed is not None
    lacks = f"{row.row} needs {row.users_needed:,} users and gets {row.users:,}"
    wider = experiment.traffic * row.users_needed / max(row.users, 1)
    if wider <= 1.0:
        return f"{lacks}: set traffic = {_rounded_up(wider, 2):g}"
    if row.days_needed is not None:
        return f"{lacks}: set days = {row.days_needed}"
    low, high = experiment.layer_buckets
    slice_needed = (high - low) / BUCKETS * wider
    if slice_needed <= 1.0:
        share = f"traffic = 1.0 and {math.ceil(BUCKETS * slice_needed):,} of the layer's {BUCKETS:,} buckets"
        return f"{lacks}: give it {share}"
    if row.detectable is None:
        return f"{lacks}: it needs more users than there are"
    what = "allow a margin" if row.role == "guardrail" else "look for a lift"
    shown = f"{what} of {100.0 * _rounded_up(row.detectable, 3):.1f} %"
    return f"{lacks}, more than there are: {shown}, or take variance out with covariates"


def _is_far(users: int, expected: int) -> bool:
    return abs(users - expected) > NEAR * expected


def _rounded_up(value: float, decimals: int) -> float:
    scale = 10.0**decimals
    return math.ceil(value * scale - 1e-9) / scale
