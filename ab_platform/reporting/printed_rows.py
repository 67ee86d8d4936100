"""The rows of the table as they are printed: per surface and treatment, what decides first, then what guards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ab_platform.events import Surface
from ab_platform.metrics import PUBLISHED_TABLE_2, SURFACE_LABELS, Metric, Role, metric
from ab_platform.reporting import figures
from ab_platform.reporting.verdict import TONES, Coverage, Tone, Verdict, coverage, sentence, verdict
from ab_platform.reporting.viewing import Scale
from ab_platform.results import LiftRow, Readout, Truth

ROLE_TITLES: dict[Role, str] = {"primary": "Primary", "guardrail": "Guardrails", "secondary": "Secondary"}


@dataclass(frozen=True)
class Reference:
    """Figures that stand beneath a row for comparison."""

    control: str
    treatment: str
    lift: str
    remark: str


@dataclass(frozen=True)
class Effect:
    """What the bar of a row shows.

    Attributes:
        axis: rows of one axis share a scale: all lifts do, and the differences of one unit.
        point: the lift, or the difference in the metric's unit.
        low: lower end of its interval.
        high: upper end.
        margin: what a guardrail must stay on the good side of; None where there is none on this scale.
        unbounded: whether the interval has no ends, rather than none that was computed.
    """

    axis: str
    point: float | None
    low: float | None
    high: float | None
    margin: float | None
    unbounded: bool


@dataclass(frozen=True)
class PrintedRow:
    """One metric of one section.

    Attributes:
        row: what is printed.
        measured: its metric.
        effect: what its bar shows.
        label: of the metric, with its unit.
        control: the metric's value.
        treatment: the same.
        lift: signed, in percent; or the difference in the metric's unit, where the table is of differences.
        interval: of the lift or the difference.
        level: the interval's own, where it is not that of the table; else empty.
        p_value: of no difference, or of a guardrail's margin.
        word: the verdict.
        verdict: the same as it is printed, a guardrail's with its margin.
        counts_label: names of the two totals that a value is the ratio of.
        counts_control: the totals.
        counts_treatment: the same.
        detectable: where no difference is shown, which lift would be found; else empty.
        saved: what covariates did for the row; empty without them.
        cap: where a winsorised metric was cut; else empty.
        reason: why a number is absent; empty where none is.
        truth: the true figures where they are known, the remark saying where the interval lies.
        true_lift: as a fraction, where it is known.
        published: the paper's figures, where asked for.
    """

    row: LiftRow
    measured: Metric
    effect: Effect
    label: str
    control: str
    treatment: str
    lift: str
    interval: str
    level: str
    p_value: str
    word: Verdict
    verdict: str
    counts_label: str
    counts_control: str
    counts_treatment: str
    detectable: str
    saved: str
    cap: str
    reason: str
    truth: Reference | None
    true_lift: float | None
    published: Reference | None

    @property
    def primary(self) -> bool:
        """Whether the row decides."""
        return self.row.role == "primary"

    @property
    def tone(self) -> Tone:
        """Return whether the verdict is good or bad news."""
        return TONES[self.word]

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what stands beneath the row, beside reasons."""
        return tuple(note for note in (self.detectable, self.saved, self.cap) if note)


@dataclass(frozen=True)
class Group:
    """Rows of one role; the title is empty where all rows of the report have the same."""

    title: str
    rows: tuple[PrintedRow, ...]


@dataclass(frozen=True)
class Section:
    """The rows of one surface and one treatment; `users` are those exposed there, control first."""

    surface: str
    arm: str
    users: tuple[int, int]
    groups: tuple[Group, ...]

    @property
    def rows(self) -> tuple[PrintedRow, ...]:
        """Return the rows of all groups."""
        return tuple(row for group in self.groups for row in group.rows)


def sections(readout: Readout, *, published: bool, scale: Scale = "relative") -> tuple[Section, ...]:
    """Print the table, surface by surface.

    Args:
        readout: of one experiment as of one day.
        published: whether the paper's own figures stand beneath each row.
        scale: what the effects are on; true and published lifts are relative, so only that scale has them.
    """
    found: dict[tuple[Surface, str], list[PrintedRow]] = {}
    for row in readout.lifts:
        found.setdefault((row.surface, row.arm), []).append(_row(readout, row, published=published, scale=scale))
    surfaces = [surface for surface, _ in found]
    titled = len({row.role for row in readout.lifts}) > 1
    return tuple(_section(found[key], titled=titled) for key in sorted(found, key=lambda key: surfaces.index(key[0])))


