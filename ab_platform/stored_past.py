"""What stored analyses tell a new experiment: what `past` measures, without reading a single user.

An analysis keeps of each row the users of both arms, their values, and the intervals of difference and lift; how the
users vary follows from these. With C the control's value, half the half-width of the difference's interval, e the lift,
and S the sum of the ends of Fieller's interval:

    se     = (detectable C - half) / z_power       of the difference: `detectable` reaches z_power of them beyond half
    t      = half / se                             what the look required, however often it may be looked at
    g      = (S - 2 e) / (S + 2)                   since the ends add up to 2 (e + g) / (1 - g)
    v_C    = g C^2 / t^2                           squared standard error of the control
    cv     = sqrt(n_C v_C) / C

That is exact, but for arms that covariates made depend on each other, and for an interval without ends. There the arms
are taken to vary alike: v_C n_C = se^2 / (1 - saved) / (1 / n_C + 1 / n_T).

Users by day are those of every look, and those whose k-th day since the exposure was over. Between known days they are
taken to come at the pace of a surface of which every day is known, or evenly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from itertools import accumulate

import numpy as np
from scipy import special

from ab_platform.analysis.segments import AGE
from ab_platform.assignment import BUCKETS
from ab_platform.experiment import Experiment
from ab_platform.lineage import Launch
from ab_platform.past import Arrivals, PastData
from ab_platform.power_plan import Variation
from ab_platform.results import LiftRow, LiftView, SampleRatioRow, SegmentRow

NEAR_HALF = 1e-6
"""A power so near to a half tells no standard error: `detectable` ends where the interval does."""


@dataclass(frozen=True)
class Analysed:
    """What is stored of one experiment.

    Attributes:
        launch: the experiment.
        as_of: day of its newest analysis.
        lifts: rows of that.
        views: the same made other ways; none by versions that did not keep them.
        segments: rows by segment, days since the exposure among them.
        splits: checks of the split of every analysis.
    """

    launch: Launch
    as_of: date
    lifts: tuple[LiftRow, ...]
    views: tuple[LiftView, ...]
    segments: tuple[SegmentRow, ...]
    splits: tuple[SampleRatioRow, ...]


def stored_past(analysed: Iterable[Analysed], experiment: Experiment, population: int) -> PastData:
    """Take the primary rows and guardrails from the newest analyses on the same data set that can tell them.

    Args:
        analysed: the newest first; read on only while something is missing.
        experiment: the one to plan.
        population: users of the data set.
    """
    variations: dict[str, Variation] = {}
    arrivals: dict[str, Arrivals] = {}
    wanted = {row.name for row in experiment.rows if row.role != "secondary"}
    share = _share(experiment, experiment.traffic)
    for each in analysed:
        if each.launch.experiment.data.dataset != experiment.data.dataset:
            continue
        variations = _variations(each, experiment) | variations
        factor = share / _share(each.launch.experiment, each.launch.traffic) if each.launch.traffic else 0.0
        come = {on: found.scaled(factor, population * share) for on, found in _arrivals(each).items()}
        arrivals = come | arrivals
        if variations.keys() >= wanted and arrivals.keys() >= set(experiment.surfaces):
            break
    return PastData({row: variations[row] for row in sorted(wanted & variations.keys())}, arrivals)


def variation(row: LiftRow, *, power: float) -> float | None:
    """Return the coefficient of variation of the control's users; None where the row cannot tell it.

    Args:
        row: of an analysis, by whatever monitoring.
        power: that its `detectable` is for.
    """
    error = _standard_error(row, power=power)
    if error is None or not row.control or row.control < 0.0:
        return None
    own = None if row.variance_saved is not None else _control_variance(row, error)
    if own is None:
        kept = max(1.0 - (row.variance_saved or 0.0), 1e-6)
        own = error**2 / kept / (1.0 + row.users_control / row.users_treatment)
    return math.sqrt(own * row.users_control) / row.control if own > 0.0 else None


def _standard_error(row: LiftRow, *, power: float) -> float | None:
    """Return the standard error of the difference."""
    if row.difference_low is None or row.difference_high is None or min(row.users_control, row.users_treatment) < 2:
        return None
    half = (row.difference_high - row.difference_low) / 2.0
    beyond = float(special.ndtri(power))
    if row.detectable is not None and row.control and abs(beyond) > NEAR_HALF:
        return (row.detectable * abs(row.control) - half) / beyond
    if row.monitoring != "fixed":
        return None
    degrees = row.users_control + row.users_treatment - 2.0
    return half / float(-special.stdtrit(degrees, row.interval_alpha / 2.0))


def _control_variance(row: LiftRow, error: float) -> float | None:
    """Return the squared standard error of the control, of arms that vary independently."""
    known = (row.control, row.difference, row.difference_low, row.difference_high, row.low, row.high)
    if row.method != "fieller" or any(each is None for each in known) or not error:
        return None
    control, difference, low, high, lift_low, lift_high = (float(each) for each in known if each is not None)
    required = (high - low) / 2.0 / error
    ends = lift_low + lift_high
    g = (ends - 2.0 * difference / control) / (ends + 2.0)
    found = g * (control / required) ** 2
    # What rounding leaves outside of the whole tells nothing.
    return found if 0.0 < found < error**2 else None


def _variations(each: Analysed, experiment: Experiment) -> dict[str, Variation]:
    past = each.launch.experiment
    same = {row.name for row in past.rows} & {row.name for row in experiment.rows}
    metrics = {row.name: row.metric for row in experiment.rows}
    days = (each.as_of - each.launch.starts_at.astimezone(UTC).date()).days + 1
    source = f"measured in {past.key} over {_days(days)}"
    found = {}
    for row in (row for row in past.rows if row.name in same and metrics[row.name] == row.metric):
        plain, adjusted = _told(each, row.surface, row.metric.name)
        coefficient = None if plain is None else variation(plain, power=past.power)
        if coefficient is not None:
            saved = None if adjusted is None else adjusted.variance_saved
            found[row.name] = Variation(coefficient, saved if _like(past, experiment) else None, source)
    return found


def _told(each: Analysed, surface: str, metric: str) -> tuple[LiftRow | None, LiftRow | None]:
    """Return a row against the first treatment without covariates, where that is stored, and as it was decided by."""
    control, arm = each.launch.experiment.control.name, each.launch.experiment.treatments[0].name
    decided = next((row for row in each.lifts if (row.surface, row.metric, row.arm) == (surface, metric, arm)), None)
    if decided is not None and decided.variance_saved is None:
        return decided, decided
    views = [
        view
        for view in each.views
        if (view.baseline, view.row.arm, view.row.surface, view.row.metric) == (control, arm, surface, metric)
        and view.row.monitoring == "fixed"
    ]
    plain = next((view.row for view in views if not view.covariates), decided)
    return plain, next((view.row for view in views if view.covariates), decided)


def _like(past: Experiment, experiment: Experiment) -> bool:
    """Tell whether both take variance out with the same, so that what was saved there is saved here."""
    rules = (past.analysis, experiment.analysis)
    first, second = ((set(rule.covariates), rule.covariate_days) for rule in rules)
    return first == second


def _arrivals(each: Analysed) -> dict[str, Arrivals]:
    """Return the users exposed by the end of each day, by surface, of those that an analysis counted."""
    first = each.launch.starts_at.astimezone(UTC).date()
    days = (each.as_of - first).days + 1
    known = {surface: _numbered(_counted(each, surface), first, days) for surface in each.launch.experiment.surfaces}
    pace = next((_every_day(counts, days) for counts in known.values() if len(counts) == days), None)
    return {
        surface: Arrivals(_every_day(counts, days, pace=pace), math.inf, _source(each, days, len(counts), pace=pace))
        for surface, counts in known.items()
        if counts.get(days)
    }


def _source(each: Analysed, days: int, counted: int, *, pace: Sequence[float] | None) -> str:
    observed = f"users come as in {each.launch.experiment.key}, observed for {_days(days)}"
    if counted == days:
        return observed
    between = "taken as even" if pace is None else "taken at the pace of the other surface"
    return f"{observed}, counted on {counted} of them and {between} between"


def _numbered(counted: Mapping[date, float], first: date, days: int) -> dict[int, float]:
    """Return what is known of each day of the experiment, counted from 1."""
    numbers = {(day - first).days + 1: users for day, users in counted.items()}
    return {day: users for day, users in numbers.items() if 1 <= day <= days}


def _counted(each: Analysed, surface: str) -> dict[date, float]:
    """Return the users exposed up to a day, for each day that something stored tells them of."""
    looks = {
        row.as_of: float(sum(row.counts)) for row in each.splits if row.scope == surface and row.as_of <= each.as_of
    }
    ages = [row for row in each.segments if (row.surface, row.dimension) == (surface, AGE)]
    if not ages:
        return looks
    metric = ages[0].metric
    come: dict[date, float] = {}
    for row in (row for row in ages if row.metric == metric):
        day = date.fromordinal(each.as_of.toordinal() - int(row.segment))
        come[day] = come.get(day, float(row.users_control)) + row.users_treatment
    return looks | come


def _every_day(known: Mapping[int, float], days: int, *, pace: Sequence[float] | None = None) -> tuple[float, ...]:
    """Fill in what is not known between what is; users so far never get fewer.

    Args:
        known: users so far, by day from 1.
        days: how many there are.
        pace: users so far on each day elsewhere, that these come like; evenly where None.
    """
    clock = [0.0, *(range(1, days + 1) if pace is None else pace)]
    told = sorted({0: 0.0, **known}.items())
    users = np.interp(clock[1:], [clock[day] for day, _ in told], [count for _, count in told])
    return tuple(accumulate((float(each) for each in users), max))


def _share(experiment: Experiment, traffic: float) -> float:
    """Return the share of the layer's users who are in."""
    low, high = experiment.layer_buckets
    return (high - low) / BUCKETS * traffic


def _days(days: int) -> str:
    return f"{days} day" if days == 1 else f"{days} days"
