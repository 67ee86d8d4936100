"""The charts of lifts: what they are drawn from equals the stored rows, and their marks are read in both themes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import altair as alt
import pytest
from altair.utils.schemapi import SchemaValidationError

from ab_platform.metrics import metric
from ab_platform.reporting.charts import palette
from ab_platform.reporting.charts.export import as_svg
from ab_platform.reporting.charts.forest import describe, forest, laid_out
from ab_platform.reporting.charts.frame import moment
from ab_platform.reporting.charts.novelty import novelty
from ab_platform.reporting.charts.over_time import draw, over_time
from ab_platform.reporting.printed_segments import AGE
from ab_platform.reporting.story import story
from ab_platform.results import LiftRow, LiftView, SegmentRow
from tests.readouts import ROWS
from tests.reporting.histories import CALENDAR, DAYS, LIFTS, RAMPED, views
from tests.reporting.rich import rich, segment_test

PAPERS = ("#fdfcfa", "#15171b")
PLAY = metric("play_duration")
ROW = replace(ROWS[0], variance_saved=None)


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("paper", PAPERS)
def test_every_colour_of_a_mark_has_contrast_to_both_papers(paper: str) -> None:
    colours = {palette.BETTER, palette.WORSE, palette.NEUTRAL, palette.TRUTH, *palette.ARMS, *palette.TONES.values()}
    assert {colour: round(contrast(colour, paper), 2) for colour in colours if contrast(colour, paper) < 3.5} == {}


def test_better_and_worse_are_told_apart_without_red_and_green() -> None:
    """To the eyes of who lacks red or green cones blue is what is left: the two must differ in it."""
    blue = [int(colour[5:7], 16) for colour in (palette.BETTER, palette.WORSE)]
    assert blue[0] - blue[1] > 80


def test_arms_have_colours_of_their_own_as_far_as_there_are_some() -> None:
    assert palette.arm_colours(2) == (palette.CONTROL, palette.TREATMENT)
    assert len(set(palette.arm_colours(6))) == 6
    assert palette.arm_colours(7)[6] == palette.TREATMENT


def layers(chart: alt.LayerChart) -> list[dict[str, Any]]:
    """Return a chart's layers, each with its own data: what several share stands elsewhere under a name."""
    spec = chart.to_dict()
    shared = {name: {"values": found} for name, found in spec.get("datasets", {}).items()}
    return [layer | {"data": shared.get(layer["data"].get("name"), layer["data"])} for layer in spec["layer"]]


def of_mark(chart: alt.LayerChart, mark: str) -> list[dict[str, Any]]:
    return [layer for layer in layers(chart) if layer["mark"]["type"] == mark]


