"""The report as a document of typst: all that is printed is in it, and nothing that comes from outside is markup."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ab_platform.reporting import as_html
from ab_platform.reporting.printed import printed
from ab_platform.reporting.typst_source import Drawing, Paper, source
from ab_platform.reporting.typst_text import call, figure, joined, literal
from ab_platform.reporting.viewing import View
from ab_platform.results import Readout
from tests.golden.make_reports import troubled
from tests.readouts import check_row, readout
from tests.reporting.rich import rich
from tests.reporting.test_formats import nasty

typst = pytest.importorskip("typst", reason="typst is not installed")

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@settings(max_examples=30)
@given(st.lists(words, min_size=1, max_size=20))
def test_a_text_comes_back_from_typst_as_it_was(texts: list[str]) -> None:
    document = "\n".join(f"#metadata({literal(text)}) <said>" for text in texts)
    found = json.loads(typst.query(document.encode(), "<said>", field="value"))
    assert found == texts


def test_what_is_no_character_is_replaced() -> None:
    assert literal("a\ud800b") == '"a\ufffdb"'


def test_a_figure_has_its_sign_set_as_one_and_a_name_keeps_its_hyphen() -> None:
    assert figure("-1.2 to +3.4 %") == '"−1.2 to +3.4 %"'
    assert figure("5-9") == '"5-9"'


def test_calls_are_written_with_their_options_first() -> None:
    assert call("bar", "1%", "none", cut_low="true") == "bar(cut-low: true, 1%, none)"
    assert joined(["a", "b"]) == "{ a; b }"


def strings(document: str) -> str:
    """Return all strings of a document, with their signs as in the other formats."""
    return " ".join(document.replace("−", "-").split('"')[1::2])


@pytest.mark.parametrize("found", [readout(), troubled(), rich()], ids=["calm", "troubled", "rich"])
def test_every_figure_of_the_report_is_in_the_document(found: Readout) -> None:
    page = printed(found, published=True)
    said = strings(source(page))
    for row in (row for section in page.sections for row in section.rows):
        for shown in (row.label, row.control, row.treatment, row.lift, row.interval, row.p_value, row.verdict):
            assert shown in said
        for shown in (row.counts_control, row.counts_treatment, row.reason, *row.notes):
            assert shown in said
    for banner in page.banners:
        assert banner.reason in said
    for each in (each for block in page.blocks for table in block.tables for each in table.segments):
        assert each.interval in said
    for note in (*page.lead, *page.notes):
        assert note in said


@pytest.mark.parametrize("paper", ["pages", "sheet"])
@pytest.mark.parametrize(
    "found", [readout(), troubled(), rich(), nasty(), readout((), ratios=(), truths=())], ids=lambda found: found.as_of
)
def test_the_document_is_set_without_a_warning(found: Readout, paper: Paper) -> None:
    page = printed(found, published=True)
    _, warnings = typst.compile_with_warnings(source(page, paper=paper).encode(), format="svg")
    assert [each.message for each in warnings] == []


def test_a_sheet_has_no_segments_and_a_report_has_the_drawings() -> None:
    square = Drawing("Over time", "A square.", '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    assert "by device" not in source(printed(rich()), paper="sheet")
    document = source(printed(rich()), drawings=[square])
    assert "by device" in document
    assert 'alt: "A square."' in document
    assert typst.compile(document.encode(), format="pdf").startswith(b"%PDF")


def glyphs(text: str) -> list[str]:
    """Return the outlines that a text is drawn with by the report's own font alone."""
    document = f'#set text(font: "Libertinus Serif", fallback: false)\n#{literal(text)}'
    drawn = typst.compile(document.encode(), format="svg", ignore_system_fonts=True).decode()
    return re.findall(r"<symbol[^>]*>(.*?)</symbol>", drawn, re.DOTALL)


def test_every_sign_of_a_report_is_in_the_font_that_comes_with_typst() -> None:
    signs = "−–—×≤≥→…’·±<>%+"
    (box,) = glyphs(chr(0x4E00))
    found = glyphs(signs)
    assert len(found) == len(signs)
    assert box not in found


def test_lifts_that_are_not_to_be_trusted_are_struck_out_and_said_to_be_so() -> None:
    fallen = replace(readout(), checks=(check_row("fallbacks", "unhealthy", told="12 %; at most 5 % may be"),))
    document = source(printed(fallen))
    assert 'doubt: "Do not trust these lifts."' in document
    assert document.index("#believe(") < document.index("#decision(")
    assert "doubted: true" in document
    assert "doubted: true" not in source(printed(readout()))


def test_a_view_says_that_it_decides_nothing() -> None:
    document = source(printed(readout(), view=View(scale="difference")))
    assert "#view(" not in document
    assert "bars of one unit share a scale" in document


def test_the_page_and_the_document_place_their_bars_alike() -> None:
    page, document = as_html(readout()), source(printed(readout()))
    assert 'class="range" style="left:' in page
    left = page.split('class="range" style="left:')[1].split("%")[0]
    assert f"{left}%" in document
