"""The report for machines: every field of the readout, and the words that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

from ab_platform.metrics import PUBLISHED_TABLE_2
from ab_platform.reporting.printed import PAPER
from ab_platform.reporting.printed_rows import metric_of
from ab_platform.reporting.verdict import coverage, heterogeneity, split_verdict, verdict
from ab_platform.results import LiftRow, LiftView, Readout, SegmentTestRow


def as_json(readout: Readout, *, published: bool = False) -> dict[str, Any]:
    """Turn a readout into plain values, ready for JSON.

    Times are in ISO 8601, lifts are fractions, an absent number is null and its row says the reason.

    Args:
        readout: of one experiment as of one day.
        published: whether the paper's own figures are added.
    """
    document: dict[str, Any] = {
        "experiment": readout.experiment,
        "as_of": readout.as_of,
        "watermark": readout.watermark,
        "truth_known": bool(readout.truths),
        "labels": dict(readout.labels),
        "decisions": [asdict(row) for row in readout.decisions],
        "look": None if readout.look is None else asdict(readout.look),
        "sample_ratios": [asdict(row) | {"verdict": split_verdict(row)} for row in readout.sample_ratios],
        "lifts": [_lift(row, readout) for row in readout.lifts],
        "segments": [asdict(row) for row in readout.segments],
        "segment_tests": [_test(row, readout) for row in readout.segment_tests],
        "checks": [asdict(row) for row in readout.checks],
        "views": [_view(each) for each in readout.views],
    }
    if published:
        document["published"] = {"source": PAPER, "rows": [asdict(row) for row in PUBLISHED_TABLE_2]}
    plain: dict[str, Any] = _plain(document)
    return plain


def _lift(row: LiftRow, readout: Readout) -> dict[str, object]:
    measured = metric_of(readout, row.surface, row.metric)
    truth = readout.truth(row)
    known = None if truth is None else asdict(truth) | {"interval": coverage(row, truth)}
    words = {"label": measured.label, "unit": measured.unit, "increase_is_good": measured.increase_is_good}
    return asdict(row) | words | {"verdict": verdict(row, measured), "truth": known}


def _test(row: SegmentTestRow, readout: Readout) -> dict[str, object]:
    alpha = next((lift.alpha for lift in readout.lifts), None)
    return asdict(row) | {"verdict": "unknown" if alpha is None else heterogeneity(row, alpha)}


def _view(view: LiftView) -> dict[str, object]:
    return {"baseline": view.baseline, "covariates": view.covariates} | asdict(view.row)


def _plain(value: Any) -> Any:
    """Write dates in ISO 8601 and tuples as lists, however deep."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value
