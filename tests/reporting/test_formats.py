"""Every format shows the same figures, every reason, and no markup from a name."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_platform.reporting import as_html, as_json, as_latex, as_markdown, as_text, latex, markdown
from ab_platform.results import Readout
from tests.golden.make_reports import GOLDEN, reports, troubled
from tests.readouts import DECISION, ROWS, absent, lift_row, ratio_row, readout
from tests.reporting.plain import FORMATS, Format, plain
from tests.reporting.rich import rich, segment_test

NASTY = "a_b & 100 % <b>#1</b> $x$ {y} ~ ^ | `c` *d* \\e \"f\" 'g'"


@pytest.mark.parametrize("name", sorted(reports()))
def test_a_report_is_the_one_that_was_read_and_kept(name: str) -> None:
    assert reports()[name] == (GOLDEN / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_shows_every_figure_of_a_row(form: Format) -> None:
    text = plain(form(readout(), published=True))
    for shown in ("Home Card", "Play duration per user (s)", "41.3", "43.2", "+4.50 %", "+1.21 to +7.91 %", "0.007"):
        assert shown in text
    for shown in ("better", "worse", "no difference shown", "95 % interval", "pia 2,988", "multi_vae 3,012"):
        assert shown in text
    for shown in ("2025-03-09", "2025-03-09 23:58 UTC", "fieller", "alpha: 0.05", "trust the split", "p = 0.757"):
        assert shown.lower() in text.lower()
    for shown in ("27.7", "74.6", "+169 %", "statistical baseline", "a lift of 4.5 % would be found"):
        assert shown in text


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_says_that_the_truth_is_known_and_what_it_is(form: Format) -> None:
    text = plain(form(readout()))
    assert "The true lift is known." in text
    assert "+3.92 %" in text
    assert "outside interval" in text
    assert "5 of 6 intervals hold the true lift." in text


@pytest.mark.parametrize("form", FORMATS)
def test_a_live_experiment_has_no_word_of_replay_or_of_the_paper(form: Format) -> None:
    text = plain(form(readout(truths=())))
    assert not re.search(r"replayed|true lift|\bpaper\b", text, re.IGNORECASE)


def test_truths_without_an_interval_to_hold_them_are_not_counted() -> None:
    text = plain(as_text(readout((absent(ROWS[0], "control has 1 user"),))))
    assert "hold the true lift" not in text


reasons = st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), min_size=1, max_size=200).filter(
    lambda reason: reason.strip() != ""
)


@given(reasons, reasons)
def test_every_format_shows_every_reason_and_no_number_in_its_place(of_row: str, of_split: str) -> None:
    unknown = replace(ratio_row("home_card", p_value=None), reason=of_split)
    found = readout((absent(ROWS[0], of_row),), ratios=(unknown,), truths=())
    escapes: dict[Format, Callable[[str], str]] = {
        as_text: lambda text: text,
        as_markdown: markdown.escape,
        as_latex: latex.escape,
    }
    for form, escaped in escapes.items():
        folded = "".join(form(found).split())
        for reason in (of_row, of_split):
            assert "".join(escaped(" ".join(reason.split())).split()) in folded
    shown = "".join(unescape(as_html(found)).split())
    assert "".join(of_row.split()) in shown
    assert "".join(of_split.split()) in shown
    assert as_json(found)["lifts"][0]["reason"] == of_row


@pytest.mark.parametrize("form", FORMATS)
def test_an_absent_row_has_no_zero_in_it(form: Format) -> None:
    row = replace(absent(ROWS[0], "control has one user"), numerator_control=7, numerator_treatment=7)
    line = next(line for line in form(readout((row,), truths=())).splitlines() if "Play duration" in line)
    assert "unknown" in line
    assert not re.search(r"(?<![\d,.])0(\.0+)?(?![\d.])\s*(%|<)", line)


def nasty() -> Readout:
    rows = (lift_row(arm=NASTY), absent(lift_row(metric="click_rate_per_view", arm=NASTY), NASTY))
    ratio = replace(ratio_row(), arms=("multi_vae", NASTY), alarm=True, reason=NASTY)
    small = replace(ratio_row(NASTY, p_value=None), reason=NASTY)
    primary = replace(lift_row(arm=NASTY), role="primary")
    segment = replace(rich().segments[0], arm=NASTY, dimension=NASTY, segment=NASTY, reason=NASTY)
    test = replace(segment_test("play_duration", "device", None, NASTY), arm=NASTY, dimension=NASTY)
    found = readout(
        (primary, *rows[1:]),
        ratios=(ratio, small),
        truths=(),
        labels=(("multi_vae", NASTY), (NASTY, "")),
        decisions=(replace(DECISION, arm=NASTY, reason=NASTY),),
    )
    return replace(found, experiment=NASTY, segments=(segment,), segment_tests=(test,))


class Tags(HTMLParser):
    """Counts tags, and remembers what was left open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_names_do_not_become_tags_and_every_tag_is_closed() -> None:
    page = as_html(nasty(), published=True)
    found = Tags()
    found.feed(page)
    assert found.open == []
    assert {"table", "thead", "tbody", "article"} <= found.seen
    assert "<b>#1</b>" not in page
    assert page.count("&lt;b&gt;#1&lt;/b&gt;") >= 5


