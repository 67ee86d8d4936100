"""The power plan on the page: its sentence, its table, its chart."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from ab_platform.experiment import AnalysisRule, Arm, DataRule, Experiment, Guardrail
from ab_platform.metrics import CATALOGUE, Row
from ab_platform.past import Arrivals, PastData
from ab_platform.planning import Given, by_days, planned
from ab_platform.power_plan import PowerPlan, Variation
from ab_platform.reporting.charts.power import MOST_TICKS, Against, Curve, curves, ticks
from ab_platform.reporting.power_answer import about, answer, distinct, in_words, row_label, row_words
from ab_platform.reporting.power_table import answer_html, table_html

POPULATION = 10_000
GIVEN = Given()


def defined(**changed: Any) -> Experiment:
    arms = (Arm("a", "multi_vae", 0.5, control=True), Arm("b", "pia", 0.5))
    rule = AnalysisRule(lift_to_find=0.1)
    return replace(Experiment("plan", DataRule("small"), arms, analysis=rule), **changed)


def measured(*, users: float = 7_000.0, most: float = math.inf) -> PastData:
    variation = Variation(2.0, 0.3, "measured in earlier over 7 days")
    come = Arrivals(tuple(users * (day + 1) / 7 for day in range(7)), most, "users come as in earlier")
    rows = ("home_card.play_duration", "home_card.visits")
    return PastData(dict.fromkeys(rows, variation), {"home_card": come, "movie_card": come})


def made(experiment: Experiment, past_data: PastData) -> PowerPlan:
    return planned(experiment, past_data, POPULATION, given=GIVEN)


def drawn(experiment: Experiment, past_data: PastData) -> tuple[PowerPlan, list[Curve]]:
    plan = made(experiment, past_data)
    return plan, [
        Curve(row.row, row, by_days(experiment, past_data, POPULATION, row, given=GIVEN)) for row in plan.rows
    ]


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


# The sentence ---------------------------------------------------------------------------------------------------------


def test_the_answer_says_what_is_found_and_what_more_would_take() -> None:
    assert answer(made(defined(), measured()), defined()) == (
        "With 7 days and 3,500 users an arm, a lift of 11 % in play duration per user on Home Card is found with "
        "80 % power; 10 % would need 8,800 users, 9 days."
    )


def test_the_answer_says_when_there_are_enough() -> None:
    plenty = defined(analysis=AnalysisRule(lift_to_find=0.2))
    assert answer(made(plenty, measured()), plenty).endswith(
        "so the 20 % looked for would be found; that needs 2,200 users, there by day 3."
    )


def test_the_answer_says_when_they_never_come() -> None:
    found = answer(made(defined(), measured(most=7_200.0)), defined())
    assert found.endswith("10 % would need 8,800 users, more than come within a year.")


def test_the_answer_says_when_nothing_can_be_shown() -> None:
    found = answer(made(defined(), measured(users=1.0)), defined())
    assert found.startswith("With 7 days, nothing can be shown in play duration per user on Home Card:")
    assert "1 users are too few" in found


def test_arms_of_other_weights_and_several_treatments_are_told_apart() -> None:
    arms = (Arm("a", "a", 0.6, control=True), Arm("b", "b", 0.3), Arm("c", "c", 0.1))
    found = answer(made(defined(arms=arms), measured()), defined(arms=arms))
    assert "7,000 users, 30 % of them in b, a lift of b of" in found


def test_treatments_that_have_the_same_users_are_told_once() -> None:
    even = defined(arms=(Arm("a", "a", 0.3334, control=True), Arm("b", "b", 0.3333), Arm("c", "c", 0.3333)))
    plan = made(even, measured())
    assert [row.arm for row in distinct(plan, even)] == ["b"]
    assert "2,333 users an arm, a lift of each treatment of" in answer(plan, even)
    apart = defined(arms=(Arm("a", "a", 0.5, control=True), Arm("b", "b", 0.3), Arm("c", "c", 0.2)))
    assert [row.arm for row in distinct(made(apart, measured()), apart)] == ["b", "c"]


def test_with_guardrails_the_power_of_one_row_and_of_all_are_both_said() -> None:
    guarded = defined(guardrails=(Guardrail("home_card.visits", 0.05),))
    assert "with 90 % power (80 % for all rows together)" in answer(made(guarded, measured()), guarded)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("play_duration", "play duration per user on Home Card"),
        ("latency", "latency of a slate on Home Card"),
        ("click_rate_per_view", "click-through rate (% of views) on Home Card"),
        ("retention_day_7", "retention on day 7 (% of users) on Home Card"),
    ],
)
def test_a_row_is_named_within_a_sentence(name: str, told: str) -> None:
    row = Row("home_card", next(each for each in CATALOGUE if each.name == name))
    assert row_words(row) == told
    assert row_label(row) == f"Home Card: {told.removesuffix(' on Home Card')}"


def test_the_longest_name_of_a_row_is_put_into_words() -> None:
    experiment = defined(primary=("home_card.play_duration", "home_card.play_duration_winsorised"))
    said = in_words("home_card.play_duration_winsorised needs more than home_card.play_duration", experiment)
    assert said == (
        "Play duration per user, winsorised on Home Card needs more than play duration per user on Home Card"
    )


@pytest.mark.parametrize(
    ("users", "told"), [(7, "7"), (999, "999"), (1_001, "1,010"), (151_001, "152,000"), (3_030_000, "3,030,000")]
)
def test_users_have_three_digits_and_are_rounded_up(users: int, told: str) -> None:
    assert about(users) == told


# The table ------------------------------------------------------------------------------------------------------------


def test_the_table_has_every_figure_of_the_plan() -> None:
    guarded = defined(guardrails=(Guardrail("home_card.visits", 0.05),))
    plan = made(guarded, measured(most=7_200.0))
    text = words(table_html(plan, guarded, more="More <b>."))
    primary, guardrail = plan.rows
    for row in (primary, guardrail):
        assert f"{row.users_needed:,}" in text
        assert f"{row.users:,}" in text
    assert "Home Card: play duration per user primary lift +10 %" in text
    assert "guardrail margin −5 %" in text
    assert "At most 7,200 users come within 365 days." in text
    assert "coefficient of variation 2.00 (measured in earlier over 7 days)" in text
    assert "More <b>." in text


def test_table_and_answer_are_told_to_who_cannot_see_them() -> None:
    plan = made(defined(), measured())
    table = table_html(plan, defined())
    assert {"table", "rowgroup", "row", "columnheader", "rowheader", "cell"} <= set(re.findall(r'role="(\w+)"', table))
    assert 'role="status" aria-live="polite"' in answer_html(plan, defined())
    assert "<b>3,500 users an arm</b>" in answer_html(plan, defined())


def test_what_is_absent_is_no_zero() -> None:
    nothing = defined(analysis=AnalysisRule())
    text = words(table_html(made(nothing, measured(users=1.0)), nothing))
    assert "primary — — 1 — — " in text


# The chart ------------------------------------------------------------------------------------------------------------


def layers(experiment: Experiment, past_data: PastData, against: Against) -> dict[str, list[dict[str, Any]]]:
    """Return the records of the chart's lines, its full and its empty circles."""
    spec = curves(*drawn(experiment, past_data), against=against).to_dict()
    assert spec["description"].startswith(f"Smallest lift found against {against}.")
    found: dict[str, list[dict[str, Any]]] = {}
    for layer in spec["layer"]:
        mark = layer["mark"]
        values = layer["data"].get("values") or spec["datasets"][layer["data"]["name"]]
        kind = f"{'full' if mark.get('filled') else 'empty'} point" if mark["type"] == "point" else mark["type"]
        found[kind] = values
    return found


