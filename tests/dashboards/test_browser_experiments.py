"""The list of all experiments, the door and the acts, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from ab_platform.access import mint
from ab_platform.storage.store import Store, open_store
from tests.dashboards.browser import CHROMEDRIVER, CHROMIUM, Reader, reading, served
from tests.dashboards.stored import STARTS_AT
from tests.dashboards.world import CALM, make

pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="chromium or chromium-driver is not installed"),
    pytest.mark.xdist_group("browser"),
]

LIST, RESULTS = ".abp.overview table", "article.abp table"
DIALOG = "[role='dialog']"
TOKEN, OPERATORS = mint("ada", ["read", "admin"], at=STARTS_AT, secret=b"browser".ljust(32, b"."))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with calm and troubled experiments, one of several arms, and two to act on."""
    folder = tmp_path_factory.mktemp("home")
    make(folder)
    with closing(open_store(url_of(folder), migrate=False)) as store:
        for key in ("to-stop", "to-ramp", "long-gone"):
            like = store.experiment(CALM)
            store.launch(replace(like, experiment=replace(like.experiment, key=key, layer=f"layer-of-{key}", salt=key)))
        store.stop("long-gone", at=datetime(2025, 3, 6, tzinfo=UTC), reason="it was slow")
        store.add_token(TOKEN)
    return folder


