"""What a row says in words: one verdict a row, one a split, one an interval against the truth."""

from __future__ import annotations

from typing import Literal

from ab_platform.metrics import Metric
from ab_platform.reporting import figures
from ab_platform.results import LiftRow, SampleRatioRow, SegmentTestRow, Truth

Guarded = Literal["shown", "not shown", "BREACHED"]
Verdict = Literal["better", "worse", "no difference shown", "unknown"] | Guarded
Tone = Literal["better", "worse", "no", "unknown"]
SplitVerdict = Literal["trust the split", "ALARM", "unknown"]
Coverage = Literal["inside", "outside", "unknown"]
Heterogeneity = Literal["differs", "no difference shown", "unknown"]

TONES: dict[Verdict, Tone] = {
    "better": "better",
    "shown": "better",
    "worse": "worse",
    "BREACHED": "worse",
    "no difference shown": "no",
    "not shown": "no",
    "unknown": "unknown",
}


def verdict(row: LiftRow, measured: Metric) -> Verdict:
    """Say what a row shows of the treatment.

    The p-value decides, since it tests the absolute difference and so is there even where a control of zero leaves
    the lift without a number. The sign comes from the two values: a lift is relative to the control's size.

    Args:
        row: of the table.
        measured: its metric.
    """
    if row.role == "guardrail":
        return _guarded(row, measured)
    if row.p_value is None or row.control is None or row.treatment is None:
        return "unknown"
    if row.p_value >= row.alpha or row.treatment == row.control:
        return "no difference shown"
    rose = row.treatment > row.control
    return "better" if rose == measured.increase_is_good else "worse"


def _guarded(row: LiftRow, measured: Metric) -> Verdict:
    """Say on which side of its margin a guardrail is; its p-value tests the margin."""
    if row.p_value is None or row.lift is None:
        return "unknown"
    if row.p_value >= row.alpha or row.lift == row.null_lift:
        return "not shown"
    above = row.lift > row.null_lift
    return "shown" if above == measured.increase_is_good else "BREACHED"


def sentence(row: LiftRow, word: Verdict) -> str:
    """Say a verdict as the table prints it; a guardrail's with the margin that it is about."""
    return f"not worse than {figures.margin(row.null_lift)}: {word}" if row.role == "guardrail" else word


def split_verdict(row: SampleRatioRow) -> SplitVerdict:
    """Say whether the arms got the users they should have; an unknown split is never a sound one."""
    if row.alarm:
        return "ALARM"
    return "unknown" if row.p_value is None else "trust the split"


def coverage(row: LiftRow, truth: Truth) -> Coverage:
    """Say where the true lift lies with respect to the row's interval."""
    if row.low is None or row.high is None or truth.lift is None:
        return "unknown"
    return "inside" if row.low <= truth.lift <= row.high else "outside"


def heterogeneity(test: SegmentTestRow, alpha: float) -> Heterogeneity:
    """Say whether the lift differs between segments."""
    if test.p_value is None:
        return "unknown"
    return "differs" if test.p_value < alpha else "no difference shown"