def values(layer: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = layer["data"]["values"]
    return found


def bands(chart: alt.LayerChart) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for each in values(of_mark(chart, "area")[0]):
        found.setdefault(each["means"], []).append((each["low"], each["high"]))
    return found


def ends(history: tuple[LiftView, ...], monitoring: str) -> list[tuple[float | None, float | None]]:
    return [(view.row.low, view.row.high) for view in history if view.row.monitoring == monitoring]


def test_bands_and_marks_of_the_days_are_the_stored_rows() -> None:
    history = views()
    chart = over_time(history, ROW, PLAY, CALENDAR)
    found = bands(chart)
    assert found["95 % confidence sequence: holds at every look"] == ends(history, "sequential")
    assert found["95 % interval: for one look, at the planned end"] == ends(history, "fixed")
    points = values(of_mark(chart, "point")[0])
    assert [each["lift"] for each in points] == list(LIFTS)
    assert [each["day"] for each in points] == [moment(day) for day in DAYS]
    assert points[-1]["Lift"] == "+4.50 %"


def test_differences_are_drawn_in_the_metrics_unit() -> None:
    chart = over_time(views(), ROW, PLAY, CALENDAR, scale="difference")
    stored = [view.row.difference for view in views() if view.row.monitoring == "fixed"]
    assert [each["lift"] for each in values(of_mark(chart, "point")[0])] == stored
    axis = of_mark(chart, "line")[0]["encoding"]["y"]["axis"]
    assert axis["labelExpr"].endswith("+ ' s'")


def test_days_that_were_not_analysed_are_gaps_and_a_day_between_them_a_bar() -> None:
    chart = over_time(views(days=(*DAYS[:2], DAYS[3])), ROW, PLAY, CALENDAR)
    area, bar = of_mark(chart, "area")[0], next(each for each in of_mark(chart, "rect"))
    assert {each["day"] for each in values(area)} == {moment(day) for day in DAYS[:2]}
    assert {each["day"] for each in values(bar)} == {moment(DAYS[3], hours=-3)}
    line = of_mark(chart, "line")[0]
    assert line["encoding"]["detail"]["field"] == "run"
    assert [each["run"] for each in values(line)] == [0, 0, 1]


def test_colour_is_for_days_that_may_be_acted_on() -> None:
    fill = of_mark(over_time(views(), ROW, PLAY, CALENDAR), "point")[0]["encoding"]["fill"]["scale"]
    colours = dict(zip(fill["domain"], fill["range"], strict=True))
    assert colours["better, by the band that counts on that day"] == palette.BETTER
    assert colours["nothing shown yet"] == palette.NEUTRAL
    calm = of_mark(over_time(views(days=DAYS[:4]), ROW, PLAY, CALENDAR), "point")[0]["encoding"]["fill"]["scale"]
    assert set(calm["range"]) == {palette.NEUTRAL}


def named(chart: alt.LayerChart, orient: str) -> str:
    axes = [
        axis
        for layer in layers(chart)
        for channel in layer["encoding"].values()
        if isinstance(channel, dict) and isinstance(axis := channel.get("axis"), dict) and axis.get("orient") == orient
    ]
    return " ".join(str(axis["labelExpr"]) for axis in axes)


def test_the_calendar_stands_above_and_the_truth_beside() -> None:
    stopped = replace(RAMPED, stopped=DAYS[4])
    chart = over_time(views(), ROW, PLAY, stopped, truth=0.0392)
    above = named(chart, "top")
    for name in ("traffic 10 %", '"50 %"', '"100 %"', "stopped", "planned end"):
        assert name in above
    assert f"{moment(DAYS[1], hours=-12)} ? " in above  # a change counts from its day on
    assert "true lift" in named(chart, "right")
    assert "true lift" not in named(over_time(views(), ROW, PLAY, CALENDAR), "right")


def test_zero_is_on_the_axis_and_a_wild_first_day_does_not_press_the_rest_flat() -> None:
    wild = tuple(
        replace(view, row=replace(view.row, low=-3.0, high=9.0)) if view.row.as_of == DAYS[0] else view
        for view in views()
    )
    low, high = of_mark(over_time(wild, ROW, PLAY, CALENDAR), "point")[0]["encoding"]["y"]["scale"]["domain"]
    assert -1 < low < 0 < high < 1
    assert of_mark(over_time(wild, ROW, PLAY, CALENDAR), "area")[0]["mark"]["clip"]


SEGMENTS = [row for row in rich().segments if row.metric == "play_duration" and row.dimension == "device"]
AGES = [row for row in rich().segments if row.metric == "play_duration" and row.dimension == AGE]


def test_a_forest_has_all_users_first_and_every_segment_as_it_is_stored() -> None:
    points = values(of_mark(forest(SEGMENTS, None, ROW, PLAY), "point")[0])
    assert [each["segment"] for each in points] == ["all users", "phone", "television", "unknown"]
    stored: list[LiftRow | SegmentRow] = [ROW, *SEGMENTS]
    assert [each["lift"] for each in points] == [row.lift for row in stored]
    assert [(each["low"], each["high"]) for each in points] == [(row.low, row.high) for row in stored]
    assert [each["Users, control"] for each in points] == ["3,012", "2,011", "988", "13"]


def test_the_interval_of_all_users_goes_through_every_segment() -> None:
    band = next(layer for layer in of_mark(forest(SEGMENTS, None, ROW, PLAY), "rect"))
    assert values(band) == [{"low": ROW.low, "high": ROW.high}]


def test_segments_have_no_colour_since_none_has_a_verdict() -> None:
    colour = of_mark(forest(SEGMENTS, None, ROW, PLAY), "point")[0]["encoding"]["color"]["scale"]
    assert dict(zip(colour["domain"], colour["range"], strict=True)) == {True: palette.BETTER, False: palette.NEUTRAL}


def test_an_interval_that_goes_beyond_the_forest_ends_in_an_arrow() -> None:
    arrows = of_mark(forest(SEGMENTS, None, ROW, PLAY), "point")[1:3]
    assert [arrow["mark"]["shape"] for arrow in arrows] == ["triangle-left", "triangle-right"]
    assert [values(arrow)[0]["segment"] for arrow in arrows] == ["unknown", "unknown"]


def test_forests_of_one_layout_have_one_axis() -> None:
    everything = [row for row in rich().segments if row.metric == "play_duration" and row.dimension != AGE]
    layout = laid_out(everything, ROW)
    charts = [
        forest([row for row in everything if row.dimension == dimension], None, ROW, PLAY, layout=layout)
        for dimension in ("device", "interactions")
    ]
    assert len({str(of_mark(chart, "point")[0]["encoding"]["x"]["scale"]) for chart in charts}) == 1
    assert len({of_mark(chart, "rule")[-1]["encoding"]["y"]["axis"]["labelPadding"] for chart in charts}) == 1


def test_a_segment_without_a_number_keeps_its_place() -> None:
    nobody = replace(SEGMENTS[2], lift=None, low=None, high=None, p_value=None, reason="no users in control")
    points = values(of_mark(forest([*SEGMENTS[:2], nobody], None, ROW, PLAY), "point")[0])
    assert (points[3]["segment"], points[3]["lift"], points[3]["Lift"]) == ("unknown", None, "—")


@pytest.mark.parametrize(
    ("p_value", "said"), [(0.004, "The lift differs"), (0.4, "No difference"), (None, "is unknown")]
)
def test_who_cannot_see_a_forest_is_told_what_the_test_says(p_value: float | None, said: str) -> None:
    told = describe(SEGMENTS, segment_test("play_duration", "device", p_value), ROW, PLAY)
    assert said in told
    assert "All users +4.50 %; phone +3.91 %; television +6.1 %; unknown +40 %." in told


def test_novelty_is_drawn_by_days_since_exposure_from_the_stored_rows() -> None:
    points = values(of_mark(novelty(AGES, ROW, PLAY), "point")[0])
    assert [(each["segment"], each["lift"], each["low"], each["high"]) for each in points] == [
        (row.segment, row.lift, row.low, row.high) for row in AGES
    ]


def test_a_day_whose_interval_goes_beyond_the_picture_ends_in_an_arrow() -> None:
    wild = replace(AGES[3], low=-0.4, high=2.0)
    arrows = of_mark(novelty([*AGES[:3], wild], ROW, PLAY), "point")[1:]
    assert [(arrow["mark"]["shape"], values(arrow)[0]["segment"]) for arrow in arrows] == [
        ("triangle-down", "10"),
        ("triangle-up", "10"),
    ]


def test_what_must_not_be_believed_has_no_colour() -> None:
    doubted = forest(SEGMENTS, None, ROW, PLAY, doubted=True)
    assert set(of_mark(doubted, "point")[0]["encoding"]["color"]["scale"]["range"]) == {palette.NEUTRAL}
    told = draw(story(views(), ROW, PLAY, CALENDAR, doubted=True))
    assert set(of_mark(told, "point")[0]["encoding"]["fill"]["scale"]["range"]) == {palette.NEUTRAL}
    assert {each["means"] for each in values(of_mark(told, "point")[0])} == {"not to be trusted"}


CHARTS = {
    "over time": over_time(views(), ROW, PLAY, RAMPED, truth=0.0392),
    "one day": over_time(views(days=DAYS[:1]), ROW, PLAY, CALENDAR),
    "guardrail": over_time(
        views(role="guardrail", null_lift=-0.02), replace(ROW, role="guardrail", null_lift=-0.02), PLAY, CALENDAR
    ),
    "forest": forest(SEGMENTS, segment_test("play_duration", "device", 0.004), ROW, PLAY),
    "novelty": novelty(AGES, ROW, PLAY),
}


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_is_sound_and_described(name: str) -> None:
    try:
        spec = CHARTS[name].to_dict()
    except SchemaValidationError as error:
        pytest.fail(str(error))
    assert spec["description"].startswith("Home Card, Play duration per user (s), pia: ")
    svg = as_svg(CHARTS[name])
    assert svg.startswith("<svg")
    assert "NaN" not in svg


@pytest.mark.parametrize("name", ["over time", "forest"])
def test_texts_take_their_colour_from_the_theme(name: str) -> None:
    assert [layer for layer in layers(CHARTS[name]) if layer["mark"]["type"] == "text"] == []
    light, dark = as_svg(CHARTS[name]), as_svg(CHARTS[name], dark=True)
    assert "#65625c" in light
    assert "#65625c" not in dark


def test_a_name_of_a_segment_with_quotes_stays_a_name() -> None:
    odd = replace(SEGMENTS[0], segment="a \"b\" 'c' \\ d")
    assert "3,012" in as_svg(forest([odd], None, ROW, PLAY))
