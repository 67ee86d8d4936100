"""The dashboard in a real browser: served by the command that people use, read as people read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from selenium.webdriver.common.by import By

from ab_platform.storage.store import open_store
from tests.dashboards.browser import CHROMEDRIVER, CHROMIUM, Reader, reading, served
from tests.dashboards.stored import analyse, launch, replay
from tests.golden.make_reports import troubled
from tests.readouts import readout
from tests.reporting.rich import OWN, rich

pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="chromium or chromium-driver is not installed"),
    pytest.mark.xdist_group("browser"),
]

BACKGROUNDS = {"light": "rgb(253, 252, 250)", "dark": "rgb(21, 23, 27)"}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Read a store with a calm and a troubled experiment."""
    home, profile = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("profile")
    with closing(open_store(f"sqlite:///{home / 'abp.db'}", migrate=True)) as store:
        launch(store, buckets=(0, 5000))
        analyse(store, readout())
        replay(store)
        launch(store, "troubled", buckets=(5000, 8000))
        analyse(store, troubled(), key="troubled")
        launch(store, "rich", buckets=(8000, 10_000), metrics=(OWN,))
        analyse(store, rich(), key="rich")
    with served(home, home) as address, reading(address, profile) as opened:
        yield opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_table_is_read_at_any_width_and_in_both_themes(reader: Reader, width: int, scheme: str) -> None:
    reader.open("?experiment=pia-vs-multivae", width=width, scheme=scheme)
    first = reader.text("tr.measured").replace("−", "-")
    for shown in (
        "Play duration per user (s)",
        "41.3",
        "43.2",
        "+4.50 %",
        "+1.21 to +7.91 %",
        "0.007",
        "better",
        "+5.00 %",
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
        reader.open("?experiment=pia-vs-multivae", scheme=scheme)
        colours.add(reader.run("getComputedStyle(document.querySelector('article.abp')).color"))
    assert len(colours) == 2


def test_a_bar_lies_where_its_interval_is(reader: Reader) -> None:
    reader.open("?experiment=pia-vs-multivae")
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
    reader.open("?experiment=rich", width=width, scheme=scheme)
    assert "Keep running about 3 days left" in reader.text(".abp .decision")
    assert "BREACHED" in reader.text("table.lifts")
    assert "The lift DIFFERS between segments" in reader.text(".abp .segments")
    assert reader.run("document.querySelectorAll('.by-segment').length") == 6
    assert reader.run("document.querySelectorAll('.by-segment tr.one').length") == 20
    reader.assert_sound()


def test_trouble_is_told_in_words_with_every_reason(reader: Reader) -> None:
    reader.open("?experiment=troubled&published=1")
    assert "ALARM. The arms did not get the users that their weights promise" in reader.text(".abp .split")
    assert "control has 1 user; at least 2 are required" in reader.text("article.abp")
    assert "in the paper 27.7 74.6 +169 %" in reader.text("tr.paper")
    reader.assert_sound()


def test_the_papers_figures_come_with_one_click(reader: Reader) -> None:
    reader.open("?experiment=pia-vs-multivae")
    assert reader.browser.find_elements(By.CSS_SELECTOR, "tr.paper") == []
    reader.wait_for(".st-key-published label")
    reader.browser.find_element(By.CSS_SELECTOR, ".st-key-published label").click()
    reader.wait_for("tr.paper")
    assert "published=1" in reader.browser.current_url
    reader.assert_sound()


def test_the_marks_have_names_for_who_cannot_see_them(reader: Reader) -> None:
    reader.open("?experiment=pia-vs-multivae", width=390)
    names = reader.run("Array.from(document.querySelectorAll('.bar[role=img]'), e => e.getAttribute('aria-label'))")
    assert len(names) == 6
    assert names[0].startswith("Play duration per user (s): lift +4.50 %, interval +1.21 to +7.91 %, better, true lift")
    roles = reader.run("Array.from(document.querySelectorAll('article.abp [role]'), e => e.getAttribute('role'))")
    assert {"table", "row", "rowheader", "columnheader", "cell", "img"} <= set(roles)
