"""What a row says in words: one verdict a row, one a split, one an interval against the truth."""

from __future__ import annotations

from typing import Literal

from ab_platform.metrics import metric
from ab_platform.results import LiftRow, SampleRatioRow, Truth

Verdict = Literal["better", "worse", "no difference shown", "unknown"]
SplitVerdict = Literal["trust the split", "ALARM", "unknown"]
Coverage = Literal["inside", "outside", "unknown"]


def verdict(row: LiftRow) -> Verdict:
    """Say what a row shows of the treatment.

    The p-value decides, since it tests the absolute difference and so is there even where a control of zero leaves
    the lift without a number. The sign comes from the two values: a lift is relative to the control's size.
    """
    if row.p_value is None or row.control is None or row.treatment is None:
        return "unknown"
    if row.p_value >= row.alpha or row.treatment == row.control:
        return "no difference shown"
    rose = row.treatment > row.control
    return "better" if rose == metric(row.metric).increase_is_good else "worse"


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
