"""The page Results in a real browser: served by the command that people use, read as people read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from ab_platform.storage.store import open_store
from tests.dashboards.browser import CHROMEDRIVER, CHROMIUM, PATIENCE_SECONDS, Reader, reading, served
from tests.dashboards.stored import analyse, launch
from tests.golden.make_reports import troubled
from tests.readouts import ROWS, check_row, readout, views_of
from tests.reporting.rich import OWN, rich

pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="chromium or chromium-driver is not installed"),
    pytest.mark.xdist_group("browser"),
]

BACKGROUNDS = {"light": "rgb(253, 252, 250)", "dark": "rgb(21, 23, 27)"}


VIEWED = replace(readout(), views=tuple(view for row in ROWS for view in views_of(row, covariates=True)))
FALLEN = check_row("fallbacks", "unhealthy", scope="pia", value=0.12, told="12 % were made by popularity; 5 % may be")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store a calm experiment, a troubled one, one whose data fell, and one with all that can be asked for."""
    home = tmp_path_factory.mktemp("home")
    with closing(open_store(f"sqlite:///{home / 'abp.db'}", migrate=True)) as store:
        launch(store, buckets=(0, 4000))
        analyse(store, replace(VIEWED, truth_from="replay"))
        launch(store, "troubled", buckets=(4000, 6000))
        analyse(store, troubled(), key="troubled")
        launch(store, "fallen", buckets=(6000, 8000))
        analyse(store, replace(readout(), checks=(FALLEN,)), key="fallen")
        launch(store, "rich", buckets=(8000, 10_000), metrics=(OWN,))
        analyse(store, rich(), key="rich")
    return home


