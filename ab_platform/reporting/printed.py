"""The report in words and before any markup: every format lays out the same `Printed`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ab_platform.reporting import figures
from ab_platform.reporting.printed_health import Belief, belief
from ab_platform.reporting.printed_rows import Section, one_line, sections
from ab_platform.reporting.printed_segments import SegmentBlock, segment_blocks
from ab_platform.reporting.printed_split import Split, split
from ab_platform.reporting.verdict import Tone, coverage
from ab_platform.reporting.viewing import AS_DECIDED, View, effect_label, normal, sentence, viewed
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
class Heads:
    """Heads of the columns that depend on how the table is made; `interval` has the interval's level and kind."""

    control: str
    treatment: str
    effect: str
    interval: str


@dataclass(frozen=True)
class Printed:
    """All that a report shows, in order.

    Attributes:
        title: experiment and day.
        lead: who against whom, in sentences.
        belief: whether the lifts may be believed.
        banners: the decision on each treatment.
        split: the checks of the split.
        view: that the table below decides nothing; empty where it is the one that does.
        control: name of the control, or of the baseline that stands in its place.
        heads: of the columns.
        truths: whether the true lifts are shown.
        published: whether the paper's figures are.
        sections: the table.
        blocks: the primary rows by segment.
        notes: sentences beneath it.
    """

    title: str
    lead: tuple[str, ...]
    belief: Belief
    banners: tuple[Banner, ...]
    split: Split
    view: str
    control: str
    heads: Heads
    truths: bool
    published: bool
    sections: tuple[Section, ...]
    blocks: tuple[SegmentBlock, ...]
    notes: tuple[str, ...]

    @property
    def interval_label(self) -> str:
        """Return the head of the intervals."""
        return self.heads.interval

    @property
    def relative(self) -> bool:
        """Whether effects are relative to the control."""
        return self.heads.effect == effect_label("relative")


def printed(readout: Readout, *, published: bool = False, view: View = AS_DECIDED) -> Printed:
    """Put a readout into the words and figures that every format shows.

    Args:
        readout: of one experiment as of one day.
        published: whether the paper's own figures stand beneath each row.
        view: how the table is made; as the experiment's rule says where nothing else is asked for.
    """
    shown, wanted = viewed(readout, view), normal(readout, view)
    control = next(iter(shown.labels), "control")
    beside = published and wanted.baseline is None and view.scale == "relative"
    truths = bool(shown.truths) and view.scale == "relative"
    table, blocks = sections(shown, published=beside, scale=view.scale), segment_blocks(shown)
    return Printed(
        title=f"{readout.experiment}, as of {readout.as_of.isoformat()}",
        lead=_lead(shown, control, wanted, truths=truths),
        belief=belief(readout),
        banners=tuple(_banner(row) for row in readout.decisions),
        split=split(readout),
        view=sentence(readout, view),
        control=control,
        heads=_heads(shown, wanted),
        truths=truths,
        published=beside,
        sections=table,
        blocks=blocks,
        notes=(
            *_found(shown, truths=truths),
            *_made(shown, decides=wanted.decides),
            *_explained(table, blocks),
            *[PUBLISHED_NOTE] * beside,
        ),
    )


def _lead(readout: Readout, control: str, view: View, *, truths: bool) -> tuple[str, ...]:
    treatments = [_arm(name, label) for name, label in readout.labels.items() if name != control]
    part = "control" if view.baseline is None else "baseline"
    against = f"{', '.join(treatments)} against the {part} {_arm(control, readout.labels.get(control, ''))}."
    return (against, TRUTH_KNOWN[readout.truth_from]) if truths else (against,)


def _heads(readout: Readout, view: View) -> Heads:
    control, treatment = ("Control", "Treatment") if view.baseline is None else ("Baseline", "Arm")
    return Heads(control, treatment, effect_label(view.scale), _interval_label(readout))


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


def _found(readout: Readout, *, truths: bool) -> Iterator[str]:
    if not readout.lifts:
        yield "No row was computed: the lifts are unknown."
    if not truths:
        return
    known = [coverage(row, truth) for row in readout.lifts if (truth := readout.truth(row)) is not None]
    placed = len(known) - known.count("unknown")
    if placed:
        yield f"{known.count('inside')} of {placed} intervals hold the true lift."


def _made(readout: Readout, *, decides: bool) -> Iterator[str]:
    """Say how the rows were made; the experiment's own words hold for its own rows alone."""
    yield f"Newest event that counts: {figures.moment(readout.watermark)}."
    methods = ", ".join(dict.fromkeys(row.method for row in readout.lifts)) or "none"
    alphas = ", ".join(dict.fromkeys(f"{row.alpha:g}" for row in readout.lifts)) or "none"
    method = f"Method: {methods}; alpha: {alphas}, two-sided"
    if readout.look is None:
        yield f"{method}, not adjusted for the number of rows."
    else:
        yield f"{method}."
        yield from readout.look.told if decides else ()


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
