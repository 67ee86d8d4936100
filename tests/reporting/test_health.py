"""One word on whether an analysis may be believed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ab_platform.reporting.health import NOT_ANALYSED, SOUND, overall
from ab_platform.results import CheckStatus
from tests.readouts import DECISION, check_row, ratio_row

SPLIT = ratio_row()
ALARM = replace(ratio_row("home_card", p_value=1e-5), reason="p = 1e-05 is below 0.001")
UNTESTED = replace(ratio_row(p_value=None), reason="the smallest arm expects 2 users; at least 5 are required")


def test_a_sound_split_and_sound_checks_are_healthy() -> None:
    assert overall([SPLIT], [check_row()], [DECISION]) == ("healthy", SOUND, SOUND)
    assert overall([SPLIT], [], []).status == "healthy"


def test_nothing_analysed_is_unknown() -> None:
    assert overall([], [], []) == ("unknown", NOT_ANALYSED, NOT_ANALYSED)


def test_an_alarm_of_any_split_is_unhealthy_and_says_where() -> None:
    assert overall([SPLIT, ALARM], [check_row()], [DECISION]) == (
        "unhealthy",
        "the split of Home Card alarms (p = 1e-05 is below 0.001)",
        "the split of Home Card alarms",
    )


def test_a_decision_tells_of_an_alarm_that_lies_in_rows_not_given() -> None:
    found = overall([SPLIT], [], [replace(DECISION, outcome="unhealthy", reason="the split alarms (on movie_card: p)")])
    assert found[:2] == ("unhealthy", "the split alarms (on movie_card: p)")


def test_an_alarm_is_not_told_twice_when_the_decision_has_it_too() -> None:
    found = overall([ALARM, SPLIT], [], [replace(DECISION, outcome="unhealthy", reason="the split alarms")])
    assert found.reason.count("alarms") == 1


def test_a_split_of_all_users_that_was_not_tested_is_unknown_and_says_why() -> None:
    assert overall([UNTESTED], [check_row()], []) == (
        "unknown",
        "the split is unknown (the smallest arm expects 2 users; at least 5 are required)",
        "the split is unknown",
    )
    assert overall([ratio_row("home_card")], [], [])[:2] == ("unknown", "the split of all users was not tested")


def test_a_segment_too_small_to_be_tested_is_not_held_against_the_rest() -> None:
    tiny = replace(UNTESTED, scope="device unknown")
    assert overall([SPLIT, tiny], [], []).status == "healthy"


def test_a_check_that_cannot_be_told_is_not_held_against_the_rest() -> None:
    assert overall([SPLIT], [check_row(status="unknown")], []).status == "healthy"


@pytest.mark.parametrize("status", ["warning", "unhealthy"])
def test_a_check_that_found_something_decides_and_says_what(status: CheckStatus) -> None:
    found = overall([SPLIT], [check_row("fallbacks", status, scope="pia", told="2 % were.")], [DECISION])
    assert found == (status, "fallbacks on pia: 2 % were", "fallbacks on pia")


def test_what_is_known_to_be_wrong_comes_before_what_is_not_known() -> None:
    warned = check_row("fallbacks", "warning", told="2 % were")
    assert overall([UNTESTED], [warned], []).status == "warning"
    assert overall([UNTESTED, ALARM], [warned], []).status == "unhealthy"


def test_all_of_one_status_are_named() -> None:
    several = [check_row("fallbacks", "warning", told="a"), check_row("missing_data", "warning", told="b")]
    assert overall([SPLIT], several, []).reason == "fallbacks: a; missing data: b"