def test_the_lines_are_the_plans_curves_up_to_what_is_needed() -> None:
    plan, _ = drawn(defined(), measured())
    (row,) = plan.rows
    found = layers(defined(), measured(), "users")
    points = {(each["users"], each["lift"]) for each in found["line"]}
    curve = {(point.users, point.detectable) for point in row.curve}
    assert points == curve | {(row.users, row.detectable), (row.users_needed, 0.1)}
    assert [(each["users"], each["lift"]) for each in found["full point"]] == [(row.users, row.detectable)]
    assert [(each["users"], each["lift"]) for each in found["empty point"]] == [(row.users_needed, 0.1)]


def test_by_days_the_curve_goes_to_four_times_the_planned_ones_and_the_end_is_marked() -> None:
    plan, (curve,) = drawn(defined(), measured())
    found = layers(defined(), measured(), "days")
    assert [each["days"] for each in found["line"]] == list(range(1, 29))
    assert [each["lift"] for each in found["line"]] == [point.detectable for point in curve.days]
    assert found["rule"] == [{"days": plan.days}]
    assert [each["days"] for each in found["empty point"]] == [plan.rows[0].days_needed]


def test_what_is_never_reached_has_no_mark_on_the_days() -> None:
    assert layers(defined(), measured(most=7_200.0), "days")["empty point"] == []


def test_a_mark_says_row_users_day_and_lift() -> None:
    (mark,) = layers(defined(), measured(), "users")["full point"]
    told = {name: mark[name] for name in ("Row", "Users", "Day", "Lift found")}
    assert told == {"Row": "home_card.play_duration", "Users": "7,000", "Day": "7", "Lift found": "11 %"}


def test_guardrails_are_dashed() -> None:
    guarded = defined(guardrails=(Guardrail("home_card.visits", 0.05),))
    spec = curves(*drawn(guarded, measured()), against="users").to_dict()
    (dashes,) = [layer["encoding"]["strokeDash"]["scale"] for layer in spec["layer"] if layer["mark"]["type"] == "line"]
    assert dashes == {"domain": ["home_card.play_duration", "home_card.visits"], "range": [[1, 0], [6, 4]]}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.01, 0.1, [0.01, 0.02, 0.05, 0.1]),
        (0.011, 0.019, []),
        (10.0, 90_000.0, [10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0]),
        (1.0, 1e6, [10.0**power for power in range(7)]),
    ],
)
def test_ticks_are_round_and_few(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected
    assert len(ticks(low, high)) <= MOST_TICKS


# Over the days --------------------------------------------------------------------------------------------------------


def test_each_day_shows_what_a_plan_of_so_many_days_shows() -> None:
    past_data = measured(most=9_000.0)
    _, (curve,) = drawn(defined(), past_data)
    for point in curve.days[::5]:
        shorter = made(defined(days=point.day), past_data).rows[0]
        assert (shorter.users, shorter.detectable) == (point.users, point.detectable)


def test_an_arm_without_weight_has_no_days() -> None:
    arms = (Arm("a", "a", 0.5, control=True), Arm("b", "b", 0.5), Arm("c", "c", 0.0))
    _, (_, without) = drawn(defined(arms=arms), measured())
    assert without.days == ()
