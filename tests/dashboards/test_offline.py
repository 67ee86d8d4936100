"""The page Offline, run as Streamlit runs it, on a real database."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ab_platform.documents import Document
from ab_platform.reporting import offline
from ab_platform.storage.store import Store
from tests.dashboards import arms
from tests.dashboards.stored import STARTS_AT
from tests.dashboards.visiting import drawn, html, visit, words
from tests.offline import made

PAGE = "offline"


def test_the_frozen_arms_stand_beside_popularity(stored: Store) -> None:
    arms.launch(stored)
    text = words(visit(PAGE))
    assert "Every arm ranks better than popularity does, whose NDCG@100 is 0.2176." in text
    assert "multi_vae control 0.3843 0.2500 — 1.77 ×" in text
    assert "pia treatment 0.3963 0.2500 — 1.82 ×" in text
    assert "popularity serves where an arm fails 0.2176 0.2500 — 1.00 ×" in text


def test_without_a_comparison_the_page_names_the_command_and_shows_the_rest(stored: Store) -> None:
    arms.launch(stored)
    page = visit(PAGE)
    assert "Nothing was compared yet. abp evaluate popularity multi_vae pia --dataset small trains" in words(page)
    assert "From data to experiment" in words(page)
    assert not page.get("vega_lite_chart")


def test_an_arm_that_is_no_better_than_popularity_is_a_caution(stored: Store) -> None:
    arms.launch(stored, scores={**arms.SCORES, "pia": 0.2})
    page = visit(PAGE)
    assert "pia ranks no better than popularity does (0.2176): see that it was trained long enough" in words(page)
    assert 'class="said caution"' in html(page)


def test_arms_without_scores_and_without_popularity_say_so(stored: Store) -> None:
    arms.launch(stored, scores={}, fallback=False)
    text = words(visit(PAGE))
    assert "No score was stored with these arms" in text
    assert "to popularity" not in text


def test_every_figure_of_the_comparison_is_on_the_page(stored: Store) -> None:
    arms.launch(stored)
    found = arms.write_comparison(stored)
    page = visit(PAGE)
    text = words(page).replace("−", "-")
    verdict, *_ = [each for each in offline.sentences(found) if each.startswith("pia")]
    assert verdict in text
    assert "popularity is worse" not in text  # it is no arm of the experiment; the table has it
    for each in found.of_metric("ndcg_100"):
        assert f"{each.arm} {offline.difference_words(each.paired)} {offline.interval_words(each.paired)}" in text
    for arm in found.arms:
        assert all(offline.figure_words(arm.figure(metric), 4) in text for metric in ("recall_20", "ndcg_100"))
    for group in found.groups:
        assert group.metric != "ndcg_100" or f"{group.mean:.4f}" in text
    assert "pia: default settings; seeds 1, 2, 3, best epoch 3, 3, 3" in text
    assert offline.notes(found)[0] in text


def test_the_chart_of_differences_holds_the_stored_figures(stored: Store) -> None:
    arms.launch(stored)
    found = arms.write_comparison(stored)
    rows = [row for row in drawn(visit(PAGE)) if "arm" in row]
    expected = {each.arm: each.paired.difference for each in found.of_metric("ndcg_100")}
    assert {row["arm"]: row["difference"] for row in rows} == expected


def test_another_metric_is_chosen_by_the_address(stored: Store) -> None:
    arms.launch(stored)
    arms.write_comparison(stored)
    page = visit(PAGE, accuracy="Recall@50")
    assert "Differences from multi_vae in Recall@50" in words(page)
    assert "p (Holm)" not in words(page)
    assert "Recall@50 by a user's interactions" not in words(page)
    page.selectbox(key="accuracy").select("Recall@20").run()
    assert page.query_params["accuracy"] in ("Recall@20", ["Recall@20"])
    assert "Recall@20 by a user's interactions" in words(page)


def test_a_comparison_of_other_settings_or_other_data_is_doubted(stored: Store) -> None:
    arms.launch(stored)
    arms.write_comparison(stored)
    arms.write_comparison(stored, arms.comparison(), name="made")
    text = words(visit(PAGE))
    assert "Its pia is not quite the frozen pia: " in text
    assert "latent 200 (frozen: 100)" in text
    assert "It was made on" not in text
    text = words(visit(PAGE, comparison="made"))
    assert "It was made on made; the arms of this experiment learned from small." in text


def test_the_comparison_on_the_experiments_data_comes_first(stored: Store) -> None:
    arms.launch(stored)
    for name in ("aaa", "small", "small, ablation beta", "zzz"):
        arms.write_comparison(stored, name=name)
    page = visit(PAGE)
    assert page.selectbox(key="comparison").value == "small"


def test_an_arm_by_itself_has_scores_and_no_differences(stored: Store) -> None:
    arms.launch(stored)
    found = arms.comparison()
    alone = replace(found, arms=found.arms[1:2], differences=(), groups=())
    arms.write_comparison(stored, made.renamed(alone, "small"))
    text = words(visit(PAGE))
    assert "Scores on the test users" in text
    assert "Differences from" not in text


def test_training_curves_mark_the_epoch_that_was_kept(stored: Store) -> None:
    arms.launch(stored)
    arms.train(stored)
    arms.tune(stored)
    page = visit(PAGE)
    rows = drawn(page)
    own = [row["ndcg"] for row in rows if row["arm"] == "pia" and row["run"] == "as frozen"]
    assert own == list(arms.CURVE)
    assert {(row["arm"], row["epoch"]) for row in rows if row["kept"] and not row["faint"]} == {
        ("multi_vae", 3),
        ("pia", 3),
    }
    assert {row["run"] for row in rows if row["faint"]} == {"trial 1"}
    assert "Faint lines are trials of abp tune" in words(page)
    assert "pia as frozen 3 4 0.3500 0.3400" in words(page)


def test_compared_arms_have_their_curves_and_popularity_has_none(stored: Store) -> None:
    arms.launch(stored)
    arms.write_comparison(stored)
    assert {(row["arm"], row["run"]) for row in drawn(visit(PAGE), 1)} == {
        (arm, f"seed {seed}") for arm in ("multi_vae", "pia") for seed in (1, 2, 3)
    }


def test_the_way_from_data_to_launch_is_told_with_whole_ids(stored: Store) -> None:
    arms.launch(stored)
    arms.train(stored)
    page = visit(PAGE)
    shown, text = html(page), words(page)
    for whole in (arms.DATA_HASH, arms.CODE_VERSION, "e" * 64, arms.artifact_id("pia")):
        assert f'title="{whole}"' in shown
    for said in (
        "holds 2 interactions, 2 users, 0 titles ingested 2025-03-03 00:00 UTC",
        "recipe of pia, treatment pia settings latent 100 , alignment 0.3 seed 0",
        "NDCG@100 0.3963, validation kept epoch 3 of 4",
        "state running, traffic 50 %",
        "All arms learned from the same interactions",
    ):
        assert said in text


def test_arms_of_different_data_are_told_of(stored: Store) -> None:
    arms.register(stored, "pia", data_hash="f" * 64)
    arms.launch(stored)
    assert "The arms did NOT learn from the same interactions" in words(visit(PAGE))


def test_a_comparison_of_another_version_names_the_command(stored: Store) -> None:
    arms.launch(stored)
    stored.write_document(Document("comparison", "small", STARTS_AT, {"split": {}}))
    assert "comparison 'small' is of another version of the platform" in words(visit(PAGE))


def test_a_link_to_a_comparison_that_is_not_there_says_so(stored: Store) -> None:
    arms.launch(stored)
    arms.write_comparison(stored)
    assert "asks for comparison 'smal', which is not here; did you mean 'small'?" in words(
        visit(PAGE, comparison="smal")
    )


@pytest.mark.usefixtures("stored")
def test_without_an_experiment_the_page_says_how_to_launch_one() -> None:
    assert "no experiment was launched yet; run abp demo" in words(visit(PAGE))
