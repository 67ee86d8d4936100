"""The charts of the split: what they are drawn from equals the stored rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import altair as alt
import pytest

from ab_platform.reporting.charts.export import as_svg
from ab_platform.reporting.charts.split import LEAST_EVIDENCE, evidence, shares
from ab_platform.results import SampleRatioRow
from tests.readouts import AS_OF, ratio_row


def history(*rows: SampleRatioRow) -> list[SampleRatioRow]:
    """Put rows on days one after another, but for the third day, which was not analysed."""
    days = (0, 1, 3, 4)
    return [replace(row, as_of=AS_OF + timedelta(days=day)) for row, day in zip(rows, days, strict=False)]


CALM, WORSE = ratio_row(counts=(600, 560), p_value=0.24, e_value=0.4), ratio_row(counts=(1300, 1100), p_value=4e-5)
COURSE = history(CALM, CALM, replace(WORSE, e_value=1800.0), replace(WORSE, e_value=1e-6))


def records(chart: alt.LayerChart) -> list[dict[str, Any]]:
    """Return what a chart is drawn from: the data of all its layers."""
    spec = chart.to_dict()
    inline = [part["data"]["values"] for part in (spec, *spec["layer"]) if "values" in part.get("data", {})]
    return [record for values in (*inline, *spec.get("datasets", {}).values()) for record in values]


def test_shares_are_those_of_the_stored_counts_beside_those_of_the_weights() -> None:
    found = [record for record in records(shares(COURSE)) if record.get("share") is not None]
    by_day = {record["Day"]: record for record in found}
    assert len(by_day) == 4
    newest = by_day["2025-03-13"]
    assert newest["share"] == 1100 / 2400
    assert newest["expected"] == 0.5
    assert newest["Users"] == "1,100"
    # What chance leaves of 2,400 users in 999 of 1,000 splits: 3.29 standard deviations of a half.
    assert newest["high"] - 0.5 == pytest.approx(3.2905 * (0.25 / 2400) ** 0.5, rel=1e-4)
    assert newest["low"] + newest["high"] == pytest.approx(1.0)


def test_a_day_that_was_not_analysed_breaks_the_line() -> None:
    for chart, field in ((shares(COURSE), "share"), (evidence(COURSE), "evidence")):
        gaps = [record for record in records(chart) if field in record and record[field] is None]
        assert gaps
        assert {record["at"] for record in gaps} == {gaps[0]["at"]}


def test_evidence_is_the_stored_e_value_and_what_is_tiny_stands_at_the_bottom() -> None:
    found = [record for record in records(evidence(COURSE)) if record.get("evidence") is not None]
    assert {record["evidence"] for record in found} == {0.4, 1800.0, LEAST_EVIDENCE}
    assert {record["e-value"] for record in found} == {"0.4", "1,800", "<0.01"}
    alarms = {record["alarm"] for record in records(evidence(COURSE)) if isinstance(record["alarm"], float)}
    assert alarms == {1000.0}


def test_a_check_without_an_e_value_has_no_mark() -> None:
    old = history(replace(CALM, e_value=None), CALM)
    found = [record for record in records(evidence(old)) if record.get("Day") == "2025-03-09"]
    assert found
    assert all(record["evidence"] is None for record in found)


def test_of_several_arms_each_treatment_has_a_line_and_a_legend() -> None:
    row = replace(ratio_row(), arms=("a", "b", "c"), counts=(100, 110, 120), expected=(165.0, 110.0, 55.0))
    chart = shares(history(row, row))
    found = {record["Arm"]: record["expected"] for record in records(chart) if record.get("expected")}
    assert found == {"b": pytest.approx(1 / 3), "c": pytest.approx(1 / 6)}
    assert '"legend": {"orient": "top"' in chart.to_json(indent=None)


def test_charts_tell_who_cannot_see_them_what_they_show() -> None:
    assert "Share of all users" in shares(COURSE).to_dict()["description"]
    assert "E-value against the split" in evidence(COURSE).to_dict()["description"]


def test_charts_can_be_drawn_as_pictures() -> None:
    for chart in (shares(COURSE), evidence(COURSE)):
        picture = as_svg(chart)
        assert "9 Mar" in picture
        assert "13 Mar" in picture
    assert "alarm from 1,000" in as_svg(evidence(COURSE))
