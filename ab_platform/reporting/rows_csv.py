"""Every stored figure of an analysis as CSV: what decides, what it would be otherwise, and by segment."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict, fields

from ab_platform.reporting.printed_rows import metric_of
from ab_platform.reporting.verdict import verdict
from ab_platform.reporting.viewing import rule
from ab_platform.results import LiftRow, LiftView, Readout, SegmentRow

OWN = ("kind", "baseline", "covariates", "dimension", "segment")
"""Columns before those of the rows. A `row` is of the table and decides; a `view` and a `segment` do not."""
WORDS = ("label", "unit", "increase_is_good", "verdict")
"""Columns after them, of rows and views."""

Cells = dict[str, object]


def as_csv(readout: Readout) -> str:
    """Write every row, every view and every segment in full precision; what is absent is empty.

    Args:
        readout: of one experiment as of one day.
    """
    names = [*OWN, *(field.name for field in fields(LiftRow)), *WORDS]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_lines(readout))
    return text.getvalue()


def _lines(readout: Readout) -> Iterator[Cells]:
    control = rule(readout).baseline
    for row in readout.lifts:
        yield _row(readout, LiftView(control, row.variance_saved is not None, row), "row")
    for view in readout.views:
        yield _row(readout, view, "view")
    for each in readout.segments:
        yield _segment(each, control)


def _row(readout: Readout, view: LiftView, kind: str) -> Cells:
    measured = metric_of(readout, view.row.surface, view.row.metric)
    words = (measured.label, measured.unit, measured.increase_is_good, verdict(view.row, measured))
    own: Cells = {"kind": kind, "baseline": view.baseline, "covariates": view.covariates}
    return own | _plain(asdict(view.row)) | dict(zip(WORDS, words, strict=True))


def _segment(row: SegmentRow, control: str) -> Cells:
    return {"kind": "segment", "baseline": control} | _plain(asdict(row))


def _plain(cells: Cells) -> Cells:
    """Write a time as ISO 8601; `csv` writes a float with all its digits, and an absent value as nothing."""
    return {name: cell.isoformat() if hasattr(cell, "isoformat") else cell for name, cell in cells.items()}
