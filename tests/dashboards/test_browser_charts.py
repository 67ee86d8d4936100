"""The pages Over time and Segments in a real browser: charts that are drawn, read, and enlarged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise

import pytest

from ab_platform.storage.store import open_store
from tests.dashboards.browser import CHROMEDRIVER, CHROMIUM, Reader, reading, served
from tests.dashboards.stored import analyse, launch
from tests.dashboards.world import days_of
from tests.readouts import readout, views_of
from tests.reporting.rich import OWN, rich

pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="chromium or chromium-driver is not installed"),
    pytest.mark.xdist_group("browser"),
]

WEEK, RICH = "pia-vs-multivae", "rich"
CHART = "[data-testid='stVegaLiteChart'] svg"
MARKS = f"Array.from(document.querySelectorAll(\"{CHART} [aria-roledescription='point']\"))"
OPENED = ("table.plain", ".stExpander")
SMALL = "ul.over-time .days"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Read a store with a week that was analysed every day but one, and an experiment with segments."""
    home, profile = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("profile")
    with closing(open_store(f"sqlite:///{home / 'abp.db'}", migrate=True)) as store:
        launch(store, WEEK, buckets=(0, 5000))
        for number, found in enumerate(days_of(readout())):
            if number != 2:
                analyse(store, found, key=WEEK, as_of=found.as_of)
        launch(store, RICH, buckets=(5000, 10_000), metrics=(OWN,), segments=("device", "interactions"))
        views = tuple(view for row in rich().lifts for view in views_of(row))
        analyse(store, replace(rich(), views=views), key=RICH)
    with served(home, home) as address, reading(address, profile) as opened:
        yield opened


def size(reader: Reader, selector: str) -> list[tuple[float, float]]:
    """Return width and height of all that a selector finds."""
    script = f'Array.from(document.querySelectorAll("{selector}"), each => each.getBoundingClientRect())'
    return [(box["width"], box["height"]) for box in reader.run(script)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_lift_over_time_is_drawn_at_any_width_and_in_both_themes(reader: Reader, width: int, scheme: str) -> None:
    reader.open(f"over_time?experiment={WEEK}", width=width, scheme=scheme, wait_for=CHART)
    ((wide, high),) = size(reader, CHART)
    assert 250 < wide <= width
    assert high > 250
    assert len(size(reader, SMALL)) == 6
    assert min(wide for wide, _ in size(reader, SMALL)) > 150
    reader.assert_sound()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_segments_are_drawn_at_any_width_and_in_both_themes(reader: Reader, width: int, scheme: str) -> None:
    reader.open(f"segments?experiment={RICH}", width=width, scheme=scheme, wait_for=CHART)
    sizes = size(reader, CHART)
    assert len(sizes) == 2
    for wide, high in sizes:
        assert 250 < wide <= width
        assert high > 120
    names = reader.run(
        f'Array.from(document.querySelectorAll("{CHART} .role-axis-label text"), each => each.textContent)'
    )
    for shown in ("all users", "phone", "television", "unknown", "5-9", "3,012 / 2,988", "13 / 11"):
        assert shown in names
    reader.assert_sound()


def test_marks_stand_where_their_days_are_and_a_gap_is_no_line(reader: Reader) -> None:
    reader.open(f"over_time?experiment={WEEK}", wait_for=CHART)
    places = [box["x"] for box in reader.run(f"{MARKS}.map(each => each.getBoundingClientRect())")]
    steps = [round(after - before, 1) for before, after in pairwise(places)]
    assert len(places) == 6
    assert steps[1] == pytest.approx(2 * steps[0], abs=3)
    lines = reader.run(f'document.querySelectorAll("{CHART} .mark-line path").length')
    assert lines == 2


def test_who_cannot_see_the_charts_is_told_what_they_show(reader: Reader) -> None:
    reader.open(f"over_time?experiment={WEEK}", wait_for=CHART)
    told = reader.run("document.querySelector(\"[data-testid='stVegaLiteChart']\").ariaLabel")
    assert told.startswith("Home Card, Play duration per user (s), pia: the lift over 6 days")
    says = reader.run(f"{MARKS}.map(each => each.ariaLabel)")
    assert says[-1].startswith("as of 2025-03-09, day 7, lift +4.50 %, for one look +1.21 to +7.91 %")
    assert reader.run(f"document.querySelector('{SMALL}').ariaLabel").startswith("Home Card, Play duration")


def test_the_pointer_on_a_day_shows_its_figures(reader: Reader) -> None:
    reader.open(f"over_time?experiment={WEEK}", wait_for=CHART)
    box = reader.run(f"{MARKS}.at(-1).getBoundingClientRect()")
    middle = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 60}
    for moved in (20, 0):
        at = {"type": "mouseMoved", "x": middle["x"] - moved, "y": middle["y"]}
        reader.browser.execute_cdp_cmd("Input.dispatchMouseEvent", at)
    reader.wait_for("#vg-tooltip-element.visible")
    shown = reader.text("#vg-tooltip-element")
    assert "As of 2025-03-09, day 7" in shown
    assert "−0.43 to +9.62 %" in shown
    assert "+1.21 to +7.91 %" in shown


def test_a_small_picture_leads_to_its_row_shown_large_and_back(reader: Reader) -> None:
    reader.open(f"over_time?experiment={WEEK}", wait_for=SMALL)
    reader.run("window.stays = true")
    reader.click("ul.over-time a", 4)
    reader.wait_until("document.querySelector('article.abp h2').innerText.includes('Movie Card')", "it did not enlarge")
    assert "row=movie_card.click_rate_per_view" in reader.browser.current_url
    assert reader.run("window.stays") is True
    reader.click("ul.over-time a")
    reader.wait_until("document.querySelector('article.abp h2').innerText.includes('Home Card')", "it did not go back")
    assert "row=" not in reader.browser.current_url
    reader.assert_sound()


def test_the_figures_of_a_picture_open_beneath_it(reader: Reader) -> None:
    reader.open(f"segments?experiment={RICH}", width=390, wait_for=".stExpander summary")
    reader.click(".stExpander summary")
    inside, around = (f"document.querySelector('{each}')?.getBoundingClientRect().height" for each in OPENED)
    reader.wait_until(f"0 < {inside} && {inside} < {around}", "it did not open")
    assert "television" in reader.text("table.plain")
    reader.assert_sound()
