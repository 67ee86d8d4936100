"""How one lift came to be: its figures as of each day, and what happened to the experiment on the way."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, timedelta

from ab_platform.events import Surface
from ab_platform.lineage import Change, Launch, Phase, phases
from ab_platform.metrics import Metric
from ab_platform.reporting import figures
from ab_platform.reporting.verdict import Verdict, verdict
from ab_platform.reporting.viewing import Looks, Scale
from ab_platform.results import LiftRow, LiftView
from ab_platform.statistics.monitoring import MonitoringName


@dataclass(frozen=True)
class Day:
    """One row of the table as of one day, with both promises.

    Attributes:
        as_of: last day that counts.
        fixed: with an interval that is made for one look.
        sequential: with one that holds at every look; None where it could not be made.
    """

    as_of: date
    fixed: LiftRow
    sequential: LiftRow | None


@dataclass(frozen=True)
class Calendar:
    """The days of an experiment.

    Attributes:
        first: day.
        last: planned day.
        ramp: traffic from its first day, and each that followed.
        stopped: day on which it was stopped before its planned end; None where it was not.
    """

    first: date
    last: date
    ramp: tuple[Phase, ...]
    stopped: date | None

    def number(self, day: date) -> int:
        """Count a day from the first, which is 1."""
        return (day - self.first).days + 1


@dataclass(frozen=True)
class Span:
    """An estimate with its interval, as a fraction or in the metric's unit.

    Attributes:
        middle: the estimate; None where it is absent.
        low: lower end of its interval; None where it has none.
        high: upper end.
    """

    middle: float | None
    low: float | None
    high: float | None


def calendar(launch: Launch, changes: Iterable[Change]) -> Calendar:
    """Return the days of an experiment.

    Args:
        launch: the experiment and its state.
        changes: its log.
    """
    first = launch.starts_at.astimezone(UTC).date()
    # The end is exclusive, so the last planned day is the one of the moment before.
    last = (launch.ends_at.astimezone(UTC) - timedelta(microseconds=1)).date()
    stopped = None if launch.stopped_at is None else launch.stopped_at.astimezone(UTC).date()
    early = stopped is not None and first <= stopped < last
    return Calendar(first, last, phases(launch, changes), stopped if early else None)


def days(
    history: Iterable[LiftView], key: tuple[Surface, str, str], *, covariates: bool, baseline: str | None = None
) -> tuple[Day, ...]:
    """Return a row's figures by day, the oldest first; a day that was not analysed is not there.

    Args:
        history: views of all days.
        key: surface, metric and arm of the row.
        covariates: whether covariates took variance away.
        baseline: the arm it is compared with; whichever the views have where None.
    """
    found: dict[date, dict[MonitoringName, LiftRow]] = {}
    for view in history:
        row = view.row
        same = (row.surface, row.metric, row.arm) == key and view.covariates == covariates
        if same and baseline in (None, view.baseline):
            found.setdefault(row.as_of, {})[row.monitoring] = row
    return tuple(
        Day(as_of, rows["fixed"], rows.get("sequential")) for as_of, rows in sorted(found.items()) if "fixed" in rows
    )


def adjusted_for(history: Iterable[LiftView], key: tuple[Surface, str, str]) -> tuple[bool, ...]:
    """Say which choices of covariates a row has: with them, without, or both."""
    found = {view.covariates for view in history if (view.row.surface, view.row.metric, view.row.arm) == key}
    return tuple(sorted(found, reverse=True))


def runs(found: Sequence[Day]) -> tuple[tuple[Day, ...], ...]:
    """Divide days where one or more between them were not analysed."""
    divided: list[list[Day]] = []
    for day in found:
        if divided and day.as_of - divided[-1][-1].as_of == timedelta(days=1):
            divided[-1].append(day)
        else:
            divided.append([day])
    return tuple(tuple(run) for run in divided)


def missing(found: Sequence[Day], planned: Calendar) -> tuple[date, ...]:
    """Return the days up to the newest analysis that were not analysed."""
    if not found:
        return ()
    there = {day.as_of for day in found}
    reach = (found[-1].as_of - planned.first).days
    return tuple(day for n in range(reach) if (day := planned.first + timedelta(days=n)) not in there)


def span(row: LiftRow | None, scale: Scale) -> Span:
    """Return what a row says on a scale."""
    if row is None:
        return Span(None, None, None)
    if scale == "relative":
        return Span(row.lift, row.low, row.high)
    return Span(row.difference, row.difference_low, row.difference_high)


def counting(day: Day, monitoring: MonitoringName, planned: Calendar) -> Looks:
    """Say which interval may be acted on as of a day.

    A fixed interval is made for one look, at the planned end; until then, and under any other rule, only the confidence
    sequence may be looked at.

    Args:
        day: with both.
        monitoring: the experiment's rule.
        planned: its days.
    """
    return "fixed" if monitoring == "fixed" and day.as_of >= planned.last else "sequential"


def shown(day: Day, measured: Metric, looks: Looks) -> Verdict:
    """Say what a day shows by one of its intervals."""
    row = day.fixed if looks == "fixed" else day.sequential
    return "unknown" if row is None else verdict(row, measured)


def printed_row(row: LiftRow | None, measured: Metric, scale: Scale) -> tuple[str, str]:
    """Print an estimate and its interval as the table does.

    Args:
        row: with the figures; None where there are none.
        measured: its metric.
        scale: of the figures.
    """
    if row is None:
        return figures.ABSENT, figures.ABSENT
    if scale == "relative":
        decimals = figures.lift_decimals(row.lift, row.low, row.high)
        return figures.percent(row.lift, decimals), figures.interval(row, decimals)
    unit = measured.unit
    decimals = figures.difference_decimals(unit, row.difference, row.difference_low, row.difference_high)
    return figures.difference(row.difference, unit, decimals), figures.difference_interval(row, unit, decimals)


def as_csv(found: Sequence[Day]) -> str:
    """Write every stored figure of the days, in full precision.

    Args:
        found: of one row.
    """
    names = [field.name for field in fields(LiftRow)]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for day in found:
        writer.writerows(asdict(row) for row in (day.fixed, day.sequential) if row is not None)
    return text.getvalue()
