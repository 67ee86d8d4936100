"""One user's slates on the page, and what is out of the ordinary about them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape

import pytest

from ab_platform.lineage import Launch
from ab_platform.reporting.placement import Place, place, verdict
from ab_platform.reporting.user_timeline import lasting, remarked, remarks, since, timeline
from ab_platform.user_story import SlateShown, TitleShown, UserExposure, UserStory
from tests.storage import made

LAUNCH = made.launch()
TITLES = (TitleShown("t1", "Heat <1995>", 0, 0, None), TitleShown("t2", None, 1, 2, 3_725.0))


def whom(said: str = "In arm pia", *, traffic: float = 1.0) -> Place:
    places = (place(LAUNCH.experiment, f"u{number}", traffic=traffic) for number in range(200))
    return next(each for each in places if verdict(each) == said)


def told(*, known: bool = True, arm: str = "pia", **changed: object) -> UserStory:
    slates = (
        SlateShown("movie_card", made.after(days=1, seconds=61), arm, "popularity", None, TITLES[:1]),
        SlateShown("home_card", made.after(seconds=3_600), arm, arm, 12.4, TITLES),
    )
    exposures = (UserExposure("home_card", arm, made.after(seconds=3_600)),)
    return replace(UserStory(known, None, None, exposures, slates, 2, 0), **changed)  # type: ignore[arg-type]


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


# Slates ---------------------------------------------------------------------------------------------------------------


def test_slates_are_by_day_with_what_became_of_each_title() -> None:
    found = timeline(told(), first=1)
    assert words(found) == (
        "Slates 1 to 2 of 2, the newest first; times in UTC. "
        "Monday, 2026-03-02 00:01:01 Movie Card made by the fallback, popularity Heat <1995> "
        "Sunday, 2026-03-01 01:00:00 Home Card made by pia, in 12 ms Heat <1995> "
        "title t2 clicked 2 times watched 1 h 02 min"
    )
    assert re.findall(r'<li value="(\d)"', found) == ["1", "1", "2"]
    assert "<1995>" not in found


def test_a_popularity_arm_is_not_its_own_fallback() -> None:
    slate = replace(told().slates[0], arm="popularity")
    assert "made by popularity" in words(timeline(told(slates=(slate,)), first=1))


def test_a_later_page_counts_on() -> None:
    assert "Slates 51 to 52 of 60" in timeline(told(slates_in_all=60), first=51)


def test_without_slates_there_is_no_timeline() -> None:
    assert timeline(told(slates=()), first=1) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (754.0, "12 min 34 s"), (86_400.0, "24 h 00 min")],
)
def test_a_watch_lasts_as_long_as_people_say_it(seconds: float, text: str) -> None:
    assert lasting(seconds) == text


def test_a_user_counts_since_the_exposure_of_each_surface() -> None:
    assert since(told()) == "Counts since 2026-03-01 01:00 UTC on Home Card."
    assert since(told(exposures=())) == ""


# What is out of the ordinary ------------------------------------------------------------------------------------------


def test_an_ordinary_user_has_no_remarks() -> None:
    assert remarks(told(), LAUNCH, whom()) == ()
    assert remarked(()) == ""


@pytest.mark.parametrize(
    ("story", "launch", "where", "said"),
    [
        (
            told(known=False, exposures=(), slates=(), erased_at=made.after(days=2)),
            LAUNCH,
            whom(),
            "Erased on 2026-03-03 00:00 UTC: nothing from before is stored",
        ),
        (told(known=False, exposures=(), slates=()), LAUNCH, whom(), "Unknown: nobody of this id is in data set ml-1m"),
        (told(exposures=(), slates=()), LAUNCH, whom(), "In, but never served yet"),
        (told(mixed_at=made.after(days=2)), LAUNCH, whom(), "Seen in several arms, first on 2026-03-03 00:00 UTC"),
        (told(arm="control"), LAUNCH, whom(), "Exposed to control, which is not where the user falls"),
        (told(), LAUNCH, whom("Not in at this traffic", traffic=0.1), "Exposed"),
        (
            told(slates=()),
            replace(LAUNCH, events_deleted_at=made.after(days=90)),
            whom(),
            "Raw events were deleted on 2026-05-30 00:00 UTC",
        ),
        (
            told(),
            replace(LAUNCH, state="stopped", stopped_at=made.START + timedelta(days=3)),
            whom(),
            "The experiment was stopped on 2026-03-04 00:00 UTC",
        ),
        (told(astray=3), LAUNCH, whom(), "3 clicks and watches point to no impression that arrived"),
        (told(astray=1), LAUNCH, whom(), "1 click or watch points to no impression that arrived"),
    ],
)
def test_each_thing_out_of_the_ordinary_is_said(story: UserStory, launch: Launch, where: Place, said: str) -> None:
    assert any(each.startswith(said) for each in remarks(story, launch, where))


def test_who_was_exposed_under_more_traffic_is_told_so() -> None:
    where = whom("Not in at this traffic", traffic=0.1)
    story = told(arm=str(where.arm_at_full_traffic))
    assert remarks(story, LAUNCH, where) == (
        "Exposed when the traffic was higher; at the traffic of now the user is not in.",
    )


def test_an_unknown_user_is_not_also_told_to_be_unserved() -> None:
    assert len(remarks(told(known=False, exposures=(), slates=()), LAUNCH, whom())) == 1


def test_commands_are_set_apart_and_the_rest_is_escaped() -> None:
    assert "<li>run <code>abp a&lt;b</code> &amp; see</li>" in remarked(["run `abp a<b` & see"])
