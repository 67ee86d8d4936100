"""The table for machines: every field of the readout, and the words that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

from ab_platform.metrics import PUBLISHED_TABLE_2
from ab_platform.reporting.printed import PAPER
from ab_platform.reporting.verdict import coverage, split_verdict, verdict
from ab_platform.results import LiftRow, Readout


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
        "replayed": bool(readout.truths),
        "labels": dict(readout.labels),
        "lifts": [_lift(row, readout) for row in readout.lifts],
        "sample_ratios": [asdict(row) | {"verdict": split_verdict(row)} for row in readout.sample_ratios],
    }
    if published:
        document["published"] = {"source": PAPER, "rows": [asdict(row) for row in PUBLISHED_TABLE_2]}
    plain: dict[str, Any] = _plain(document)
    return plain


def _lift(row: LiftRow, readout: Readout) -> dict[str, object]:
    truth = readout.truth(row)
    known = None if truth is None else asdict(truth) | {"interval": coverage(row, truth)}
    return asdict(row) | {"verdict": verdict(row), "truth": known}


def _plain(value: Any) -> Any:
    """Write dates in ISO 8601 and tuples as lists, however deep."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value
