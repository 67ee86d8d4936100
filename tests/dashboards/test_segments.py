"""The page Segments, run as Streamlit runs it, on a real database."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from streamlit.testing.v1 import AppTest

from ab_platform.storage.store import Store
from tests.dashboards.stored import analyse, launch
from tests.dashboards.visiting import drawn, html, visit, words
from tests.readouts import ratio_row, readout
from tests.reporting.rich import OWN, rich


def segments(**query: str) -> AppTest:
    return visit("segments", **query)


def stored_segments(store: Store) -> None:
    launch(store, metrics=(OWN,))
    analyse(store, rich())


def test_each_dimension_has_a_picture_of_its_stored_rows(stored: Store) -> None:
    stored_segments(stored)
    page = segments()
    assert len(page.get("vega_lite_chart")) == 2
    for number, dimension in enumerate(("device", "interactions")):
        rows = [row for row in rich().segments if row.metric == "play_duration" and row.dimension == dimension]
        points = [each for each in drawn(page, number) if each.get("said")]
        overall = rich().lifts[0]
        assert {(each["segment"], each["lift"], each["low"], each["high"]) for each in points} == {
            ("all users", overall.lift, overall.low, overall.high),
            *((row.segment, row.lift, row.low, row.high) for row in rows),
        }


def test_above_each_picture_it_is_said_whether_the_lift_differs(stored: Store) -> None:
    stored_segments(stored)
    text = words(segments())
    assert "By device The lift DIFFERS between segments, p = 0.004, Holm over 4 tests. No single lift holds" in text
    assert "By interactions in the training data No difference between segments shown, p = 0.410" in text


def test_segments_are_called_hypotheses_unless_all_of_them_differ(stored: Store) -> None:
    stored_segments(stored)
    assert "is a hypothesis for a next experiment, not a finding" in words(segments())
    differs = tuple(replace(each, p_value=0.001) for each in rich().segment_tests)
    analyse(stored, replace(rich(), segment_tests=differs), as_of=date(2025, 3, 8))
    assert "hypothesis for a next experiment" not in words(segments(as_of="2025-03-08"))


def test_a_row_that_does_not_decide_has_its_segments_too(stored: Store) -> None:
    stored_segments(stored)
    page = segments()
    page.selectbox(key="row of pia-vs-multivae").select("home_card.titles_a_visit").run()
    assert page.query_params["row"] == "home_card.titles_a_visit"
    text = words(page)
    assert "By device No difference between segments shown, p = 0.500." in text
    assert "By interactions in the training data" in text


def test_the_figures_of_each_picture_are_listed_beneath_it(stored: Store) -> None:
    stored_segments(stored)
    shown, text = html(segments()), words(segments()).replace("\u00a0", " ").replace("−", "-")
    assert shown.count('<table class="plain"') == 2
    assert "television 988 / 987 +6.1 % -0.7 to +13.4 %" in text


def test_days_since_exposure_are_no_segments_of_users(stored: Store) -> None:
    stored_segments(stored)
    assert "days since exposure" not in words(segments())


def test_without_segments_the_page_says_how_to_ask_for_them(stored: Store) -> None:
    launch(stored)
    analyse(stored, readout())
    text = words(segments())
    assert 'segments = ["interactions", "cohort"] under [analysis]' in text
    assert "abp attributes" in text
    assert segments().get("vega_lite_chart") == []


def test_a_row_that_is_no_mean_says_why_it_has_none(stored: Store) -> None:
    launch(stored, metrics=(OWN,), segments=("device",))
    analyse(stored, rich())
    text = words(segments(row="movie_card.play_duration_median"))
    assert "This row has no segments: they are made of means alone; choose another row" in text


def test_the_day_is_chosen_as_on_the_other_pages(stored: Store) -> None:
    stored_segments(stored)
    early = replace(rich(), segments=tuple(replace(row, lift=-0.3) for row in rich().segments))
    analyse(stored, early, as_of=date(2025, 3, 5))
    page = segments(as_of="2025-03-05")
    assert {each["lift"] for each in drawn(page) if each.get("said") and each["segment"] != "all users"} == {-0.3}


@pytest.mark.usefixtures("stored")
def test_without_an_experiment_the_page_says_how_to_launch_one() -> None:
    assert "no experiment was launched yet; run abp demo" in words(segments())


def test_a_name_does_not_become_a_tag(stored: Store) -> None:
    launch(stored, metrics=(OWN,))
    odd = tuple(replace(row, segment="<img src=x>") if row.segment == "phone" else row for row in rich().segments)
    analyse(stored, replace(rich(), segments=odd))
    assert "<img" not in html(segments())
    assert "<img src=x> 2,011" in words(segments())


def test_lifts_that_must_not_be_believed_say_so_first(stored: Store) -> None:
    launch(stored, metrics=(OWN,))
    alarm = replace(ratio_row(counts=(3500, 2500), p_value=1e-9), alarm=True, reason="p is 1e-9")
    analyse(stored, replace(rich(), sample_ratios=(alarm,)))
    text = words(segments())
    assert text.index("Do not trust these lifts") < text.index("By device")