@pytest.fixture(scope="module")
def reader(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Read as who started the dashboard does."""
    profile = tmp_path_factory.mktemp("profile")
    with served(home, home) as address, reading(address, profile) as opened:
        yield opened


@contextmanager
def stored(home: Path) -> Iterator[Store]:
    with closing(open_store(url_of(home), migrate=False)) as store:
        yield store


def url_of(home: Path) -> str:
    return f"sqlite:///{home / 'abp.db'}"


def found(reader: Reader, selector: str) -> list[WebElement]:
    return reader.browser.find_elements(By.CSS_SELECTOR, selector)


def fill(reader: Reader, label: str, *keys: str) -> None:
    """Type into the field of the open dialog that has a label."""
    reader.type(f"{DIALOG} input[aria-label='{label}']", *keys)


def press(reader: Reader, selector: str) -> None:
    reader.wait_for(selector)
    reader.wait_until(f"!document.querySelector({selector!r}).disabled", f"{selector} stayed disabled")
    reader.click(selector)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_list_is_read_at_any_width_and_in_both_themes(reader: Reader, width: int, scheme: str) -> None:
    reader.open("", width=width, scheme=scheme, wait_for=LIST)
    text = reader.text(LIST).replace("−", "-")
    for shown in (
        "pia-vs-multivae Item anchors make slates that people play for longer. pia against multi_vae",
        "+4.50 %",
        "+1.21 to +7.91 %",
        "unhealthy",
        "Not analysed yet; run abp analyze not-analysed",
        "Stopped ",
    ):
        assert shown in text
    reader.assert_sound()


def test_a_lift_by_day_is_drawn_where_its_figures_are(reader: Reader) -> None:
    reader.open(f"?search={CALM}", wait_for=LIST)
    parts = (
        "Array.from(document.querySelector('.spark').children, each => [each.className, each.getBoundingClientRect()])"
    )
    places = dict(reader.run(parts))
    assert places["dot"]["y"] < places["zero"]["y"]  # a gain lies above zero
    assert places["dot"]["x"] > places["trace"]["x"] + 0.9 * places["trace"]["width"]
    assert places["trace"]["width"] > 80


def test_marks_and_cells_have_names_for_who_cannot_see_them(reader: Reader) -> None:
    reader.open("", width=390, wait_for=LIST)
    names = reader.run("Array.from(document.querySelectorAll('.spark'), each => each.getAttribute('aria-label'))")
    assert any(name.startswith("Lift of pia by day: ") and "+4.50 % as of 2025-03-09" in name for name in names)
    roles = reader.run("Array.from(document.querySelectorAll('.overview [role]'), each => each.getAttribute('role'))")
    assert {"table", "row", "rowheader", "columnheader", "cell", "img"} <= set(roles)


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_an_experiment_leads_to_its_results_without_loading_the_page_anew(reader: Reader, by: str) -> None:
    reader.open("", wait_for=LIST)
    reader.run("(window.kept = true)")
    link = reader.browser.find_element(By.LINK_TEXT, CALM)
    if by == "mouse":
        link.click()
    else:
        link.send_keys(Keys.ENTER)
    reader.settle(RESULTS)
    assert f"/results?experiment={CALM}" in reader.browser.current_url
    assert CALM in reader.text("article.abp h1")
    assert reader.run("window.kept") is True
    reader.assert_sound()


def test_a_search_is_kept_in_the_address(reader: Reader) -> None:
    reader.open("", wait_for=LIST)
    reader.type("input[aria-label='Search']", "long-gone", Keys.ENTER)
    reader.wait_until("document.querySelectorAll('.overview tr.entry').length === 1", "the list did not get shorter")
    assert "search=long-gone" in reader.browser.current_url
    reader.open("?search=long-gone", wait_for=LIST)
    assert len(found(reader, ".overview tr.entry")) == 1


def test_a_stop_is_asked_confirmed_and_written_down(reader: Reader, home: Path) -> None:
    reader.open("results?experiment=to-stop", wait_for=".st-key-stop-to-stop button")
    press(reader, ".st-key-stop-to-stop button")
    reader.wait_for(DIALOG)
    assert "This cannot be undone." in reader.text(DIALOG)
    press(reader, ".st-key-stop-for-good button")
    reader.wait_for(f"{DIALOG} [role='alert'].remark")
    assert "to stop it, type to-stop. Nothing was done" in reader.text(DIALOG)
    fill(reader, "Why, for the change log", "the arms are too slow")
    fill(reader, "Type to-stop to confirm", "to-stop")
    press(reader, ".st-key-stop-for-good button")
    reader.wait_for(".remark[role='status']")
    assert "to-stop is stopped." in reader.text(".remark[role='status']")
    assert found(reader, DIALOG) == []
    assert found(reader, ".st-key-stop-to-stop button") == []
    with stored(home) as store:
        assert store.experiment("to-stop").state == "stopped"
        assert store.changes("to-stop")[-1].reason == f"by {getuser()} on the dashboard: the arms are too slow"
    reader.click("[data-testid='stExpander'] summary")
    told = f"Stopped by {getuser()} on the dashboard: the arms are too slow"
    unfolded = f"document.querySelector('.changes ol')?.innerText.replace(/\\s+/g, ' ').includes({told!r})"
    reader.wait_until(unfolded, "the change log does not say who stopped it")
    reader.assert_sound()


def test_a_ramp_is_asked_on_the_list_of_all(reader: Reader, home: Path) -> None:
    reader.open("", width=390, wait_for=".st-key-act button")
    press(reader, ".st-key-act button")
    fill(reader, "Running experiment", "to-ramp", Keys.ENTER)
    fill(reader, "Share of its users who are in, %", Keys.CONTROL, "a")
    fill(reader, "Share of its users who are in, %", "25")
    fill(reader, "Why, for the change log", "a day to look")
    reader.click(f"{DIALOG} .stFormSubmitButton button")
    reader.wait_for(".remark[role='status']")
    assert "to-ramp has a traffic of 25 %." in reader.text(".remark[role='status']")
    with stored(home) as store:
        assert store.experiment("to-ramp").traffic == 0.25
    reader.assert_sound()


def test_who_signs_in_comes_to_where_the_link_led_and_stays_signed_in(
    home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, profile = tmp_path_factory.mktemp("server"), tmp_path_factory.mktemp("profile")
    with served(home, folder, ABP_DASHBOARD_SIGN_IN="token") as address, reading(address, profile) as reader:
        field = "input[aria-label='Token']"
        for width, scheme in ((390, "dark"), (1280, "light")):
            reader.open(f"results?experiment={CALM}", width=width, scheme=scheme, wait_for=field)
            assert found(reader, "[data-testid='stSidebarNav'] a") == []
            reader.assert_sound()
        reader.type(field, OPERATORS, Keys.ENTER)
        reader.settle(RESULTS)
        assert CALM in reader.text("article.abp h1")
        reader.browser.find_element(By.LINK_TEXT, "Experiments").click()
        reader.settle(LIST)
        reader.browser.find_element(By.LINK_TEXT, CALM).click()
        reader.settle(RESULTS)
        kept = reader.run("JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])")
        assert OPERATORS.split("_")[2] not in kept
        assert OPERATORS.split("_")[2] not in (folder / "server.log").read_text(encoding="utf-8")
        reader.assert_sound()
