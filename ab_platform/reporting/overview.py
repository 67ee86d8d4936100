"""All experiments at a glance: state, health, days, traffic, the primary lift and how it came about, the decision."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from itertools import groupby

from ab_platform.lineage import Launch
from ab_platform.metrics import SURFACE_LABELS, metric
from ab_platform.reporting import figures
from ab_platform.reporting.health import Health, overall
from ab_platform.reporting.printed import OUTCOME_TONES
from ab_platform.reporting.verdict import TONES, Tone, verdict
from ab_platform.results import Check, DecisionRow, Headline, LiftRow, SampleRatioRow

NOT_ANALYSED = overall((), (), ())

_UNIT = re.compile(r" \([^()]*\)$")
"""At the end of a metric's label; a lift has none."""


@dataclass(frozen=True)
class Point:
    """The primary lift as of one day, with its interval where it has ends."""

    as_of: date
    lift: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Course:
    """One treatment's first primary row, and what was decided on the treatment.

    Attributes:
        row: of the newest analysis.
        points: of all analyses that have a lift, the oldest first.
        decision: of the newest; None where there is none.
    """

    row: LiftRow
    points: tuple[Point, ...]
    decision: DecisionRow | None


@dataclass(frozen=True)
class Found:
    """What the newest analysis of one experiment found.

    Attributes:
        health: whether it may be believed.
        courses: one a treatment.
    """

    health: Health
    courses: tuple[Course, ...]


@dataclass(frozen=True)
class Line:
    """One treatment as it is printed.

    Attributes:
        arm: the treatment.
        row: what is measured, and where.
        lift: signed, in percent.
        interval: its interval.
        tone: what the colour says; none where the experiment is unhealthy.
        points: for the sparkline.
        outcome: the decision in a word; empty without one.
        outcome_tone: whether that is good news; neither where the experiment is unhealthy, but for that word itself.
        reason: of the decision.
    """

    arm: str
    row: str
    lift: str
    interval: str
    tone: Tone
    points: tuple[Point, ...]
    outcome: str
    outcome_tone: Tone
    reason: str


@dataclass(frozen=True)
class Entry:
    """One experiment as it is printed.

    Attributes:
        key: of the experiment.
        hypothesis: may be empty.
        arms: control against treatments.
        running: or stopped.
        health: of the newest analysis.
        days: such as `4 of 7`.
        left: such as `3 days left`.
        traffic: share of its users who are in.
        lines: one a treatment; empty where nothing was analysed.
        sought: what a search looks through, in lower case.
    """

    key: str
    hypothesis: str
    arms: str
    running: bool
    health: Health
    days: str
    left: str
    traffic: str
    lines: tuple[Line, ...]
    sought: str


def found(
    headlines: Iterable[Headline],
    *,
    decisions: Mapping[str, Sequence[DecisionRow]],
    sample_ratios: Mapping[str, Sequence[SampleRatioRow]],
    checks: Mapping[str, Sequence[Check]],
) -> dict[str, Found]:
    """Bring together what the newest analyses found, by experiment.

    Args:
        headlines: of every experiment and day, sorted by experiment.
        decisions: of each newest analysis.
        sample_ratios: of the same.
        checks: of the same.
    """
    return {
        key: Found(
            overall(sample_ratios.get(key, ()), checks.get(key, ()), decisions.get(key, ())),
            _courses([each.row for each in mine], decisions.get(key, ())),
        )
        for key, mine in groupby(headlines, key=lambda each: each.experiment)
    }


def entries(
    launches: Iterable[Launch], found: Mapping[str, Found], *, made_up: Collection[str], today: date
) -> tuple[Entry, ...]:
    """Print the experiments, those that run first, else in the order given.

    Args:
        launches: the experiments and their states.
        found: what their newest analyses found.
        made_up: keys of those that live on a calendar of their own.
        today: in UTC.
    """
    printed = [_entry(launch, found.get(launch.experiment.key), made_up, today) for launch in launches]
    return tuple(sorted(printed, key=lambda entry: not entry.running))


def matching(entries: Iterable[Entry], words: str) -> tuple[Entry, ...]:
    """Return the experiments in which every word is found: in key, hypothesis, arms or recommenders."""
    wanted = words.lower().split()
    return tuple(entry for entry in entries if all(word in entry.sought for word in wanted))


