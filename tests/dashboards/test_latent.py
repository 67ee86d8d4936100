"""The page Latent space, run as Streamlit runs it, on a real database."""

from __future__ import annotations

import pytest

from ab_platform.latent_findings import LatentSpaces
from ab_platform.reporting import latent
from ab_platform.storage.store import Store
from tests.dashboards import arms
from tests.dashboards.visiting import drawn, html, visit, words

PAGE = "latent"


@pytest.mark.usefixtures("stored")
def test_without_findings_the_page_names_the_command() -> None:
    assert "nobody looked into the latent spaces yet; run abp geometry multi_vae pia" in words(visit(PAGE))


def test_findings_are_shown_without_any_experiment(stored: Store) -> None:
    arms.write_latent(stored)
    text = words(visit(PAGE))
    assert "Latent space: small" in text
    assert "pia: pia0000000000000 , frozen in no experiment" in text


def test_the_arm_that_an_experiment_serves_is_named(stored: Store) -> None:
    arms.launch(stored)
    arms.write_latent(stored)
    assert "pia: pia0000000000000 , frozen in pia-vs-multivae" in words(visit(PAGE))


def test_what_was_found_is_said_with_its_figures(stored: Store) -> None:
    arms.write_latent(stored)
    text = words(visit(PAGE))
    for said in (
        "pia: the variance of a user's mean across masks is 0.234 times that of multi_vae; beside the spread of the "
        "users, 1.55 times, so masks move them further.",
        "Proposition 3.2 predicts 0.114 with the curvature before alignment and 0.445 with that after it; its bound of "
        "0.94 is kept by pia.",
        "At most 30 % of pairs of users have a sharing radius above 0 as computed here, while a small step on one "
        "helps the other in 80 % of pairs with near inputs and in 19 % of those with far ones.",
    ):
        assert said in text


def test_every_table_is_on_the_page(stored: Store) -> None:
    found = arms.write_latent(stored)
    page = visit(PAGE)
    text, folded = words(page).replace("−", "-"), [each.label for each in page.expander]
    for table in latent.tables(found.findings):
        assert table.title in folded
        for row in table.rows:
            assert " ".join(map(latent.shown, row)) in text


def test_each_condition_is_a_panel_with_the_stored_places(stored: Store) -> None:
    found = arms.write_latent(stored)
    page = visit(PAGE)
    for number, panel in enumerate(found.plane.panels):
        places = [(row["x"], row["y"]) for row in drawn(page, number) if "middle_x" in row]
        assert sorted(places) == sorted(place for mask in panel.points for place in mask)
        crosses = [(row["x"], row["y"]) for row in drawn(page, number) if "middle_x" not in row]
        assert sorted(crosses) == sorted(panel.centroids or ())
    assert "nearest mark is the same user's: 94 %" in words(page)
    assert "mean of a user's anchors" in words(page)


def test_the_drift_figures_hold_the_stored_values(stored: Store) -> None:
    found: LatentSpaces = arms.write_latent(stored)
    page = visit(PAGE)
    charts = len(found.plane.panels)
    drift = {(row["arm"], row["group"]): row["value"] for row in drawn(page, charts)}
    assert drift == {
        (arm.arm, group.group): group.variance for arm in found.findings.arms for group in arm.geometry.groups
    }
    shares = {(row["arm"], row["group"]): row["value"] for row in drawn(page, charts + 2)}
    assert shares["pia", "radius > 0, near"] == 100 * found.findings.arms[1].geometry.near.room
    measured = {row["ratio"]: row["value"] for row in drawn(page, charts + 3) if row.get("kind") == "measured"}
    (contraction,) = found.findings.contractions
    assert measured == {
        "variance": contraction.variance_ratio,
        "distance": contraction.distance_ratio,
        "variance of spread": contraction.relative_ratio,
    }


def test_the_data_set_is_chosen_by_the_address(stored: Store) -> None:
    arms.launch(stored)
    for name in ("other", "small"):
        arms.write_latent(stored, name=name)
    assert visit(PAGE).selectbox(key="geometry").value == "small"
    page = visit(PAGE, geometry="other")
    assert "Latent space: other" in words(page)
    assert "Across masks, other" in html(page)