def test_names_do_not_become_columns_of_a_markdown_table() -> None:
    lines = [line for line in as_markdown(nasty(), published=True).splitlines() if line.startswith("|")]
    columns = [len(re.findall(r"(?<!\\)\|", line)) for line in lines]
    assert len(lines) == 4 + 3
    assert len(set(columns[:4])) == len(set(columns[4:])) == 1


@given(st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126)))
def test_latex_escapes_leave_no_special_character_alone(text: str) -> None:
    commands = r"\\(textbackslash|textasciicircum|textasciitilde|textless|textgreater)\{\}|\\[{}$&#%_]|\{\\char34\}"
    assert not re.search(r'[\\{}$&#%_^~<>"]', re.sub(commands, "", latex.escape(text)))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("found", [troubled(), nasty(), rich()], ids=["troubled", "nasty", "rich"])
def test_the_latex_compiles(found: Readout, tmp_path: Path) -> None:
    head = r"\documentclass{article}\usepackage{array,booktabs}\begin{document}"
    source = f"{head}\n{as_latex(found, published=True)}\n\\end{{document}}\n"
    (tmp_path / "report.tex").write_text(source, encoding="utf-8")
    run = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_the_json_is_the_readout_with_its_words() -> None:
    document = json.loads(json.dumps(as_json(troubled(), published=True), allow_nan=False))
    first, third = document["lifts"][0], document["lifts"][2]
    assert (first["lift"], first["verdict"], first["truth"]["interval"]) == (0.0450, "better", "inside")
    assert (third["lift"], third["verdict"]) == (None, "unknown")
    assert third["reason"] == "control has 1 user; at least 2 are required"
    assert document["as_of"] == "2025-03-09"
    assert document["watermark"] == "2025-03-09T23:58:12+00:00"
    assert document["truth_known"] is True
    assert document["decisions"][0]["outcome"] == "unhealthy"
    assert [split["verdict"] for split in document["sample_ratios"]] == ["trust the split", "ALARM", "unknown"]
    assert len(document["published"]["rows"]) == 6
    assert "published" not in as_json(readout())


def test_the_json_has_every_row_segment_and_test() -> None:
    document = json.loads(json.dumps(as_json(rich()), allow_nan=False))
    assert len(document["lifts"]) == len(rich().lifts)
    assert len(document["segments"]) == len(rich().segments) == 30
    assert [test["verdict"] for test in document["segment_tests"]] == [
        "no difference shown",
        "differs",
        "no difference shown",
        "unknown",
        "no difference shown",
    ]
    guard = next(row for row in document["lifts"] if row["metric"] == "fallback_rate")
    assert (guard["verdict"], guard["null_lift"], guard["increase_is_good"]) == ("BREACHED", 0.1, False)
    assert document["look"]["mixed_users"] == 12
    assert document["sample_ratios"][0]["e_value"] == 0.23


@pytest.mark.parametrize("width", [80, 93, 94, 100, 140])
@pytest.mark.parametrize("found", [troubled(), rich()], ids=["troubled", "rich"])
def test_the_text_keeps_to_its_width(found: Readout, width: int) -> None:
    longest = max(len(line) for line in as_text(found, published=True, width=width).splitlines())
    assert longest <= width


def test_every_treatment_has_its_rows() -> None:
    two = tuple(lift_row(metric=row.metric, arm=arm) for arm in ("pia", "rec_vae") for row in ROWS[:3])
    labels = (("multi_vae", "multi_vae"), ("pia", "pia"), ("rec_vae", "rec_vae"))
    text = as_text(readout(two, truths=(), labels=labels))
    assert "pia, rec_vae against the control multi_vae." in text
    assert "Home Card: pia 2,988 users" in text
    assert "Home Card: rec_vae 2,988 users" in text
    assert as_html(readout(two, truths=(), labels=labels)).count('class="measured"') == 6


def test_a_readout_without_rows_or_checks_says_that_they_are_unknown() -> None:
    for form in FORMATS:
        text = plain(form(readout((), ratios=(), truths=())))
        assert "the lifts are unknown" in text
        assert "whether to trust the split is unknown" in text
        assert "trust the split of" not in text.lower()


def test_the_page_stands_by_itself() -> None:
    page = as_html(readout())
    assert not re.search(r"(?:src|href)=|url\(|@import", page)
    assert "color-scheme: light dark" in page
