"""The offline comparison as a person reads it: words, tables, Markdown, and the picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from ab_platform.offline.results import Comparison
from ab_platform.reporting.offline import as_markdown, lead, notes, sentences, tables, trainings
from ab_platform.reporting.offline_picture import as_svg
from tests.offline import fakes, made


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register(monkeypatch)


@pytest.fixture
def found() -> Comparison:
    return made.comparison({"up": 0.03, "same": 0.0, "down": -0.03})


def test_the_lead_says_who_was_trained_on_and_who_judges(found: Comparison) -> None:
    assert lead(found) == (
        "made: made by a test. Strong generalisation: 2 users trained on, 40 choose the epoch, 40 judge; 300 titles, "
        "2 training interactions."
    )


def test_each_arm_but_the_control_has_its_sentence(found: Comparison) -> None:
    up, same, down = sentences(found)
    assert up.startswith("up is better than control in NDCG@100 (+0.03")
    assert up.endswith("corrected p < 0.001). Uncorrected: Recall@20 better, Recall@50 better.")
    assert same.startswith("same: no difference from control in NDCG@100 is shown (")
    assert down.startswith("down is worse than control in NDCG@100 (-0.0")


def test_tables_are_whole_and_their_figures_those_of_the_comparison(found: Comparison) -> None:
    scores, differences, recall, ndcg = tables(found)
    assert all(len(row) == len(table.columns) for table in tables(found) for row in table.rows)
    figure = found.arm("up").figure("recall_20")
    assert scores.rows[1][:2] == ("up", f"{figure.mean:.4f} ±{figure.spread:.4f}")
    first = found.differences[0].paired
    interval = f"{first.low:+.4f} to {first.high:+.4f}"
    assert differences.rows[0][:4] == ("up", "Recall@20", f"{first.difference:+.4f}", interval)
    assert differences.rows[2][-2:] == ("<0.001", "better")
    assert (recall.columns[3], ndcg.columns[3]) == ("Recall@20", "NDCG@100")
    assert recall.rows[0][:3] == ("0-4", "10", "control")
    assert recall.rows[0][4:] == ("—", "—")


def test_one_seed_has_no_spread_and_its_intervals_say_what_they_do_not_cover() -> None:
    found = made.comparison({"up": 0.03}, seeds=(4,))
    assert "±" not in "".join(cell for row in tables(found)[0].rows for cell in row)
    assert "95 % intervals over users, and not another seed" in notes(found)[-1]


def test_two_seeds_are_called_few_and_three_are_not(found: Comparison) -> None:
    two = made.comparison({"up": 0.03}, seeds=(1, 2))
    assert any(note.startswith("Two seeds are few") for note in notes(two))
    assert not any(note.startswith("Two seeds are few") for note in notes(found))
    assert "95 % intervals over users and seeds" in notes(found)[-1]


def test_how_an_arm_was_trained_is_told(found: Comparison) -> None:
    assert trainings(found)[0] == (
        "control (noisy): noise 0.5; seeds 1, 2, 3, best epoch 6, 7, 8; validation NDCG@100 0.2500; 2.0 s a training"
    )


def test_the_section_has_every_table_and_links_the_picture(found: Comparison) -> None:
    text = as_markdown(made.renamed(found, "my_data"), picture="offline.svg")
    assert text.startswith("## my\\_data: arms offline\n\n")
    assert "![Differences from control](offline.svg)" in text
    lines = text.splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == sum(1 + len(table.rows) for table in tables(found))
    assert sum(line.startswith("|---") for line in lines) == 4


def test_an_arm_by_itself_has_scores_and_no_differences() -> None:
    text = as_markdown(made.comparison({}))
    assert "Scores on the test users" in text
    assert "Differences" not in text


def test_the_picture_has_a_mark_and_an_interval_for_each_difference(found: Comparison) -> None:
    root = ET.fromstring(as_svg(found))
    space = "{http://www.w3.org/2000/svg}"
    marks = root.findall(f"{space}circle")
    assert len(marks) == 9
    by_color = [mark.get("fill") for mark in marks]
    assert by_color == ["#009e73", "#fff", "#d55e00"] * 3
    texts = ["".join(each.itertext()) for each in root.findall(f"{space}text")]
    assert texts.count("same") == 3
    assert [text for text in texts if "@" in text] == ["NDCG@100", "Recall@20", "Recall@50"]
    zero = next(float(each.get("x") or 0) for each in root.findall(f"{space}text") if each.text == "0")
    up, _, down = (float(mark.get("cx") or 0) for mark in marks[:3])
    assert down < zero < up


def test_an_arm_that_is_far_off_is_cut_with_an_arrow_and_its_figures_stay() -> None:
    root = ET.fromstring(as_svg(made.comparison({"near": 0.002, "nearer": 0.001, "far": -0.3})))
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}path")) == 3
    assert len(root.findall(f"{space}circle")) == 6
    assert any("−0.3" in (each.text or "") for each in root.findall(f"{space}text"))


def test_names_in_the_picture_are_escaped() -> None:
    assert "a&lt;b" in as_svg(made.comparison({"a<b": 0.1}))
