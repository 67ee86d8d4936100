"""The report in words and before any markup: every format lays out the same `Printed`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ab_platform.reporting import figures
from ab_platform.reporting.printed_rows import Section, one_line, sections
from ab_platform.reporting.printed_segments import SegmentBlock, segment_blocks
from ab_platform.reporting.printed_split import Split, split
from ab_platform.reporting.verdict import Tone, coverage
from ab_platform.results import DecisionRow, Readout, TruthSource
from ab_platform.statistics.decision import Outcome

PAPER = "Table 2 of arXiv 2511.06781"
PUBLISHED_NOTE = (
    f"Paper: {PAPER}, one week of a live service. Its control was a statistical baseline, "
    "not the control above, so its lifts answer another question."
)
TRUTH_KNOWN: dict[TruthSource | None, str] = {
    "replay": "Visits were replayed, not live, so the true lift is known: every user was replayed under every arm.",
    "simulation": "Visits are simulated, not live: the true lift is known by construction.",
    None: "The true lift is known.",
}
DETECTABLE_NOTE = (
    "Would be found: the smallest lift, either way, that a look like this one finds with the planned power."
)
SAVED_NOTE = (
    "CUPED saved: the share of the difference's variance that the covariates took away. The values of such a row are "
    "adjusted for them, so they are not the plain ratio of its totals."
)
SEGMENT_NOTE = (
    "Segments: their intervals are not adjusted for their number; whether lifts differ is for the test between them to "
    "say."
)
GUARDRAIL_NOTE = "Guardrails: the p-value tests the margin, not a lift of 0."

OUTCOME_TONES: dict[Outcome, Tone] = {
    "ship": "better",
    "roll back": "worse",
    "unhealthy": "worse",
    "keep running": "no",
    "neutral": "no",
    "not enough data": "unknown",
}


@dataclass(frozen=True)
class Banner:
    """What to do about one treatment.

    Attributes:
        arm: the treatment.
        outcome: in capitals.
        days_left: such as `about 3 days left`; empty where that cannot be said.
        reason: why.
        tone: whether it is good news.
    """

    arm: str
    outcome: str
    days_left: str
    reason: str
    tone: Tone


@dataclass(frozen=True)
class Printed:
    """All that a report shows, in order.

    Attributes:
        title: experiment and day.
        lead: who against whom, in sentences.
        banners: the decision on each treatment.
        split: the checks of the split.
        control: name of the control.
        interval_label: the interval's level and kind.
        sections: the table.
        blocks: the primary rows by segment.
        notes: sentences beneath it.
    """

    title: str
    lead: tuple[str, ...]
    banners: tuple[Banner, ...]
    split: Split
    control: str
    interval_label: str
    sections: tuple[Section, ...]
    blocks: tuple[SegmentBlock, ...]
    notes: tuple[str, ...]


def printed(readout: Readout, *, published: bool = False) -> Printed:
    """Put a readout into the words and figures that every format shows.

    Args:
        readout: of one experiment as of one day.
        published: whether the paper's own figures stand beneath each row.
    """
    control = next(iter(readout.labels), "control")
    table, blocks = sections(readout, published=published), segment_blocks(readout)
    return Printed(
        title=f"{readout.experiment}, as of {readout.as_of.isoformat()}",
        lead=_lead(readout, control),
        banners=tuple(_banner(row) for row in readout.decisions),
        split=split(readout),
        control=control,
        interval_label=_interval_label(readout),
        sections=table,
        blocks=blocks,
        notes=(*_found(readout), *_made(readout), *_explained(table, blocks), *[PUBLISHED_NOTE] * published),
    )


def _lead(readout: Readout, control: str) -> tuple[str, ...]:
    treatments = [_arm(name, label) for name, label in readout.labels.items() if name != control]
    against = f"{', '.join(treatments)} against the control {_arm(control, readout.labels.get(control, ''))}."
    return (against, TRUTH_KNOWN[readout.truth_from]) if readout.truths else (against,)


def _arm(name: str, label: str) -> str:
    """Say what an arm is, without saying its name twice."""
    if label.split(" ")[0] == name:
        return label
    return f"{name} ({label})" if label else name


def _banner(row: DecisionRow) -> Banner:
    days_left = _days_left(row.days_left)
    reason = one_line(row.reason)
    if days_left:
        reason = reason.replace(f"; {days_left}", "")  # it is said once, where it is seen first
    return Banner(row.arm, row.outcome.upper(), days_left, f"{reason.rstrip('.')}.", OUTCOME_TONES[row.outcome])


def _days_left(days: float | None) -> str:
    if days is None:
        return ""
    return "about 1 day left" if round(days) == 1 else f"about {days:.0f} days left"


def _interval_label(readout: Readout) -> str:
    first = next(iter(readout.lifts), None)
    return figures.interval_label(0.05) if first is None else figures.interval_label(first.alpha, first.monitoring)


def _found(readout: Readout) -> Iterator[str]:
    if not readout.lifts:
        yield "No row was computed: the lifts are unknown."
    known = [coverage(row, truth) for row in readout.lifts if (truth := readout.truth(row)) is not None]
    placed = len(known) - known.count("unknown")
    if placed:
        yield f"{known.count('inside')} of {placed} intervals hold the true lift."


def _made(readout: Readout) -> Iterator[str]:
    """Say how the rows were made."""
    yield f"Newest event that counts: {figures.moment(readout.watermark)}."
    methods = ", ".join(dict.fromkeys(row.method for row in readout.lifts)) or "none"
    alphas = ", ".join(dict.fromkeys(f"{row.alpha:g}" for row in readout.lifts)) or "none"
    method = f"Method: {methods}; alpha: {alphas}, two-sided"
    if readout.look is None:
        yield f"{method}, not adjusted for the number of rows."
    else:
        yield f"{method}."
        yield from readout.look.told


def _explained(table: Sequence[Section], blocks: Sequence[SegmentBlock]) -> Iterator[str]:
    """Explain those words of the rows that are not plain."""
    rows = [row for section in table for row in section.rows]
    if any(row.level for row in rows):
        yield (
            "A level beside an interval is its own: adjusted like the p-value, it leaves out 0 exactly when p is below "
            "alpha."
        )
    for note, used in (
        (GUARDRAIL_NOTE, any(row.row.role == "guardrail" for row in rows)),
        (DETECTABLE_NOTE, any(row.detectable for row in rows)),
        (SAVED_NOTE, any(row.saved for row in rows)),
        (SEGMENT_NOTE, any(table.found is not None for block in blocks for table in block.tables)),
    ):
        if used:
            yield note
