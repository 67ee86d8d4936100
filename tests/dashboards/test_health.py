"""The page Health, run as Streamlit runs it, on a real database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from ab_platform.alerts import Alert
from ab_platform.storage.store import Store
from tests.dashboards.stored import analyse, launch
from tests.dashboards.visiting import drawn, html, visit, words
from tests.dashboards.world import CHECKS, FOUND, SEVERAL, days_of, launch_several, several
from tests.golden.make_reports import troubled
from tests.readouts import AS_OF, check_row, ratio_row, readout
from tests.reporting.rich import rich

RAISED = datetime(2025, 3, 9, 23, 58, tzinfo=UTC)


def test_one_glance_says_that_the_table_may_be_believed(stored: Store) -> None:
    launch(stored)
    analyse(stored, replace(readout(), checks=CHECKS))
    page = visit("health")
    text = words(page)
    assert "Health: pia-vs-multivae" in text
    assert html(page).count("<h1>") == 1
    assert "Healthy Trust these lifts." in text
    assert 'class="believe healthy"' in html(page)
    assert "Next:" not in text
    assert "p = 0.757, e-value 0.23" in text
    assert "multi_vae 3,012 3,000 +12 (+0.40 %)" in text
    assert "pia 2,988 3,000 −12 (−0.40 %)" in text


def test_an_alarm_comes_first_with_the_command_that_tells_more(stored: Store) -> None:
    launch(stored)
    analyse(stored, replace(troubled(), checks=CHECKS))
    shown, text = html(visit("health")), words(visit("health"))
    assert 'class="believe unhealthy"' in shown
    assert "Unhealthy Do not trust these lifts. The split of Home Card alarms (p is 0.00032, below 0.001" in text
    assert "Next: find out which users are missing, and where: abp srm diagnose pia-vs-multivae" in text
    assert "<code>abp srm diagnose pia-vs-multivae</code>" in shown


def test_places_in_trouble_come_before_those_that_are_sound(stored: Store) -> None:
    launch(stored)
    alarm = replace(
        ratio_row("device television", counts=(900, 600), p_value=1e-9, e_value=5e6), reason="p is far below 0.001"
    )
    others = tuple(row for row in rich().sample_ratios if row.scope != alarm.scope)
    analyse(stored, replace(rich(), sample_ratios=(*others, alarm), checks=CHECKS))
    text = words(visit("health"))
    places = [
        "Device television unhealthy",
        "Home Card healthy",
        "Phase 1, traffic 10 % healthy",
        "Device unknown unknown",
    ]
    found = [text.index(place) for place in places]
    assert found == sorted(found)
    assert "Why: the smallest arm expects 2 users; at least 5 are required." in text


def test_each_check_says_what_was_found_and_what_to_do_the_worst_first(stored: Store) -> None:
    launch(stored)
    analyse(stored, replace(readout(), checks=FOUND))
    text = words(visit("health"))
    for told in (
        "Unhealthy Do not trust these lifts. Fallbacks on pia: 8.1 % of pia's impressions were made by the fallback",
        "Fallbacks pia unhealthy 8.1 % of pia's impressions were made by the fallback; at most 5 % may be.",
        "Next: see why the arm does not answer in time: abp serve logs it.",
        "Users in several arms warning 3 of 6,003 users (0.05 %) were seen in several arms",
        "Logging delay unknown When events arrived is not stored.",
        "Missing data healthy Every day, surface and arm has events.",
    ):
        assert told in text
    order = [text.index(each) for each in ("Fallbacks pia", "Users in several arms warning", "Logging delay unknown")]
    assert order == sorted(order)


def test_a_warning_is_neither_healthy_nor_unhealthy(stored: Store) -> None:
    launch(stored)
    few = check_row("mixed_users", "warning", told="3 of 6,003 users were seen in several arms", next_step="see who")
    analyse(stored, replace(readout(), checks=(few, *CHECKS[1:])))
    assert "Warning Read these lifts with care." in words(visit("health"))


def test_an_analysis_of_before_the_checks_says_that_nobody_looked(stored: Store) -> None:
    launch(stored)
    analyse(stored, readout())
    text = words(visit("health"))
    assert "All checks unknown The version that analysed this day did not look at the data." in text
    assert "Next: run abp analyze pia-vs-multivae" in text


def test_a_split_that_was_not_tested_is_unknown(stored: Store) -> None:
    launch(stored)
    untested = replace(ratio_row(p_value=None, e_value=None, counts=(3, 1)), reason="the smallest arm expects 2 users")
    analyse(stored, replace(readout(ratios=(untested,)), checks=CHECKS, decisions=()))
    page = visit("health")
    assert 'class="believe unknown"' in html(page)
    assert "the split is unknown (the smallest arm expects 2 users)" in words(page).lower()


def test_the_split_of_every_day_is_drawn_up_to_the_day_that_is_looked_at(stored: Store) -> None:
    launch(stored)
    for found in days_of(readout()):
        analyse(stored, found, as_of=found.as_of)
    page = visit("health")
    days = [f"2025-03-{day:02}" for day in range(3, 10)]
    shares, evidence = drawn(page, 0), drawn(page, 1)
    assert sorted({record["Day"] for record in shares}) == days
    assert [record["e-value"] for record in evidence if record.get("Day")] == ["0.23"] * 7
    newest = next(record for record in shares if record["Day"] == "2025-03-09")
    assert (newest["Users"], newest["Expected"], newest["Gap"]) == ("2,988", "3,000", "−12 (−0.40 %)")
    assert newest["share"] == 2988 / 6000
    earlier = visit("health", as_of="2025-03-05")
    assert "As of 2025-03-05" in words(earlier)
    assert sorted({record["Day"] for record in drawn(earlier)}) == days[:3]


def test_a_single_day_has_no_course_and_says_how_to_get_one(stored: Store) -> None:
    launch(stored)
    analyse(stored, readout())
    page = visit("health")
    assert not page.get("vega_lite_chart")
    assert "One day was analysed so far; abp analyze pia-vs-multivae --every-day adds the others." in words(page)


def test_every_arm_of_several_is_shown(stored: Store) -> None:
    launch_several(stored)
    analyse(stored, several(), key=SEVERAL)
    text = words(visit("health"))
    for arm in (
        "multi_vae 3,012 3,007 +5 (+0.17 %)",
        "pia 2,988 3,007 −19 (−0.63 %)",
        "ract 3,021 3,007 +14 (+0.47 %)",
    ):
        assert arm in text


def test_alerts_that_stand_come_before_those_that_were_cleared(stored: Store) -> None:
    launch(stored)
    analyse(stored, replace(readout(), checks=CHECKS))
    lost = Alert("pia-vs-multivae", "no_data", "all", AS_OF, "no event for 4 h; see `abp serve`", RAISED)
    breach = Alert("pia-vs-multivae", "guardrail", "pia home_card.visits", AS_OF, "below its margin", RAISED)
    stored.raise_alerts([lost, breach])
    stored.clear_alerts("pia-vs-multivae", keep={breach.key}, at=RAISED + timedelta(hours=1))
    text = words(visit("health"))
    assert "Guardrail pia home_card.visits stands below its margin. raised 2025-03-09 23:58 UTC, not sent" in text
    assert "No data all users cleared no event for 4 h; see abp serve . raised 2025-03-09 23:58 UTC, cleared" in text
    assert text.index("Guardrail pia") < text.index("No data all users")


def test_an_experiment_without_an_analysis_names_the_command_beneath_its_heading(stored: Store) -> None:
    launch(stored)
    page = visit("health", experiment="pia-vs-multivae")
    assert "pia-vs-multivae is not analysed yet; run abp analyze pia-vs-multivae" in words(page)
    assert html(page).count("<h1>") == 1


def test_another_experiment_is_shown_as_of_its_own_newest_day(stored: Store) -> None:
    launch(stored, "first", buckets=(0, 5000))
    launch(stored, "second", buckets=(5000, 10_000))
    analyse(stored, readout(), key="first", as_of=date(2025, 3, 5))
    analyse(stored, readout(), key="second")
    page = visit("health", experiment="first", as_of="2025-03-05")
    page.selectbox(key="experiment").select("second").run()
    assert "Health: second" in words(page)
    assert "As of 2025-03-09" in words(page)
    assert page.query_params["experiment"] == "second"


@pytest.mark.usefixtures("stored")
def test_without_an_experiment_the_page_says_how_to_launch_one() -> None:
    assert "no experiment was launched yet; run abp demo" in words(visit("health"))


def test_what_an_experiment_is_called_does_not_become_a_tag(stored: Store) -> None:
    launch(stored)
    told = "<img src=x> of pia's"
    analyse(stored, replace(readout(), checks=(check_row("fallbacks", "unhealthy", scope="<b>", told=told),)))
    shown = html(visit("health"))
    assert "<img" not in shown
    assert "&lt;img src=x&gt;" in shown