def metric_of(readout: Readout, surface: Surface, name: str) -> Metric:
    """Return what a row measures: by the experiment's own definition, or by the catalogue."""
    row = readout.rows.get((surface, name))
    return metric(name) if row is None else row.metric


def surface_label(surface: Surface) -> str:
    """Name a surface."""
    return SURFACE_LABELS[surface]


def one_line(text: str | None) -> str:
    """Fold a reason's white space; empty where there is none."""
    return " ".join((text or "").split())


def _section(rows: Sequence[PrintedRow], *, titled: bool) -> Section:
    first = rows[0].row
    groups = (
        Group(title if titled else "", tuple(row for row in rows if row.row.role == role))
        for role, title in ROLE_TITLES.items()
    )
    return Section(
        surface_label(first.surface),
        first.arm,
        (first.users_control, first.users_treatment),
        tuple(group for group in groups if group.rows),
    )


def _row(readout: Readout, row: LiftRow, *, published: bool, scale: Scale) -> PrintedRow:
    measured = metric_of(readout, row.surface, row.metric)
    relative = scale == "relative"
    truth = readout.truth(row) if relative else None
    decimals = figures.lift_decimals(row.lift, row.low, row.high)
    word = verdict(row, measured)
    lift, interval = _lift(row, decimals) if relative else _difference(row, measured)
    return PrintedRow(
        row=row,
        measured=measured,
        effect=_relative(row) if relative else _absolute(row, measured),
        label=measured.label,
        control=figures.value(row.control, measured.unit),
        treatment=figures.value(row.treatment, measured.unit),
        lift=lift,
        interval=interval,
        level="" if row.interval_alpha == row.alpha else figures.level(row.interval_alpha),
        p_value=figures.p_value(row.p_value, row.alpha),
        word=word,
        verdict=sentence(row, word),
        counts_label=figures.counts_label(measured),
        counts_control=figures.counts(measured, row.numerator_control, row.denominator_control),
        counts_treatment=figures.counts(measured, row.numerator_treatment, row.denominator_treatment),
        detectable=_detectable(row, word),
        saved="" if row.variance_saved is None else f"CUPED saved {100 * row.variance_saved:z.0f} %",
        cap="" if row.cap is None else f"values cut at {figures.amount(row.cap, measured.unit)}",
        reason=one_line(row.reason),
        truth=None if truth is None else _truth(row, truth, measured, decimals),
        true_lift=None if truth is None else truth.lift,
        published=_published(row, measured) if published and relative else None,
    )


def _lift(row: LiftRow, decimals: int) -> tuple[str, str]:
    return figures.percent(row.lift, decimals), figures.interval(row, decimals)


def _difference(row: LiftRow, measured: Metric) -> tuple[str, str]:
    unit = measured.unit
    decimals = figures.difference_decimals(unit, row.difference, row.difference_low, row.difference_high)
    return figures.difference(row.difference, unit, decimals), figures.difference_interval(row, unit, decimals)


def _relative(row: LiftRow) -> Effect:
    margin = row.null_lift if row.role == "guardrail" else None
    return Effect("lift", row.lift, row.low, row.high, margin, figures.unbounded(row))


def _absolute(row: LiftRow, measured: Metric) -> Effect:
    return Effect(measured.unit, row.difference, row.difference_low, row.difference_high, None, unbounded=False)


def _detectable(row: LiftRow, word: Verdict) -> str:
    if word != "no difference shown" or row.detectable is None:
        return ""
    return f"a lift of {figures.size(row.detectable)} would be found"


def _truth(row: LiftRow, truth: Truth, measured: Metric, decimals: int) -> Reference:
    remarks: dict[Coverage, str] = {
        "inside": "inside interval",
        "outside": "outside interval",
        "unknown": _why_unknown(truth),
    }
    return Reference(
        control=figures.value(truth.control, measured.unit),
        treatment=figures.value(truth.treatment, measured.unit),
        lift=figures.percent(truth.lift, decimals),
        remark=remarks[coverage(row, truth)],
    )


def _why_unknown(truth: Truth) -> str:
    if truth.lift is not None:
        return "no interval"
    if truth.control is None or truth.treatment is None:
        return "no outcome kept"
    return "control is 0"


def _published(row: LiftRow, measured: Metric) -> Reference | None:
    for each in PUBLISHED_TABLE_2:
        if (each.surface, each.metric) == (row.surface, row.metric):
            control, treatment = (
                figures.value(value, measured.unit, decimals=1) for value in (each.control, each.treatment)
            )
            return Reference(control, treatment, figures.percent(each.lift, 0), "")
    return None
