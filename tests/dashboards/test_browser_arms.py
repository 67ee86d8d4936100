"""The pages on arms in a real browser: both themes, a desktop and a phone, charts, ids, and choices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from selenium.webdriver.common.by import By

from ab_platform.storage.store import open_store
from tests.dashboards import arms
from tests.dashboards.browser import CHARTS, CHROMEDRIVER, CHROMIUM, Reader, reading, served

pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="chromium or chromium-driver is not installed"),
    pytest.mark.xdist_group("browser"),
]

CHARTS_OF = {"offline": 3, "latent": 7}
NAMES = """Array.from(document.querySelectorAll("[data-testid='stVegaLiteChart'][role='graphics-document']"))
    .map(each => each.getAttribute('aria-label'))"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Read a store with trained, compared and measured arms."""
    home, profile = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("profile")
    with closing(open_store(f"sqlite:///{home / 'abp.db'}", migrate=True)) as store:
        arms.launch(store)
        arms.train(store)
        arms.tune(store)
        arms.write_comparison(store)
        arms.write_latent(store)
    with served(home, home) as address, reading(address, profile) as opened:
        yield opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("module", CHARTS_OF)
def test_charts_and_tables_are_read_at_any_width_and_in_both_themes(
    reader: Reader, module: str, width: int, scheme: str
) -> None:
    reader.open(module, width=width, height=2400, scheme=scheme, wait_for="table.plain")
    assert len(reader.browser.find_elements(By.CSS_SELECTOR, CHARTS)) == CHARTS_OF[module]
    reader.assert_sound()


@pytest.mark.parametrize("module", CHARTS_OF)
def test_every_chart_and_table_is_told_to_who_cannot_see_it(reader: Reader, module: str) -> None:
    reader.open(module, height=2400, wait_for="table.plain")
    told = reader.run(NAMES)
    assert len(told) == CHARTS_OF[module]
    assert all(len(each) > 20 for each in told)
    assert reader.run("Array.from(document.querySelectorAll('table.plain')).every(each => each.ariaLabel)")
    assert reader.run("document.querySelectorAll('table.plain tbody th:not([scope=row])').length") == 0


def test_panels_stand_side_by_side_on_a_desktop_and_one_above_the_other_on_a_phone(reader: Reader) -> None:
    places = """Array.from(document.querySelectorAll(".st-key-panels [data-testid='stVegaLiteChart']"))
        .map(each => each.getBoundingClientRect()).map(each => [each.x, each.y, each.width, each.height])"""
    reader.open("latent", height=2400, wait_for="table.plain")
    in_a_row = f"(boxes => boxes.length === 3 && new Set(boxes.map(each => Math.round(each[1]))).size === 1)({places})"
    reader.wait_until(in_a_row, "the panels do not stand side by side")
    boxes = reader.run(places)
    assert all(abs(width - height) < 12 for _, _, width, height in boxes)
    reader.open("latent", width=390, height=2400, wait_for="table.plain")
    in_a_column = f"new Set({places}.map(each => Math.round(each[0]))).size === 1"
    reader.wait_until(in_a_column, "the panels do not stand one above the other")


def test_the_way_to_the_experiment_goes_right_on_a_desktop_and_down_on_a_phone(reader: Reader) -> None:
    corners = "Array.from(document.querySelectorAll('.lineage .card')).map(each => each.getBoundingClientRect())"
    reader.open("offline", height=2400, wait_for=".lineage")
    goes_right = f"{corners}.slice(0, 3).every((each, place, all) => place === 0 || all[place - 1].x < each.x)"
    reader.wait_until(goes_right, "the cards do not stand side by side")
    reader.open("offline", width=390, height=2400, wait_for=".lineage")
    goes_down = f"{corners}.length === 6 && {corners}.every((each, place, all) => !place || all[place - 1].y < each.y)"
    reader.wait_until(goes_down, "the cards do not stand one below the other")


def test_an_id_is_cut_until_it_is_chosen_and_one_click_selects_the_whole(reader: Reader) -> None:
    reader.open("offline", height=2400, wait_for="code.identity.cut")
    code = reader.browser.find_element(By.CSS_SELECTOR, f"code.identity.cut[title='{arms.DATA_HASH}']")
    assert reader.run("document.querySelector('code.identity.cut').scrollWidth") > code.size["width"]
    reader.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", code)
    reader.click(f"code.identity.cut[title='{arms.DATA_HASH}']")
    assert reader.run("getSelection().toString().trim()") == arms.DATA_HASH


def test_another_metric_stays_in_the_address(reader: Reader) -> None:
    reader.open("offline?accuracy=Recall%4020", height=2400, wait_for="table.plain")
    assert "Differences from multi_vae in Recall@20" in reader.text(".stMainBlockContainer")
    assert "accuracy=Recall%4020" in reader.browser.current_url
    reader.go_to("Latent space")
    reader.go_to("Offline")
    assert "Differences from multi_vae in Recall@20" in reader.text(".stMainBlockContainer")
    reader.assert_sound()


def test_a_mark_says_its_figures_where_the_pointer_rests(reader: Reader) -> None:
    reader.open("offline", height=2400, wait_for="table.plain")
    dots = reader.run("Array.from(document.querySelectorAll('.mark-symbol [aria-label]'), each => each.ariaLabel)")
    assert any("arm: pia" in each and "verdict: better" in each for each in dots)
