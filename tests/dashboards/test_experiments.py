"""The list of all experiments, run as Streamlit runs it, on a real database."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html import unescape
from pathlib import Path
from time import perf_counter

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from ab_platform.results import Readout
from ab_platform.storage.store import Store
from tests.dashboards.stored import analyse, launch
from tests.dashboards.visiting import APP, html, words
from tests.readouts import AS_OF, DECISION, ROWS, check_row, lift_row, ratio_row, readout


def home_page(**query: str) -> AppTest:
    """Open the dashboard at its first page."""
    page = AppTest.from_file(str(APP), default_timeout=30)
    for name, value in query.items():
        page.query_params[name] = value
    return page.run()


def rows(page: AppTest) -> dict[str, str]:
    """Return the words of each experiment's row, by its key."""
    found = re.findall(r'<tr role="row" class="entry">(.*?)</tr>', html(page), flags=re.DOTALL)
    texts = [" ".join(unescape(re.sub(r"<[^>]+>", " ", row)).split()) for row in found]
    return {text.split()[0]: text for text in texts}


def only_primary(found: Readout) -> Readout:
    return replace(found, lifts=found.lifts[:1])


def test_without_a_database_the_page_says_how_to_begin_and_makes_no_file(home: Path) -> None:
    text = words(home_page())
    assert f"there is no database at {home / 'abp.db'} yet; run abp demo" in text
    assert list(home.iterdir()) == []


@pytest.mark.usefixtures("stored")
def test_without_an_experiment_the_page_says_how_to_launch_one() -> None:
    assert "no experiment was launched yet; run abp demo" in words(home_page())


def test_an_experiment_is_told_in_a_row(stored: Store) -> None:
    launch(stored)
    analyse(stored, readout(truths=()))
    row = rows(home_page())["pia-vs-multivae"].replace("−", "-")
    for told in (
        "Item anchors make slates that people play for longer.",
        "pia against multi_vae",
        "healthy",
        "7 of 7 planned end reached",
        "100 %",
        "+4.50 % +1.21 to +7.91 %",
        "Play duration per user, Home Card",
        "Ship",
    ):
        assert told in row


def test_an_experiment_leads_to_its_results(stored: Store) -> None:
    launch(stored)
    assert '<a href="results?experiment=pia-vs-multivae">pia-vs-multivae</a>' in html(home_page())


def test_an_experiment_that_was_not_analysed_names_the_command(stored: Store) -> None:
    launch(stored)
    row = rows(home_page())["pia-vs-multivae"]
    assert "unknown Nothing was analysed yet" in row
    assert "Not analysed yet; run abp analyze pia-vs-multivae" in row


def test_those_that_run_come_first_and_are_counted_by_health(stored: Store) -> None:
    launch(stored, "old", buckets=(0, 2000))
    launch(stored, "sick", buckets=(2000, 4000))
    launch(stored, "well", buckets=(4000, 6000))
    analyse(stored, readout(), key="well")
    analyse(stored, readout(ratios=(ratio_row(p_value=1e-6),)), key="sick")
    stored.stop("old", at=datetime(2025, 3, 6, tzinfo=UTC))
    page = home_page()
    assert list(rows(page)) == ["well", "sick", "old"]
    assert "Running 2: 1 unhealthy, 1 healthy" in words(page)
    assert "Stopped 1: 1 unknown" in words(page)
    assert "3 of 7 stopped 2025-03-06" in rows(page)["old"]


def test_a_lift_that_is_not_to_be_believed_has_no_colour(stored: Store) -> None:
    launch(stored)
    analyse(stored, readout())
    assert '<b class="better">' in html(home_page())
    analyse(stored, replace(readout(), checks=(check_row("fallbacks", "unhealthy", told="8 % were"),)))
    st.cache_data.clear()  # as a few seconds do
    page = home_page()
    assert '<b class="no">' in html(page)
    assert '<span class="no">Ship</span>' in html(page)
    told = rows(page)["pia-vs-multivae"]
    assert "unhealthy Fallbacks" in told
    assert "8 % were" not in told


