"""Every page in a real browser: both themes, a desktop and a phone, links, and figures that come by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from ab_platform.reporting.charts.split import EVIDENCE_DESCRIPTION, SHARES_DESCRIPTION
from ab_platform.storage.store import open_store
from dashboards.app import HOME, SECTIONS
from tests.dashboards.browser import CHROMEDRIVER, CHROMIUM, PAGE, Reader, reading, served
from tests.dashboards.stored import analyse
from tests.dashboards.world import CALM, CHECKS, RICH, SEVERAL, TROUBLED, WAITING, make
from tests.readouts import readout

pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="chromium or chromium-driver is not installed"),
    pytest.mark.xdist_group("browser"),
]

MODULES = [module for members in SECTIONS.values() for module, _ in members]
TITLES = {title: module for members in SECTIONS.values() for module, title in members}
OF_AN_EXPERIMENT = ("Results", "Health", "Over time", "Segments")

BACKGROUNDS = {"light": "rgb(253, 252, 250)", "dark": "rgb(21, 23, 27)"}
INK = "getComputedStyle(document.querySelector('.stMainBlockContainer h1')).color"
BACKGROUND = "getComputedStyle(document.querySelector('.stApp')).backgroundColor"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with all that a page may meet."""
    folder = tmp_path_factory.mktemp("home")
    make(folder)
    return folder


@pytest.fixture(scope="module")
def reader(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Read the home's dashboard, which looks for newer figures every few seconds."""
    with (
        served(home, home, ABP_DASHBOARD_REFRESH_SECONDS="4") as address,
        reading(address, tmp_path_factory.mktemp("profile")) as opened,
    ):
        opened.open("", wait_for=PAGE)
        yield opened


def address(module: str, experiment: str = CALM) -> str:
    return f"{'' if module == HOME else module}?experiment={experiment}"


def test_the_first_that_a_fresh_server_is_asked_for_may_be_any_page(home: Path, tmp_path: Path) -> None:
    with served(home, tmp_path) as at, reading(at, tmp_path / "profile") as first:
        first.open(address("health"))
        assert first.text(".stMainBlockContainer h1") == f"Health: {CALM}"
        first.assert_sound()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("module", MODULES)
def test_every_page_is_sound_at_any_width_and_in_both_themes(
    reader: Reader, module: str, width: int, scheme: str
) -> None:
    reader.open(address(module), width=width, scheme=scheme, wait_for=PAGE)
    reader.assert_sound()
    assert reader.run("document.querySelectorAll('.stMainBlockContainer h1').length") == 1
    assert reader.run(BACKGROUND) == BACKGROUNDS[scheme]
    assert reader.run("Array.from(document.querySelectorAll('img')).every(each => each.naturalWidth > 0)")


@pytest.mark.parametrize("experiment", [TROUBLED, RICH, SEVERAL, WAITING])
@pytest.mark.parametrize("title", OF_AN_EXPERIMENT)
def test_every_kind_of_experiment_is_sound_on_a_phone(reader: Reader, title: str, experiment: str) -> None:
    reader.open(address(TITLES[title], experiment), width=390, wait_for=PAGE)
    reader.assert_sound()
    assert experiment in reader.text(".stMainBlockContainer")


def test_ink_turns_with_the_theme(reader: Reader) -> None:
    colours = set()
    for scheme in BACKGROUNDS:
        reader.open(address("health"), scheme=scheme)
        colours.add(reader.run(INK))
    assert len(colours) == 2


def test_the_navigation_is_beside_the_page_on_a_desktop_and_closed_on_a_phone(reader: Reader) -> None:
    reader.open(address("health"))
    beside = reader.run("document.querySelector('[data-testid=stSidebar]').getBoundingClientRect().right")
    assert 180 <= beside <= 240
    reader.open(address("health"), width=390)
    assert reader.run("document.querySelector('[data-testid=stSidebar]').getBoundingClientRect().right") <= 0
    reader.go_to("Results")
    assert CALM in reader.text(".stMainBlockContainer h1")


def test_what_was_chosen_stays_chosen_from_page_to_page(reader: Reader) -> None:
    reader.open(address("results", TROUBLED))
    for title in ("Health", "Over time", "Segments", "Results"):
        reader.go_to(title)
        reader.wait_until(f"location.search.includes('experiment={TROUBLED}')", f"{title} forgot the experiment")
        assert TROUBLED in reader.text(".stMainBlockContainer")
        reader.assert_sound()


def test_the_address_leads_back_to_the_same_figures(reader: Reader) -> None:
    reader.open(address("health") + "&as_of=2025-03-05")
    assert "As of 2025-03-05" in reader.text(".fresh")
    reader.go_to("Results")
    reader.go_to("Health")
    shown = reader.browser.current_url
    assert "as_of=2025-03-05" in shown
    reader.open(shown.removeprefix(reader.address))
    assert "As of 2025-03-05" in reader.text(".fresh")


@pytest.mark.parametrize("module", ["results", "health"])
def test_a_new_analysis_appears_by_itself(reader: Reader, home: Path, module: str) -> None:
    reader.open(address(module))
    reader.run("window.stayed = true")
    with closing(open_store(f"sqlite:///{home / 'abp.db'}", migrate=False)) as store:
        newest = max(store.as_ofs(CALM)) + timedelta(days=1)  # whatever other tests have added before
        assert newest.isoformat() not in reader.text(".stMainBlockContainer")
        analyse(store, replace(readout(), checks=CHECKS), key=CALM, as_of=newest)
    reader.wait_until(
        f"document.querySelector('.fresh').textContent.includes('As of {newest}')", "the new analysis did not appear"
    )
    assert reader.run("window.stayed") is True
    reader.assert_sound()


def test_a_page_is_read_by_keyboard_and_by_ear(reader: Reader) -> None:
    reader.open(address("health"))
    unnamed = "Array.from(document.querySelectorAll('.stMain table')).filter(each => !each.ariaLabel).length"
    assert reader.run(unnamed) == 0
    heads = reader.browser.find_elements(By.CSS_SELECTOR, ".abp table thead th")
    assert heads
    assert all(head.get_attribute("scope") == "col" for head in heads)
    said = "Array.from(document.querySelectorAll('[data-testid=stVegaLiteChart]')).map(each => each.ariaLabel)"
    assert reader.run(said) == [SHARES_DESCRIPTION, EVIDENCE_DESCRIPTION]
