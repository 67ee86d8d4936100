"""What health rests on, as it is printed and as HTML."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from math import inf

import pytest

from ab_platform.reporting.html_checks import health_article, scopes_article, sentence
from ab_platform.reporting.printed_checks import gaps, printed_checks
from ab_platform.statistics.sample_ratio import sample_ratio
from tests.readouts import check_row, ratio_row, readout


def test_a_gap_is_a_number_of_users_and_a_share_of_those_expected() -> None:
    control, treatment = gaps(ratio_row(counts=(5180, 4820)))
    assert (control.found, control.expected, control.gap) == ("5,180", "5,000", "+180 (+3.60 %)")
    assert treatment.gap == "-180 (-3.60 %)"


def test_the_spread_of_two_arms_is_the_root_of_chi_squared() -> None:
    row = ratio_row(counts=(5180, 4820))
    found = sample_ratio(row.counts, (0.5, 0.5))
    assert found.chi2 is not None
    assert [gap.spread for gap in gaps(row)] == pytest.approx([found.chi2**0.5, -(found.chi2**0.5)])


def test_no_gap_is_printed_as_none_and_users_without_a_weight_are_beyond_any_chance() -> None:
    assert [gap.gap for gap in gaps(ratio_row(counts=(10, 10)))] == ["0", "0"]
    astray = replace(ratio_row(counts=(10, 3)), expected=(13.0, 0.0), alarm=True)
    assert gaps(astray)[1].spread == inf
    assert gaps(astray)[1].gap == "+3"


def test_of_several_arms_the_one_that_is_farthest_off_is_shown() -> None:
    row = replace(ratio_row(), arms=("a", "b", "c"), counts=(100, 70, 130), expected=(100.0, 100.0, 100.0))
    lopsided = replace(row, counts=(95, 60, 145), scope="home_card")
    page = printed_checks(readout(ratios=(row, lopsided)))
    assert page.scopes[0].widest.arm == "c"


def test_a_healthy_experiment_has_nothing_to_do() -> None:
    page = printed_checks(replace(readout(), checks=(check_row(),)))
    assert page.belief.status == "healthy"
    assert page.next_step == ""


def test_an_alarm_asks_for_the_diagnosis_whatever_else_is_wrong() -> None:
    wrong = check_row("fallbacks", "unhealthy", told="8 % are fallbacks", next_step="see the arm's log")
    alarm = replace(ratio_row("home_card", p_value=1e-5), reason="p is 1e-5")
    page = printed_checks(replace(readout(ratios=(ratio_row(), alarm)), checks=(wrong,)))
    assert page.next_step == "find out which users are missing, and where: `abp srm diagnose pia-vs-multivae`"
    without = printed_checks(replace(readout(), checks=(wrong,)))
    assert without.next_step == "see the arm's log"


def test_one_finding_is_told_in_full_and_of_several_the_names() -> None:
    alarm = replace(ratio_row("home_card", p_value=1e-5), reason="p is 1e-5")
    wrong = check_row("missing_data", "unhealthy", scope="movie_card pia", told="pia has 20 users fewer")
    sparse = check_row("fallbacks", "warning", scope="pia", told="2 % are fallbacks")
    one = printed_checks(replace(readout(ratios=(ratio_row(), alarm)), checks=(sparse,)))
    assert one.reason == "The split of Home Card alarms (p is 1e-5)."
    several = printed_checks(replace(readout(ratios=(ratio_row(), alarm)), checks=(sparse, wrong)))
    assert several.reason == "The split alarms (Home Card). Missing data (Movie Card, pia)."


def test_an_arm_that_begins_a_sentence_keeps_its_name() -> None:
    told = [
        check_row("missing_data", told="pia has 20 users fewer"),
        check_row("fallbacks", told="popularity made 2 %"),
    ]
    page = printed_checks(replace(readout(), checks=tuple(told)))
    assert {check.told for check in page.checks} == {"pia has 20 users fewer", "Popularity made 2 %"}


def test_a_bar_ends_where_the_gap_is_on_the_scale_of_chance() -> None:
    shown = health_article(readout(ratios=(ratio_row(counts=(5180, 4820), p_value=0.00032),)))
    ends = [float(found) for found in re.findall(r'class="end" style="left:([\d.]+)%', shown)]
    bands = set(re.findall(r'class="band" style="left:([\d.]+)%;width:([\d.]+)%', shown))
    # 3.6 of 6 standard deviations to either side of the middle, over 47 % of the width; chance ends at 3.29.
    assert ends == pytest.approx([50 + 47 * 3.6 / 6, 50 - 47 * 3.6 / 6], abs=0.01)
    ((low, width),) = bands
    assert float(low) == pytest.approx(50 - 47 * 3.2905 / 6, abs=0.01)
    assert float(width) == pytest.approx(2 * 47 * 3.2905 / 6, abs=0.02)


def test_a_bar_says_in_words_what_it_shows() -> None:
    shown = unescape(health_article(readout()))
    assert 'aria-label="pia: −12 (−0.40 %) users, 0.3 standard deviations of chance"' in shown


def test_a_gap_beyond_the_scale_stands_at_its_end() -> None:
    far = replace(ratio_row(counts=(9000, 1000), p_value=0.0, e_value=1e9), reason="p is 0")
    shown = health_article(readout(ratios=(far,)))
    assert "left:97.00%" in shown
    assert "left:3.00%" in shown


def test_every_status_is_a_word_beside_its_shape_and_colour() -> None:
    rows = [check_row("fallbacks", status) for status in ("healthy", "warning", "unhealthy", "unknown")]
    shown = health_article(replace(readout(), checks=tuple(rows)))
    for status in ("healthy", "warning", "unhealthy", "unknown"):
        assert f'<strong class="status {status}">{status}</strong>' in shown


def test_tables_tell_who_cannot_see_them_what_their_cells_are() -> None:
    shown = health_article(replace(readout(), checks=(check_row(),))) + scopes_article(readout())
    assert shown.count("<table") == 3
    assert shown.count('<th role="columnheader" scope="col">') == 5 + 3 + 6
    for label in ("Users of each arm", "Checks of the data", "Split by scope"):
        assert f'aria-label="{label}"' in shown


def test_commands_are_set_apart_and_the_rest_is_escaped() -> None:
    assert sentence("run `abp analyze a&b`, not <this>.") == "run <code>abp analyze a&amp;b</code>, not &lt;this&gt;"