def _courses(rows: Sequence[LiftRow], decisions: Sequence[DecisionRow]) -> tuple[Course, ...]:
    decided = {row.arm: row for row in decisions}
    by_arm: dict[str, list[LiftRow]] = {}
    for row in sorted(rows, key=lambda row: row.as_of):
        by_arm.setdefault(row.arm, []).append(row)
    return tuple(
        Course(
            of_arm[-1],
            tuple(Point(row.as_of, row.lift, row.low, row.high) for row in of_arm if row.lift is not None),
            decided.get(arm),
        )
        for arm, of_arm in by_arm.items()
    )


def _entry(launch: Launch, found: Found | None, made_up: Collection[str], today: date) -> Entry:
    experiment = launch.experiment
    seen = max((course.row.as_of for course in found.courses), default=None) if found else None
    days, left = _days(launch, seen, today, made_up=experiment.key in made_up)
    names = [arm.name for arm in experiment.treatments]
    sought = [experiment.key, experiment.hypothesis, *(f"{arm.name} {arm.recommender}" for arm in experiment.arms)]
    return Entry(
        key=experiment.key,
        hypothesis=experiment.hypothesis,
        arms=f"{', '.join(names)} against {experiment.control.name}",
        running=launch.state == "running",
        health=found.health if found else NOT_ANALYSED,
        days=days,
        left=left,
        traffic=f"{100 * launch.traffic:.4g} %",
        lines=_lines(launch, found) if found else (),
        sought=" ".join(sought).lower(),
    )


def _days(launch: Launch, seen: date | None, today: date, *, made_up: bool) -> tuple[str, str]:
    """Say how many of its days an experiment has had, and how many are left.

    Args:
        launch: the experiment and its state.
        seen: last day that was analysed.
        today: in UTC.
        made_up: whether it lives on a calendar of its own, in which the day that was analysed is today.
    """
    first = launch.starts_at.astimezone(UTC).date()
    # Ends are exclusive, so the last day is the one of the moment before.
    last = (launch.ends_at.astimezone(UTC) - timedelta(microseconds=1)).date()
    of = (last - first).days + 1
    on = (seen or first - timedelta(days=1)) if made_up else today
    if launch.stopped_at is not None:
        on = (launch.stopped_at.astimezone(UTC) - timedelta(microseconds=1)).date()
    day = min(max((on - first).days + 1, 0), of)
    if launch.stopped_at is not None:
        return f"{day} of {of}", f"stopped {launch.stopped_at.astimezone(UTC).date().isoformat()}"
    if day == 0:
        return f"0 of {of}", f"from {first.isoformat()}"
    if on > last or (made_up and on == last):
        return f"{day} of {of}", "planned end reached"
    return f"{day} of {of}", {0: "last day", 1: "1 day left"}.get(of - day, f"{of - day} days left")


def _lines(launch: Launch, found: Found) -> tuple[Line, ...]:
    order = [arm.name for arm in launch.experiment.arms]
    courses = sorted(
        found.courses, key=lambda course: order.index(course.row.arm) if course.row.arm in order else len(order)
    )
    return tuple(_line(launch, course, found.health) for course in courses)


def _line(launch: Launch, course: Course, health: Health) -> Line:
    row, decision = course.row, course.decision
    measured = metric(row.metric, launch.experiment.metrics)
    decimals = figures.lift_decimals(row.lift, row.low, row.high)
    return Line(
        arm=row.arm,
        row=f"{_UNIT.sub('', measured.label)}, {SURFACE_LABELS[row.surface]}",
        lift=figures.percent(row.lift, decimals),
        interval=figures.interval(row, decimals),
        tone="no" if health.status == "unhealthy" else TONES[verdict(row, measured)],
        points=course.points,
        outcome="" if decision is None else decision.outcome,
        outcome_tone=_tone(decision, health),
        reason="" if decision is None else decision.reason,
    )


def _tone(decision: DecisionRow | None, health: Health) -> Tone:
    if decision is None:
        return "unknown"
    # The rule knows of the split alone: what it ships on data that a check found wanting is no good news.
    believed = health.status != "unhealthy" or decision.outcome == "unhealthy"
    return OUTCOME_TONES[decision.outcome] if believed else "no"
