"""The table as it is printed, in words and before any markup: every format lays out the same `Printed`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ab_platform.events import Surface
from ab_platform.metrics import PUBLISHED_TABLE_2, SURFACE_LABELS, metric
from ab_platform.reporting import figures
from ab_platform.reporting.verdict import Coverage, SplitVerdict, Verdict, coverage, split_verdict, verdict
from ab_platform.results import LiftRow, Readout, SampleRatioRow, Truth

SCOPE_LABELS = {"all": "any surface"} | {str(surface): label for surface, label in SURFACE_LABELS.items()}

PAPER = "Table 2 of arXiv 2511.06781"

REPLAYED = "Visits were replayed, not live, so the true lift is known: every user was replayed under every arm."
PUBLISHED_NOTE = (
    f"Paper: {PAPER}, one week of a live service. Its control was a statistical baseline, "
    "not the control above, so its lifts answer another question."
)
SPLIT_MEANINGS: dict[SplitVerdict, str] = {
    "trust the split": "The arms got the users that their weights promise, within chance.",
    "ALARM": "The arms did not get the users that their weights promise: do not read the lifts before you know why.",
    "unknown": "Whether the arms got the users that their weights promise is not known: read the lifts with care.",
}


@dataclass(frozen=True)
class Reference:
    """Figures that stand beneath a row for comparison."""

    control: str
    treatment: str
    lift: str
    remark: str


@dataclass(frozen=True)
class PrintedRow:
    """One metric of one section.

    Attributes:
        row: what is printed.
        label: of the metric, with its unit.
        control: the metric's value.
        treatment: the same.
        lift: signed, in percent.
        interval: of the lift.
        p_value: of no difference.
        verdict: in a word or three.
        counts_label: names of the two totals that a value is the ratio of.
        counts_control: the totals.
        counts_treatment: the same.
        reason: why a number is absent; empty where none is.
        truth: the true figures of a replay, the remark saying where the interval lies.
        true_lift: as a fraction, where a replay knows it.
        published: the paper's figures, where asked for.
    """

    row: LiftRow
    label: str
    control: str
    treatment: str
    lift: str
    interval: str
    p_value: str
    verdict: Verdict
    counts_label: str
    counts_control: str
    counts_treatment: str
    reason: str
    truth: Reference | None
    true_lift: float | None
    published: Reference | None


@dataclass(frozen=True)
class Section:
    """The rows of one surface and one treatment; `users` are those exposed there, control first."""

    surface: str
    arm: str
    users: tuple[int, int]
    rows: tuple[PrintedRow, ...]


@dataclass(frozen=True)
class Split:
    """A sample-ratio check: where, the verdict, users found and expected with the p-value, and what it means."""

    scope: str
    verdict: SplitVerdict
    figures: str
    meaning: str
    reason: str


@dataclass(frozen=True)
class Printed:
    """All that a report shows, in order.

    Attributes:
        title: experiment and day.
        lead: sentences that have to be read before the figures.
        control: name of the control.
        interval_label: the interval's level.
        splits: sample-ratio checks.
        sections: the table.
        notes: sentences beneath it.
    """

    title: str
    lead: tuple[str, ...]
    control: str
    interval_label: str
    splits: tuple[Split, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...]


def printed(readout: Readout, *, published: bool = False) -> Printed:
    """Put a readout into the words and figures that every format shows.

    Args:
        readout: of one experiment as of one day.
        published: whether the paper's own figures stand beneath each row.
    """
    control = next(iter(readout.labels), "control")
    alpha = readout.lifts[0].alpha if readout.lifts else 0.05
    return Printed(
        title=f"{readout.experiment}, as of {readout.as_of.isoformat()}",
        lead=_lead(readout, control),
        control=control,
        interval_label=figures.interval_label(alpha),
        splits=tuple(_split(row) for row in readout.sample_ratios),
        sections=_sections(readout, published=published),
        notes=tuple(_notes(readout, published=published)),
    )


def _lead(readout: Readout, control: str) -> tuple[str, ...]:
    treatments = [_arm(name, label) for name, label in readout.labels.items() if name != control]
    against = f"{', '.join(treatments)} against the control {_arm(control, readout.labels.get(control, ''))}."
    return (against, REPLAYED) if readout.truths else (against,)


def _arm(name: str, label: str) -> str:
    """Say what an arm is, without saying its name twice."""
    if label.split(" ")[0] == name:
        return label
    return f"{name} ({label})" if label else name


def _notes(readout: Readout, *, published: bool) -> Iterator[str]:
    if not readout.lifts:
        yield "No row was computed: the lifts are unknown."
    if not readout.sample_ratios:
        yield "The sample ratio was not tested: whether to trust the split is unknown."
    if readout.truths:
        found = [coverage(row, truth) for row in readout.lifts if (truth := readout.truth(row)) is not None]
        yield f"{found.count('inside')} of {len(found) - found.count('unknown')} intervals hold the true lift."
    yield f"Newest event that counts: {figures.moment(readout.watermark)}. {_method(readout)}"
    if published:
        yield PUBLISHED_NOTE


def _method(readout: Readout) -> str:
    methods = ", ".join(dict.fromkeys(row.method for row in readout.lifts)) or "none"
    alphas = ", ".join(dict.fromkeys(f"{row.alpha:g}" for row in readout.lifts)) or "none"
    return f"Method: {methods}; alpha: {alphas}, two-sided, not adjusted for the number of rows."


def _sections(readout: Readout, *, published: bool) -> tuple[Section, ...]:
    groups: dict[tuple[Surface, str], list[PrintedRow]] = {}
    for row in readout.lifts:
        printed_row = _row(row, readout.truth(row), published=published)
        groups.setdefault((row.surface, row.arm), []).append(printed_row)
    surfaces = [surface for surface, _ in groups]
    return tuple(_section(groups[key]) for key in sorted(groups, key=lambda key: surfaces.index(key[0])))


def _section(rows: Sequence[PrintedRow]) -> Section:
    first = rows[0].row
    users = (first.users_control, first.users_treatment)
    return Section(SURFACE_LABELS[first.surface], first.arm, users, tuple(rows))


def _row(row: LiftRow, truth: Truth | None, *, published: bool) -> PrintedRow:
    measured = metric(row.metric)
    decimals = figures.lift_decimals(row.lift, row.low, row.high)
    return PrintedRow(
        row=row,
        label=measured.label,
        control=figures.value(row.control, measured.unit),
        treatment=figures.value(row.treatment, measured.unit),
        lift=figures.percent(row.lift, decimals),
        interval=figures.interval(row, decimals),
        p_value=figures.p_value(row.p_value, row.alpha),
        verdict=verdict(row),
        counts_label=figures.counts_label(measured),
        counts_control=figures.counts(row.numerator_control, row.denominator_control),
        counts_treatment=figures.counts(row.numerator_treatment, row.denominator_treatment),
        reason=" ".join((row.reason or "").split()),
        truth=None if truth is None else _truth(row, truth, decimals),
        true_lift=None if truth is None else truth.lift,
        published=_published(row) if published else None,
    )


def _truth(row: LiftRow, truth: Truth, decimals: int) -> Reference:
    unit = metric(row.metric).unit
    remarks: dict[Coverage, str] = {
        "inside": "inside interval",
        "outside": "outside interval",
        "unknown": _why_unknown(truth),
    }
    return Reference(
        control=figures.value(truth.control, unit),
        treatment=figures.value(truth.treatment, unit),
        lift=figures.percent(truth.lift, decimals),
        remark=remarks[coverage(row, truth)],
    )


def _why_unknown(truth: Truth) -> str:
    if truth.control is None or truth.treatment is None:
        return "no outcome kept"
    return "control is 0" if truth.lift is None else "no interval"


def _published(row: LiftRow) -> Reference | None:
    unit = metric(row.metric).unit
    for each in PUBLISHED_TABLE_2:
        if (each.surface, each.metric) == (row.surface, row.metric):
            control, treatment = (figures.value(value, unit, decimals=1) for value in (each.control, each.treatment))
            return Reference(control, treatment, figures.percent(each.lift, 0), "")
    return None


def _split(row: SampleRatioRow) -> Split:
    word = split_verdict(row)
    found = ", ".join(f"{arm} {users:,}" for arm, users in zip(row.arms, row.counts, strict=True))
    promised = [f"{round(users, 1):,.12g}" for users in row.expected]
    expected = f"{promised[0]} each" if len(set(promised)) == 1 else ", ".join(promised)
    return Split(
        scope=SCOPE_LABELS[row.scope],
        verdict=word,
        figures=f"{found}; expected {expected}; {figures.p_clause(figures.p_value(row.p_value, 0.001))}",
        meaning=SPLIT_MEANINGS[word],
        reason=" ".join((row.reason or "").split()),
    )