def test_the_lift_and_the_health_are_those_of_the_newest_analysis(stored: Store) -> None:
    launch(stored)
    early = replace(ROWS[0], lift=0.31, low=-0.2, high=0.9, p_value=0.4)
    analyse(stored, readout((early,), ratios=(ratio_row(p_value=1e-9),)), as_of=date(2025, 3, 4))
    analyse(stored, readout())
    row = rows(home_page())["pia-vs-multivae"]
    assert "+4.50 %" in row
    assert "+31" not in row
    assert "healthy" in row.split()


def test_the_lift_by_day_is_told_in_words_too(stored: Store) -> None:
    launch(stored)
    for day, lift in ((4, 0.091), (6, 0.062), (9, 0.045)):
        analyse(stored, readout((replace(ROWS[0], lift=lift),)), as_of=date(2025, 3, day))
    assert 'aria-label="Lift of pia by day: +9.10 % as of 2025-03-04, +4.50 % as of 2025-03-09"' in html(home_page())


def test_every_treatment_has_a_line_of_its_own(stored: Store) -> None:
    launch(stored)
    second = lift_row(lift=(-0.021, -0.04, -0.002), values=(41.3, 40.4), arm="ract", role="primary", p_value=0.03)
    analyse(
        stored, readout((ROWS[0], second), decisions=(DECISION, replace(DECISION, arm="ract", outcome="roll back")))
    )
    text = words(home_page()).replace("−", "-")
    assert "pia +4.50 % +1.21 to +7.91 % Play duration per user, Home Card Ship" in text
    assert "ract -2.10 % -4.00 to -0.20 % Roll back" in text


def test_a_search_looks_through_key_hypothesis_arms_and_recommenders(stored: Store) -> None:
    launch(stored, "first", buckets=(0, 5000))
    launch(stored, "second", buckets=(5000, 10_000))
    for asked, found in (
        ("SEC", ["second"]),
        ("anchors slates", ["second", "first"]),
        ("multi_vae first", ["first"]),
        ("anchors third", []),
    ):
        assert list(rows(home_page(search=asked))) == found
    assert "No experiment has 'anchors third' in its key, hypothesis or arms" in words(
        home_page(search="anchors third")
    )


def test_the_address_keeps_search_and_state_where_they_say_something(stored: Store) -> None:
    launch(stored, "first", buckets=(0, 5000))
    launch(stored, "second", buckets=(5000, 10_000))
    stored.stop("first", at=datetime(2025, 3, 6, tzinfo=UTC))
    page = home_page()
    assert dict(page.query_params) == {}
    page.text_input(key="search").set_value("fir").run()
    page.selectbox(key="state").select("stopped").run()
    assert {name: page.query_params[name] for name in page.query_params} == {"search": "fir", "state": "stopped"}
    assert list(rows(page)) == ["first"]
    page.selectbox(key="state").select("running").run()
    assert "No running experiment has 'fir'" in words(page)
    assert list(rows(home_page(state="stopped"))) == ["first"]
    assert list(rows(home_page(state="nonsense"))) == ["second", "first"]


def test_what_people_wrote_does_not_become_a_tag(stored: Store) -> None:
    launch(stored)
    page = home_page(search="<img src=x>")
    assert "<img" not in html(page)
    assert "No experiment has '<img src=x>'" in words(page)


def test_a_hundred_experiments_are_listed_at_once(stored: Store) -> None:
    for number in range(100):
        launch(stored, f"experiment-{number}", buckets=(100 * number, 100 * number + 100))
        for day in range(2):
            analyse(
                stored,
                only_primary(readout()),
                key=f"experiment-{number}",
                as_of=AS_OF - timedelta(days=day),
            )
    page = home_page()
    assert len(rows(page)) == 100
    started = perf_counter()
    page.run()
    # Generous for a busy machine: alone it takes a fifth of this.
    assert perf_counter() - started < 0.6
