"""The planner and the page of a user in a real browser: turned by keyboard, read at any width and in both themes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from ab_platform.events import AnyEvent, event_id
from ab_platform.lineage import Title
from ab_platform.simulation.plan import Plan
from ab_platform.simulation.running import simulate
from ab_platform.storage.store import Store, open_store
from tests.dashboards.browser import CHARTS, CHROMEDRIVER, CHROMIUM, Reader, reading, served
from tests.storage import made

pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="chromium or chromium-driver is not installed"),
    pytest.mark.xdist_group("browser"),
]

BACKGROUNDS = {"light": "rgb(253, 252, 250)", "dark": "rgb(21, 23, 27)"}
PLANNER = "planner?experiment=simulate-uneven-split"
USER = f"user?experiment={made.KEY}&user=ann"
ANSWER = ".abp.plan .answer"
SLATES = 60


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Read a store with a simulated experiment to plan from, and a user of another who was shown much."""
    home, profile = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("profile")
    with closing(open_store(f"sqlite:///{home / 'abp.db'}", migrate=True)) as store:
        simulate(store, Plan("uneven-split", users=1_000, days=5, before=False), at=made.START)
        _shown_much(store)
    with served(home, home) as address, reading(address, profile) as opened:
        yield opened


def _shown_much(store: Store) -> None:
    made.started(store)
    with store.ingesting("ml-1m", "hash", "nowhere", made.START) as writer:
        writer.write_titles([Title(f"t{place}", f"A title of some length, number {place}") for place in range(10)])
        writer.write_interactions(["ann"], ["t0"], None, None)
        writer.finish(bad_rows=0)
    events: list[AnyEvent] = []
    for number in range(SLATES):
        at = made.after(seconds=3_600.0 * number)
        one = replace(made.impression("ann", at), slate_id=event_id(at, "slate"), latency_ms=9.0)
        slate = [
            replace(one, event_id=event_id(at, f"{place}"), title_id=f"t{place}", position=place) for place in range(10)
        ]
        click = replace(made.click("ann", at + timedelta(seconds=5)), impression_id=slate[number % 10].event_id)
        events += [*slate, click]
    store.record(events)


def slider(reader: Reader, key: str) -> WebElement:
    return reader.browser.find_element(By.CSS_SELECTOR, f".st-key-{key} input[type='range']")


def turn(reader: Reader, key: str, *keys: str) -> None:
    """Go to a dial, and press keys there."""
    reader.browser.execute_script("arguments[0].focus()", slider(reader, key))
    ActionChains(reader.browser).send_keys(*keys).perform()


def open_planner(reader: Reader, query: str = "", *, width: int = 1280, scheme: str = "light") -> None:
    reader.open(PLANNER + query, width=width, scheme=scheme, wait_for=".abp.plan table")
    reader.settle(f"{CHARTS} :is(canvas, svg)")


def scheme_of(reader: Reader) -> str:
    return str(reader.run("getComputedStyle(document.querySelector('.stApp')).backgroundColor"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_planner_is_read_at_any_width_and_in_both_themes(reader: Reader, width: int, scheme: str) -> None:
    for against in ("users", "days"):
        open_planner(reader, f"&against={against}", width=width, scheme=scheme)
        assert reader.text(ANSWER).startswith("With 5 days and")
        assert reader.run("document.querySelectorAll('.abp.plan tr.measured').length") == 2
        assert scheme_of(reader) == BACKGROUNDS[scheme]
        reader.assert_sound()


def test_a_dial_turned_by_keyboard_changes_the_sentence_and_the_address(reader: Reader) -> None:
    open_planner(reader)
    turn(reader, "days", Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    reader.wait_until(
        f"document.querySelector('{ANSWER}').innerText.startsWith('With 7 days and')", "the sentence did not change"
    )
    reader.wait_until("new URL(location).searchParams.get('days') === '7'", "the address did not change")
    before = reader.text(ANSWER)
    turn(reader, "lift", Keys.ARROW_RIGHT)
    reader.wait_until(f"document.querySelector('{ANSWER}').innerText.includes('4 %')", "the lift did not change")
    assert reader.text(ANSWER) != before
    reader.assert_sound()


def test_a_part_is_made_once_it_is_opened_and_what_is_set_there_stays_once_it_is_closed(reader: Reader) -> None:
    open_planner(reader)
    power, part = ".st-key-power input[type='range']", ".st-key-more summary"
    gone = f"document.querySelector({power!r}) === null"
    assert reader.run(gone)
    reader.click(part)
    reader.settle(power)
    turn(reader, "power", Keys.ARROW_RIGHT)
    reader.wait_until("new URL(location).searchParams.get('power') === '81'", "the address did not change")
    reader.settle(power)
    said = reader.text(ANSWER)
    reader.click(part)
    reader.wait_until(gone, "the part did not close")
    reader.settle(ANSWER)
    assert reader.text(ANSWER) == said
    assert "power=81" in reader.browser.current_url
    reader.click(part)
    reader.settle(power)
    assert reader.run(f"document.querySelector({power!r}).value") == "81"
    reader.click(".st-key-file summary")
    reader.settle("[data-testid='stCode']")
    assert "power = 0.81" in reader.text("[data-testid='stCode']")
    reader.assert_sound()


def test_the_dials_and_the_sentence_are_told_to_who_cannot_see_them(reader: Reader) -> None:
    open_planner(reader)
    for key, label in (("days", "Days"), ("traffic", "Traffic"), ("lift", "Lift to find")):
        assert slider(reader, key).accessible_name.startswith(label)
    assert reader.run("document.querySelector('.abp.plan[role=status]').getAttribute('aria-live')") == "polite"
    described = "document.querySelector('[data-testid=stVegaLiteChart]').getAttribute('aria-label')"
    assert "Smallest lift found against users" in reader.run(described)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_user_is_read_at_any_width_and_in_both_themes(reader: Reader, width: int, scheme: str) -> None:
    reader.open(USER, width=width, scheme=scheme, wait_for=".abp.story")
    assert f"Slates 1 to 50 of {SLATES}" in reader.text(".abp.story")
    assert reader.run("document.querySelectorAll('.abp.story .done').length") == 50
    assert scheme_of(reader) == BACKGROUNDS[scheme]
    reader.assert_sound()


def test_a_users_buckets_are_marked_within_their_arms(reader: Reader) -> None:
    reader.open(USER, wait_for=".abp.story")
    arm = reader.text(".abp.place .verdict").removeprefix("In arm ")
    spans = "document.querySelectorAll('.rail .arm, .rail .here')"
    found = reader.run(f"Array.from({spans}, each => [each.innerText || 'here', each.getBoundingClientRect()])")
    boxes = [(name, box["x"], box["x"] + box["width"]) for name, box in found]
    (_, low, high) = next(each for each in boxes if each[0] == arm)
    (_, left, right) = boxes[[name for name, _, _ in boxes].index("here", 1)]
    assert low <= (left + right) / 2 <= high


def test_a_user_is_typed_and_older_slates_are_turned_to(reader: Reader) -> None:
    reader.open(f"user?experiment={made.KEY}", wait_for=".abp-frame")
    reader.type("[data-testid=stTextInput] input", "ann", Keys.ENTER)
    reader.settle(".abp.story")
    reader.click(".st-key-paging button", 1)
    reader.wait_until(
        "document.querySelector('.abp.story').innerText.includes('Slates 51 to 60 of 60')", "the page was not turned"
    )
    reader.wait_until("new URL(location).searchParams.get('page') === '2'", "the address does not keep the page")
    assert "user=ann" in reader.browser.current_url
    reader.assert_sound()
