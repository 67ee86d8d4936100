"""The page Over time, run as Streamlit runs it, on a real database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from ab_platform.results import LiftView
from ab_platform.storage.store import Store
from dashboards import reading_history
from tests.dashboards.stored import analyse, launch
from tests.dashboards.visiting import drawn, html, visit, words
from tests.dashboards.world import SEVERAL, days_of, launch_several, several
from tests.readouts import ROWS, TRUTHS, ratio_row, readout, views_of
from tests.reporting.rich import OWN, rich

ALL_DAYS = range(7)


def over_time(**query: str) -> AppTest:
    return visit("over_time", **query)


def week(store: Store, days: Iterable[int] = ALL_DAYS) -> None:
    """Store an analysis as of each of some days."""
    launch(store)
    for number, found in enumerate(days_of(readout())):
        if number in days:
            analyse(store, found, as_of=found.as_of)


def test_the_page_draws_the_stored_rows_of_the_first_primary_row(stored: Store) -> None:
    week(stored)
    page = over_time()
    assert "Over time: pia-vs-multivae" in words(page)
    assert "As of 2025-03-09: +4.50 %, +1.21 to +7.91 % by the band for one look; better." in words(page).replace(
        "−", "-"
    )
    found = drawn(page)
    lifts = [each["lift"] for each in found if each.get("Says")]
    stored_rows = [
        view.row for view in stored.lift_history("pia-vs-multivae") if is_of(view, "home_card.play_duration")
    ]
    fixed = [row for row in stored_rows if row.monitoring == "fixed"]
    assert lifts == [row.lift for row in fixed]
    ends = {(each["low"], each["high"]) for each in found if each.get("low") is not None}
    assert ends == {(row.low, row.high) for row in stored_rows}


def is_of(view: LiftView, name: str) -> bool:
    return f"{view.row.surface}.{view.row.metric}" == name


def test_every_row_is_there_small_with_a_link_that_leads_to_it(stored: Store) -> None:
    week(stored)
    shown = html(over_time())
    assert shown.count('class="days"') == 6
    assert 'href="over_time?experiment=pia-vs-multivae&amp;row=movie_card.click_rate_per_view"' in shown
    linked = over_time(row="movie_card.click_rate_per_view")
    assert "As of 2025-03-09: −8.0 %" in words(linked)
    assert linked.selectbox(key="row of pia-vs-multivae").value == "movie_card.click_rate_per_view"


def test_the_address_keeps_what_differs_from_the_first_look(stored: Store) -> None:
    week(stored)
    page = over_time()
    assert "row" not in page.query_params
    page.selectbox(key="row of pia-vs-multivae").select("movie_card.play_duration").run()
    page.segmented_control(key="effect of pia-vs-multivae by row").set_value("difference").run()
    assert page.query_params["row"] == "movie_card.play_duration"
    assert page.query_params["effect"] == "difference"
    assert "As of 2025-03-09: +2.1 s" in words(page)
    page.segmented_control(key="effect of pia-vs-multivae by row").set_value("relative").run()
    assert "effect" not in page.query_params


def test_another_experiment_is_shown_with_rows_of_its_own(stored: Store) -> None:
    launch(stored, buckets=(0, 100))
    launch_several(stored)
    analyse(stored, several(), key=SEVERAL)
    for found in days_of(readout()):
        analyse(stored, found, as_of=found.as_of)
    page = over_time(experiment="pia-vs-multivae", row="movie_card.click_rate_per_view")
    page.selectbox(key="experiment").select(SEVERAL).run()
    assert "Home Card, Play duration per user (s), pia" in words(page)
    assert "row" not in page.query_params


def test_a_link_that_is_followed_on_the_page_wins_over_what_was_chosen_before(stored: Store) -> None:
    week(stored)
    page = over_time()
    page.selectbox(key="row of pia-vs-multivae").select("movie_card.play_duration").run()
    page.query_params["row"] = "home_card.click_rate_per_user"
    page.run()
    assert page.selectbox(key="row of pia-vs-multivae").value == "home_card.click_rate_per_user"
    assert "As of 2025-03-09: +5.9 %" in words(page)


def test_a_link_to_a_row_that_is_not_there_says_so_and_lets_one_choose(stored: Store) -> None:
    week(stored)
    page = over_time(row="home_card.play_durations")
    assert "the link asks for row 'home_card.play_durations', which is not here; did you mean" in words(page)
    page.selectbox(key="row of pia-vs-multivae").select("home_card.play_duration").run()
    assert "+4.50 %" in words(page)


def test_days_that_were_not_analysed_are_counted_with_the_command_that_makes_up_for_them(stored: Store) -> None:
    week(stored, (0, 1, 4, 6))
    text = words(over_time())
    assert "3 days were not analysed; abp analyze pia-vs-multivae --every-day makes up for it." in text
    assert "2025-03-05 day 3 — — — — not analysed" in text
    assert text.index("2025-03-09 day 7") < text.index("not analysed", text.index("2025-03-09 day 7"))


def test_with_all_days_nothing_is_missing(stored: Store) -> None:
    week(stored)
    assert "not analysed" not in words(over_time())


def test_an_analysis_of_an_earlier_version_names_the_command(stored: Store) -> None:
    launch(stored)
    analyse(stored, readout())
    assert "run abp analyze pia-vs-multivae --every-day" in words(over_time())


def test_without_an_analysis_the_page_names_the_command(stored: Store) -> None:
    launch(stored)
    assert "is not analysed yet; run abp analyze pia-vs-multivae" in words(over_time())


@pytest.mark.usefixtures("stored")
def test_without_an_experiment_the_page_says_how_to_launch_one() -> None:
    assert "no experiment was launched yet; run abp demo" in words(over_time())


def test_covariates_are_left_out_or_taken_in(stored: Store) -> None:
    launch(stored)
    row = replace(ROWS[0], variance_saved=0.36)
    analyse(stored, replace(readout((row,), truths=()), views=views_of(row, covariates=True)))
    page = over_time()
    assert "+1.21 to +7.91 % by the band for one look" in words(page)
    page.segmented_control(key="cuped of pia-vs-multivae by row").set_value("off").run()
    assert page.query_params["cuped"] == "off"
    assert "+0.39 to +8.76 % by the band for one look" in words(page)


def test_a_row_without_covariates_cannot_be_asked_for_them(stored: Store) -> None:
    week(stored)
    assert over_time().segmented_control(key="cuped of pia-vs-multivae by row").disabled


def test_treatments_are_shown_one_by_one_or_all_on_one_axis(stored: Store) -> None:
    launch(stored, buckets=(0, 100))
    launch_several(stored)
    analyse(stored, several(), key=SEVERAL)
    page = over_time(experiment=SEVERAL)
    assert len(page.get("vega_lite_chart")) == 1
    page.selectbox(key=f"arm of {SEVERAL}").select("all").run()
    assert page.query_params["arm"] == "all"
    assert len(page.get("vega_lite_chart")) == 2
    assert "Play duration per user (s), ract" in words(page)
    page.selectbox(key=f"arm of {SEVERAL}").select("ract").run()
    assert "As of 2025-03-09: −1.00 %" in words(page)


def test_the_true_lift_is_drawn_where_it_is_known(stored: Store) -> None:
    launch(stored)
    found = replace(readout(), views=tuple(view for row in ROWS for view in views_of(row)), truth_from="replay")
    analyse(stored, found)
    assert html(over_time()).count('class="true"') == len(TRUTHS)
    assert {each["level"] for each in drawn(over_time()) if each.get("level")} == {TRUTHS[0].lift}


def test_the_lift_by_days_since_exposure_is_drawn_from_its_stored_rows(stored: Store) -> None:
    launch(stored, metrics=(OWN,))
    analyse(stored, replace(rich(), views=tuple(view for row in rich().lifts for view in views_of(row))))
    page = over_time()
    assert "Novelty The lift by days since exposure" in words(page)
    by_age = [
        row for row in rich().segments if row.dimension == "days since exposure" and row.metric == "play_duration"
    ]
    points = [each for each in drawn(page, 1) if each.get("said")]
    assert {(each["segment"], each["lift"], each["low"]) for each in points} == {
        (row.segment, row.lift, row.low) for row in by_age
    }


def test_figures_that_change_are_drawn_anew_though_pictures_are_kept(stored: Store) -> None:
    launch(stored)
    days = list(days_of(readout()))
    for number in (0, 1):
        analyse(stored, days[number], as_of=days[number].as_of)
    assert len([each for each in drawn(over_time()) if each.get("Says")]) == 2
    analyse(stored, days[2], as_of=days[2].as_of)
    reading_history.lift_history.clear()
    assert len([each for each in drawn(over_time()) if each.get("Says")]) == 3


def test_lifts_that_must_not_be_believed_say_so_first_and_have_no_colour(stored: Store) -> None:
    launch(stored)
    alarm = replace(ratio_row(counts=(3500, 2500), p_value=1e-9), alarm=True, reason="p is 1e-9")
    for found in days_of(readout(ratios=(alarm,))):
        analyse(stored, found, as_of=found.as_of)
    page = over_time()
    assert words(page).index("Do not trust these lifts") < words(page).index("As of 2025-03-09")
    assert "; not to be trusted." in words(page)
    assert {each["means"] for each in drawn(page) if each.get("Says")} == {"not to be trusted"}
    assert 'class="dot' not in html(page)