@pytest.fixture(scope="module")
def reader(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Read the store as it is served."""
    profile = tmp_path_factory.mktemp("profile")
    with served(home, home) as address, reading(address, profile) as opened:
        yield opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_table_is_read_at_any_width_and_in_both_themes(reader: Reader, width: int, scheme: str) -> None:
    reader.open("results?experiment=pia-vs-multivae", width=width, scheme=scheme)
    first = reader.text("tr.measured").replace("−", "-")
    for shown in (
        "Play duration per user (s)",
        "41.3",
        "43.2",
        "+4.50 %",
        "+1.21 to +7.91 %",
        "0.007",
        "better",
        "+3.92 %",
    ):
        assert shown in first
    assert reader.run("document.querySelectorAll('tr.measured').length") == 6
    assert "Trust the split of all users" in reader.text(".abp .split")
    assert "Ship" in reader.text(".abp .decision")
    assert reader.run("getComputedStyle(document.querySelector('.stApp')).backgroundColor") == BACKGROUNDS[scheme]
    reader.assert_sound()


def test_ink_turns_with_the_theme(reader: Reader) -> None:
    colours = set()
    for scheme in BACKGROUNDS:
        reader.open("results?experiment=pia-vs-multivae", scheme=scheme)
        colours.add(reader.run("getComputedStyle(document.querySelector('article.abp')).color"))
    assert len(colours) == 2


def test_a_bar_lies_where_its_interval_is(reader: Reader) -> None:
    reader.open("results?experiment=pia-vs-multivae")
    marks = "document.querySelectorAll('tr.primary .bar > *')"
    boxes = reader.run(f"Array.from({marks}, mark => [mark.className, mark.getBoundingClientRect()])")
    places = {name.split()[0]: box for name, box in boxes}
    assert places["zero"]["x"] < places["range"]["x"] < places["lift"]["x"]
    assert places["lift"]["x"] < places["range"]["x"] + places["range"]["width"]
    assert places["range"]["width"] > 20


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_segments_and_guardrails_are_read_at_any_width_and_in_both_themes(
    reader: Reader, width: int, scheme: str
) -> None:
    reader.open("results?experiment=rich", width=width, scheme=scheme)
    assert "Keep running about 3 days left" in reader.text(".abp .decision")
    assert "BREACHED" in reader.text("table.lifts")
    assert "The lift DIFFERS between segments" in reader.text(".abp .segments")
    assert reader.run("document.querySelectorAll('.by-segment').length") == 6
    assert reader.run("document.querySelectorAll('.by-segment tr.one').length") == 20
    reader.assert_sound()


def test_trouble_is_told_in_words_with_every_reason(reader: Reader) -> None:
    reader.open("results?experiment=troubled&published=1")
    assert "ALARM. The arms did not get the users that their weights promise" in reader.text(".abp .split")
    assert "control has 1 user; at least 2 are required" in reader.text("table.lifts")
    assert "in the paper 27.7 74.6 +169 %" in reader.text("tr.paper")
    reader.assert_sound()


def test_the_papers_figures_come_with_one_click(reader: Reader) -> None:
    reader.open("results?experiment=pia-vs-multivae")
    assert reader.browser.find_elements(By.CSS_SELECTOR, "tr.paper") == []
    reader.click(".st-key-published label")
    reader.wait_for("tr.paper")
    assert "published=1" in reader.browser.current_url
    reader.assert_sound()


def test_the_marks_have_names_for_who_cannot_see_them(reader: Reader) -> None:
    reader.open("results?experiment=pia-vs-multivae", width=390)
    names = reader.run("Array.from(document.querySelectorAll('.bar[role=img]'), e => e.getAttribute('aria-label'))")
    assert len(names) == 6
    assert names[0].startswith("Play duration per user (s): lift +4.50 %, interval +1.21 to +7.91 %, better, true lift")
    roles = reader.run("Array.from(document.querySelectorAll('article.abp [role]'), e => e.getAttribute('role'))")
    assert {"table", "row", "rowheader", "columnheader", "cell", "img"} <= set(roles)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_lifts_that_are_not_to_be_trusted_are_seen_not_to_be(reader: Reader, width: int, scheme: str) -> None:
    reader.open("results?experiment=fallen", width=width, scheme=scheme)
    assert "Do not trust these lifts." in reader.text(".abp .belief")
    top = "document.querySelector('.abp .{}').getBoundingClientRect().top"
    assert reader.run(top.format("belief")) < reader.run(top.format("decision")) < reader.run(top.format("doubted"))
    struck = "getComputedStyle(document.querySelector('.doubted td.lift')).textDecorationLine"
    assert reader.run(struck) == "line-through"
    colours = "new Set(Array.from(document.querySelectorAll('.doubted .verdict span'), e => getComputedStyle(e).color))"
    assert reader.run(f"{colours}.size") == 1
    reader.assert_sound()


def test_another_view_comes_with_one_click_and_stays_in_the_address(reader: Reader) -> None:
    reader.open("results?experiment=pia-vs-multivae")
    assert reader.browser.find_elements(By.CSS_SELECTOR, ".abp .view") == []
    reader.click(".st-key-looks-of-pia-vs-multivae [role='radio']:last-of-type")
    reader.wait_for(".abp .view")
    assert "This view decides nothing." in reader.text(".abp .view")
    assert "95 % confidence sequence" in reader.text("table.lifts thead")
    reader.wait_until("location.search.includes('looks=sequential')", "the address did not keep the view")
    reader.assert_sound()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_table_of_differences_fits(reader: Reader, width: int) -> None:
    reader.open("results?experiment=pia-vs-multivae&effect=difference", width=width)
    assert "+1.9 s" in reader.text("tr.measured")
    reader.assert_sound()


def test_a_definition_comes_with_the_keyboard_and_does_not_stick_out(reader: Reader) -> None:
    reader.open("results?experiment=pia-vs-multivae", width=390)
    reader.run("document.querySelector('th.metric .term').focus()")
    shown = "getComputedStyle(document.activeElement, '::after').content"
    assert "Seconds over users exposed" in reader.run(shown)
    reader.assert_sound()


@pytest.mark.parametrize(
    ("ending", "beginning"), [("html", b"<!doctype html>"), ("pdf", b"%PDF-"), ("png", b"\x89PNG"), ("csv", b"kind,")]
)
def test_a_file_is_downloaded(reader: Reader, tmp_path: Path, ending: str, beginning: bytes) -> None:
    folder = {"behavior": "allow", "downloadPath": str(tmp_path)}
    reader.browser.execute_cdp_cmd("Browser.setDownloadBehavior", folder)
    reader.open("results?experiment=pia-vs-multivae&looks=sequential")
    reader.click(".st-key-export button")
    reader.click(f".st-key-export-{ending} button")
    expected = tmp_path / f"pia-vs-multivae-2025-03-09.{ending}"
    WebDriverWait(reader.browser, PATIENCE_SECONDS).until(lambda _: expected.is_file() and expected.stat().st_size)
    assert expected.read_bytes().startswith(beginning)
    reader.assert_sound()
