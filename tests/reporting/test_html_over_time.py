"""The lift over time as HTML: the figures of each day, every row small, and what the test between segments says."""

import re
from dataclasses import replace
from html import unescape

from ab_platform.metrics import metric
from ab_platform.reporting.html_by_segment import DIFFERS, segments_table, title, verdict
from ab_platform.reporting.html_over_time import days_table, picture, small_multiples
from ab_platform.reporting.printed_segments import SegmentTable, tables
from ab_platform.reporting.story import story
from tests.readouts import ROWS
from tests.reporting.histories import CALENDAR, DAYS, views
from tests.reporting.rich import rich

PLAY = metric("play_duration")
ROW = replace(ROWS[0], variance_saved=None)
TOLD = story(views(), ROW, PLAY, CALENDAR)


def words(markup: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", markup)).replace("−", "-").split())


def test_the_table_has_each_day_with_both_intervals_the_newest_first() -> None:
    text = words(days_table(TOLD))
    assert "2025-03-09 day 7 3,012 2,988 +4.50 % +1.10 to +7.90 % p = 0.010 -0.43 to +9.43 % p = 0.300 better" in text
    assert text.index("2025-03-09") < text.index("2025-03-03")
    assert days_table(TOLD).count('scope="row"') == 7


def test_a_day_that_was_not_analysed_says_so_in_its_place() -> None:
    text = words(days_table(story(views(days=(DAYS[0], DAYS[2])), ROW, PLAY, CALENDAR)))
    assert "2025-03-04 day 2 — — — — not analysed" in text
    assert text.index("2025-03-05") < text.index("not analysed") < text.index("2025-03-03")


def test_differences_are_named_so() -> None:
    text = words(days_table(story(views(), ROW, PLAY, CALENDAR, scale="difference")))
    assert "Difference" in text
    assert "+1.9 s" in text


def test_every_row_has_a_card_that_leads_to_it_and_the_large_one_is_marked() -> None:
    other = story(views("movie_card"), replace(ROW, surface="movie_card"), PLAY, CALENDAR)
    cards = small_multiples(
        (TOLD, other), lambda told: f"over_time?row={told.row.surface}&arm=<b>", lambda told: told is TOLD
    )
    assert cards.count("<li>") == 2
    assert 'href="over_time?row=movie_card&amp;arm=&lt;b&gt;"' in cards
    assert cards.count('aria-current="true"') == 1
    assert cards.index('aria-current="true"') < cards.index("Movie Card")
    assert "Home Card Play duration per user (s) +4.50 % +1.10 to +7.90 % better" in words(cards)


def test_a_card_shows_the_interval_that_counts() -> None:
    early = story(views(days=DAYS[:3]), ROW, PLAY, CALENDAR)
    newest = early.told[-1]
    text = words(small_multiples((early,), lambda _: "", lambda _: False))
    assert newest.facts[3] in text
    assert newest.facts[2] not in text


def corners(drawn: str, name: str) -> list[list[tuple[float, float]]]:
    found = re.findall(rf'class="band {name}" style="clip-path:polygon\(([^)]*)\)"', drawn)
    return [[tuple(map(float, re.findall(r"-?[\d.]+", each))) for each in one.split(",")] for one in found]  # type: ignore[misc]


def test_bands_of_a_small_picture_are_where_their_intervals_are() -> None:
    (wide,), (narrow,) = corners(picture(TOLD), "every"), corners(picture(TOLD), "one")
    assert len(wide) == len(narrow) == 14
    for (x, outer), (same, inner) in zip(wide[:7], narrow[:7], strict=True):
        assert x == same
        assert outer <= inner
    axis = TOLD.axis
    high = TOLD.told[-1].day.fixed.high
    assert high is not None
    assert abs(narrow[6][1] - 100 * (1 - axis.share(high))) < 0.06


def test_a_gap_divides_a_small_picture_and_a_lone_day_is_a_bar() -> None:
    drawn = picture(story(views(days=(*DAYS[:2], DAYS[4])), ROW, PLAY, CALENDAR))
    assert [len(each) for each in corners(drawn, "one")] == [4, 4]
    assert drawn.count('class="trace"') == 2


def test_a_small_picture_has_marks_only_where_something_may_be_acted_on() -> None:
    drawn = picture(TOLD)
    assert re.findall(r'class="dot (\w+)"', drawn) == ["better"]
    assert 'role="img" aria-label="Home Card, Play duration per user (s), pia: ' in drawn


def test_margin_and_truth_are_lines_of_a_small_picture() -> None:
    guarded = story(
        views(role="guardrail", null_lift=-0.02), replace(ROW, role="guardrail", null_lift=-0.02), PLAY, CALENDAR
    )
    assert 'class="margin"' in picture(guarded)
    assert 'class="true"' in picture(replace(TOLD, truth=0.04))
    assert 'class="true"' not in picture(TOLD)


def by(dimension: str, row_number: int = 0) -> SegmentTable:
    found = dict(tables(rich(), rich().lifts[row_number]))
    return found[dimension]


def test_segments_that_differ_say_what_follows() -> None:
    text = words(verdict("device", by("device")))
    assert text == f"By device The lift DIFFERS between segments, p = 0.004, Holm over 4 tests. {DIFFERS}"


def test_segments_that_do_not_differ_say_no_more_than_that() -> None:
    text = words(verdict("interactions", by("interactions")))
    assert (
        text
        == "By interactions in the training data No difference between segments shown, p = 0.410, Holm over 4 tests."
    )


def test_a_secondary_row_is_tested_in_a_family_of_its_own() -> None:
    assert words(verdict("device", by("device", 3))) == "By device No difference between segments shown, p = 0.500."


def test_the_table_of_segments_begins_with_all_users() -> None:
    text = words(segments_table("device", by("device"), rich().lifts[0], PLAY))
    assert "97.5 % confidence sequence all users 3,012 / 2,988 +4.50 % +1.02 to +8.12 % phone 2,011 / 1,990" in text
    assert "unknown 13 / 11 +40 % -70 to +310 %" in text


def test_a_dimension_is_named_by_what_it_is() -> None:
    assert title("cohort") == "By day of the exposure"
    assert title("country") == "By country"
