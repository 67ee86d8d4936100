"""Charts of arms hold what was found, and every mark is told apart without colours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import altair as alt
import pytest

from ab_platform.reporting.charts import differences, drift, plane, training
from ab_platform.reporting.charts.training import Curve
from tests.offline import fakes, made
from tests.reporting.latent_made import FINDINGS, some_plane

CURVES = (
    Curve("multi_vae", "as frozen", (0.2, 0.3, 0.25), 2),
    Curve("pia", "trial 1", (0.1, 0.2), 2, faint=True),
    Curve("pia", "as frozen", (0.3,), 1),
)


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register(monkeypatch)


def drawn(chart: alt.LayerChart) -> list[dict[str, Any]]:
    """Return the records of all layers, each once."""
    spec = chart.to_dict()
    return [row for data in spec["datasets"].values() for row in data]


def encodings(chart: alt.LayerChart, channel: str) -> Iterator[dict[str, Any]]:
    for layer in chart.to_dict()["layer"]:
        if channel in layer.get("encoding", {}):
            yield layer["encoding"][channel]


def test_differences_are_those_of_the_comparison_and_share_a_zero_line() -> None:
    found = made.comparison({"up": 0.03, "same": 0.0, "down": -0.03})
    chart = differences.differences(found, "recall_20")
    rows = {row["arm"]: row for row in drawn(chart) if "arm" in row}
    for each in found.of_metric("recall_20"):
        row, paired = rows[each.arm], each.paired
        assert (row["difference"], row["low"], row["high"]) == (paired.difference, paired.low, paired.high)
        assert (row["verdict"], row["p"]) == (each.verdict, "not corrected")
    assert [row for row in drawn(chart) if "arm" not in row] == [{"zero": 0.0}]
    assert len({mark.form for mark in differences.marks()}) == 3
    assert "up +0.0" in chart.to_dict()["description"]


def test_an_arm_that_is_far_off_is_cut_and_its_figures_stay() -> None:
    found = made.comparison({"near": 0.002, "nearer": 0.001, "far": -0.3})
    chart = differences.differences(found, "ndcg_100")
    row = next(row for row in drawn(chart) if row.get("arm") == "far")
    low, _ = next(each["scale"]["domain"] for each in encodings(chart, "x") if "scale" in each)
    assert row["cut_low"]
    assert row["beyond"] == "low"
    assert row["low"] == low > row["difference"]
    assert row["shown"].startswith("−0.29")


def test_an_arm_without_an_interval_has_a_dot_and_no_range() -> None:
    found = made.comparison({"up": 0.03})
    bare = replace(found.differences[0].paired, low=None, high=None)
    alone = replace(found, differences=(replace(found.differences[0], paired=bare),))
    (row,) = (row for row in drawn(differences.differences(alone, "recall_20")) if "arm" in row)
    assert row["low"] == row["high"] == row["difference"]


def test_a_curve_has_a_point_an_epoch_and_marks_what_was_kept() -> None:
    chart = training.training(CURVES)
    rows = drawn(chart)
    assert [(row["epoch"], row["ndcg"]) for row in rows if row["curve"] == 0] == [(1, 0.2), (2, 0.3), (3, 0.25)]
    assert [(row["curve"], row["epoch"]) for row in rows if row["kept"]] == [(0, 2), (1, 2), (2, 1)]
    assert [(row["curve"], row["epoch"]) for row in rows if row["last"]] == [(0, 3), (1, 2), (2, 1)]
    assert "multi_vae, as frozen: 0.3000 at epoch 2 of 3" in chart.to_dict()["description"]
    assert "trial" not in chart.to_dict()["description"]
    assert [mark.words for mark in training.marks(CURVES)] == ["multi_vae", "pia"]


def test_a_panel_has_a_mark_a_mask_and_one_scale_for_both_axes() -> None:
    found = some_plane(anchored=True)
    panel = found.panels[1]
    chart = plane.panel(panel, found.cohorts)
    rows = drawn(chart)
    masks, crosses = ([row for row in rows if ("middle_x" in row) is joined] for joined in (True, False))
    assert (len(masks), len(crosses)) == (5 * 6, 6)
    one = [row for row in masks if row["user"] == 1]
    assert one[0]["middle_x"] == pytest.approx(sum(row["x"] for row in one) / 5)
    domains = [tuple(each["scale"]["domain"]) for channel in ("x", "y") for each in encodings(chart, channel)]
    assert len(set(domains)) == 1
    assert all(domains[0][0] < end < domains[0][1] for row in rows for end in (row["x"], row["y"]))
    assert [mark.form for mark in plane.marks(found)] == ["circle", "square", "triangle-up", "line", "cross"]
    assert "cross" not in [mark.form for mark in plane.marks(some_plane())]


def test_users_on_one_point_are_a_panel_too() -> None:
    still = replace(some_plane().panels[0], points=(((0.0, 0.0),) * 6,))
    chart = plane.panel(still, some_plane().cohorts)
    low, high = next(encodings(chart, "x"))["scale"]["domain"]
    assert low < 0.0 < high


def test_bars_are_the_findings_and_a_bar_of_nothing_says_so() -> None:
    control, treatment = FINDINGS.arms
    still = replace(FINDINGS, arms=(replace(control, geometry=_without_drift(control.geometry)), treatment))
    rows = drawn(drift.variances(still))
    assert {(row["arm"], row["group"]): row["figure"] for row in rows} == {
        ("multi_vae", "5-10"): "0",
        ("multi_vae", "100+"): "0",
        ("pia", "5-10"): "",
        ("pia", "100+"): "",
    }
    apart = {(row["arm"], row["group"]): row["value"] for row in drawn(drift.distances(FINDINGS))}
    assert apart["multi_vae", "near inputs"] == control.geometry.near.low
    assert apart["multi_vae", "far inputs"] == control.geometry.far.low
    shares = {(row["arm"], row["group"]): row["value"] for row in drawn(drift.sharing(FINDINGS))}
    assert shares["pia", "helped, far"] == 100 * treatment.geometry.far.helped


def _without_drift(geometry: Any) -> Any:
    return replace(geometry, groups=tuple(replace(group, variance=0.0) for group in geometry.groups))


def test_bars_of_nothing_are_still_a_chart() -> None:
    control = FINDINGS.arms[0]
    still = replace(FINDINGS, arms=(replace(control, geometry=_without_drift(control.geometry)),))
    assert {row["value"] for row in drawn(drift.variances(still))} == {0.0}


def test_what_alignment_contracts_stands_beside_what_is_predicted() -> None:
    (found,) = FINDINGS.contractions
    rows = drawn(drift.contractions(FINDINGS))
    values = {(row["ratio"], row["kind"]): row["value"] for row in rows if "ratio" in row}
    assert values["variance", "measured"] == found.variance_ratio
    assert values["variance", "bound"] == found.tau_bound**2
    assert values["distance", drift.KINDS[1]] == found.tau_before
    assert values["variance of spread", "measured"] == found.relative_ratio
    assert len({mark.form for mark in drift.contraction_marks()}) == 4


def test_several_contractions_are_told_apart_by_their_arms() -> None:
    (found,) = FINDINGS.contractions
    both = replace(FINDINGS, contractions=(found, replace(found, arm="other", relative_ratio=None)))
    ratios = {row["ratio"] for row in drawn(drift.contractions(both)) if "ratio" in row}
    assert {"pia: variance", "other: variance", "pia: variance of spread"} <= ratios
    assert "other: variance of spread" not in ratios


@pytest.mark.parametrize(
    "chart",
    [
        training.training(CURVES),
        drift.variances(FINDINGS),
        drift.distances(FINDINGS),
        drift.sharing(FINDINGS),
        drift.contractions(FINDINGS),
        plane.panel(some_plane().panels[0], some_plane().cohorts),
    ],
    ids=["training", "variances", "distances", "sharing", "contractions", "panel"],
)
def test_every_chart_is_valid_and_tells_itself_in_words(chart: alt.LayerChart) -> None:
    spec = chart.to_dict()  # checks it against the schema of Vega-Lite
    assert len(spec["description"]) > 20
    assert any("tooltip" in layer.get("encoding", {}) for layer in spec["layer"])
