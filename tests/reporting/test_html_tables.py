"""Small tables, legends, and the way from data to an experiment, as HTML that is safe and can be read by ear."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from ab_platform.experiment import Arm, DataRule, Experiment
from ab_platform.lineage import Artifact, Launch, Recipe
from ab_platform.reporting import frozen, html_key, html_tables, latent_html, lineage, offline_html
from ab_platform.reporting.html_key import Mark
from ab_platform.reporting.html_tables import Cell, Column
from ab_platform.reporting.latent import tables
from ab_platform.reporting.lineage import Origins
from ab_platform.training_log import Training
from tests.offline import fakes, made
from tests.reporting.latent_made import FINDINGS, some_plane

NOW = datetime(2025, 3, 3, tzinfo=UTC)


class Reader(HTMLParser):
    """Checks that what is opened is closed, and keeps the tags."""

    VOID = ("br", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def text(shown: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", shown).split())


def origins(**artifacts: Artifact) -> Origins:
    arms = (
        Arm("control", "multi_vae", 0.5, control=True),
        Arm("challenger", "pia", 0.5, config={"alignment": 0.3}),
    )
    launch = Launch(
        Experiment("one", DataRule("small"), arms),
        {arm.name: arm.name for arm in arms},
        "stopped",
        0.25,
        NOW,
        NOW,
        NOW + timedelta(days=7),
        stopped_at=NOW + timedelta(days=3),
    )
    return Origins(launch, None, artifacts, {"b": Training(7, 9, 0.4, 1.0, "cpu", "float32", {})})


def artifact(artifact_id: str, ndcg: float | None = 0.4, data_hash: str = "hash of the data") -> Artifact:
    recipe = Recipe("pia", {"alignment": 0.3, "keep": 0.5}, 5, "small", data_hash, "version of the code")
    return Artifact(artifact_id, recipe, {} if ndcg is None else {frozen.MAIN: ndcg}, NOW)


BOTH = origins(control=artifact("a", 0.3), challenger=artifact("b", 0.4))


def test_a_table_names_itself_its_columns_and_its_rows() -> None:
    shown = html_tables.table(
        "Of arms", [Column("arm", words=True), Column("NDCG", "what it is", "of users")], [(Cell("pia"), Cell("-0.5"))]
    )
    Reader(shown)
    assert 'role="table" aria-label="Of arms"' in shown
    assert '<th role="rowheader" scope="row" class="name">pia</th>' in shown
    assert '<abbr title="what it is">NDCG</abbr><small>of users</small>' in shown
    assert 'data-label="NDCG, of users">−0.5</td>' in shown


def test_a_verdict_has_its_class_and_a_note_its_line() -> None:
    columns = [Column("arm"), Column("verdict", words=True, wide=True)]
    shown = html_tables.table("t", columns, [(Cell("a"), Cell("better", "by 1", tone="better"))], across=2)
    assert '<span class="tone better">better</span><small>by 1</small>' in shown
    assert 'class="words wide"' in shown
    assert "--across:2" in shown


def test_a_row_with_too_few_cells_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        html_tables.table("t", [Column("a"), Column("b"), Column("c")], [(Cell("1"), Cell("2"))])


@pytest.mark.parametrize(
    "shown",
    [
        html_tables.table("<b>", [Column("<b>", "<b>"), Column("x")], [(Cell("<b>", "<b>"), Cell("<b>", tone="no"))]),
        html_key.key([Mark("<b>", "#fff", "circle")]),
        lineage.identity("<b>"),
        offline_html.section("<b>", told="<b>"),
        offline_html.listed(["<b>"]),
    ],
)
def test_a_name_does_not_become_a_tag(shown: str) -> None:
    assert "b" not in Reader(shown).tags
    assert "&lt;b&gt;" in shown


def test_a_legend_has_every_mark_in_its_form_and_colour() -> None:
    shown = html_key.key([Mark("better", "#16907a", "triangle-up"), Mark("worse", "#cc5f1c", "triangle-down")])
    Reader(shown)
    assert '<span class="mark triangle-up" style="--mark:#16907a"></span>better' in shown
    assert shown.count("<li>") == 2


def test_every_form_of_a_mark_has_its_rule() -> None:
    rules = html_tables.stylesheet()
    for form in (
        "circle",
        "triangle-up",
        "triangle-down",
        "triangle-left",
        "triangle-right",
        "diamond",
        "cross",
        "line",
    ):
        assert f".key .{form} " in rules


def test_the_way_to_an_experiment_has_a_card_a_step_and_a_row_an_arm() -> None:
    shown = lineage.tree(BOTH)
    Reader(shown)
    assert shown.count('class="way"') == 2
    assert re.findall(r'aria-label="([^"]+)"', shown) == [
        "From data to experiment",
        "data set: small",
        "recipe of control, control: multi_vae",
        "artifact: control",
        "recipe of challenger, treatment: pia",
        "artifact: challenger",
        "experiment: one",
    ]
    told = text(shown)
    assert "ingested not here any more" in told
    assert "settings defaults seed 5" in told
    assert 'title="all of them: alignment 0.3, keep 0.5"' in shown
    assert "kept epoch 7 of 9" in told
    assert "stopped, traffic 25 %" in told
    assert "stopped 2025-03-06 00:00 UTC" in told


def test_an_arm_whose_artifact_is_not_known_has_no_row() -> None:
    assert lineage.tree(origins(control=artifact("a"))).count('class="way"') == 1


def test_whether_arms_learned_from_the_same_data_is_said() -> None:
    assert lineage.same_data(BOTH).startswith("All arms learned from the same interactions")
    other = origins(control=artifact("a"), challenger=artifact("b", data_hash="other"))
    assert "did NOT learn from the same" in lineage.same_data(other)
    assert lineage.same_data(origins()) == ""


def test_frozen_arms_are_beside_popularity_or_say_why_not() -> None:
    popular = artifact("p", 0.2)
    assert "challenger treatment, pia 0.4000 — — 2.00 ×" in text(frozen.scores(BOTH, popular))
    assert "to popularity" not in frozen.scores(BOTH, None)
    assert frozen.remark(BOTH, popular)[0] == "better"
    tone, words = frozen.remark(BOTH, artifact("p", 0.3))
    assert (tone, words.split(":")[0]) == ("caution", "control ranks no better than popularity does (0.3000)")
    assert "No popularity was frozen" in frozen.remark(BOTH, None)[1]
    unscored = origins(control=artifact("a", None), challenger=artifact("b", None))
    assert "No score was stored" in frozen.remark(unscored, popular)[1]


def test_a_group_is_coloured_only_where_its_interval_leaves_out_0(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register(monkeypatch)
    found = made.comparison({"up": 0.1, "same": 0.0})
    shown = offline_html.by_group(found, "recall_20")
    Reader(shown)
    rows = {name: row for name, row in re.findall(r'class="name">(\w+)(.*?)</tr>', shown)}  # noqa: C416
    assert rows["up"].count('class="tone better"') == 4
    assert "tone" not in rows["same"]
    assert "tone" not in rows["control"]
    assert "10 users" in shown


def test_latent_findings_are_said_and_a_collapse_is_warned_of() -> None:
    (found,) = FINDINGS.contractions
    assert len(latent_html.sentences(FINDINGS)) == 3
    broken = replace(FINDINGS, contractions=(replace(found, variance_ratio=0.99, relative_ratio=None),))
    contracted, predicted, _ = latent_html.sentences(broken)
    assert contracted == "pia: the variance of a user's mean across masks is 0.99 times that of multi_vae."
    assert "NOT kept by pia" in predicted
    assert list(latent_html.collapsed(FINDINGS)) == []
    control, treatment = FINDINGS.arms
    assert treatment.geometry.anchors is not None
    fallen = replace(treatment.geometry, active=9, anchors=replace(treatment.geometry.anchors, spread=0.0))
    warned = list(latent_html.collapsed(replace(FINDINGS, arms=(control, replace(treatment, geometry=fallen)))))
    assert warned[0].startswith("pia uses 9 of its 200 latent dimensions")
    assert warned[1].startswith("The anchors of pia lie on one point")


def test_without_any_sharing_radius_the_sentence_says_no_pair() -> None:
    bare = tuple(
        replace(arm, geometry=replace(arm.geometry, near=replace(arm.geometry.near, room=0.0))) for arm in FINDINGS.arms
    )
    assert latent_html.sentences(replace(FINDINGS, arms=bare))[-1].startswith("No pair of users has a sharing radius")


def test_latent_tables_have_their_sentences_beneath() -> None:
    for each in tables(FINDINGS):
        shown = latent_html.laid_out(each, "ml-1m")
        Reader(shown)
        assert shown.count("<li>") == len(each.told)
    assert latent_html.of_panel(some_plane().panels[0]) == ("one mark a user", "nearest other user has as many: 86 %")
