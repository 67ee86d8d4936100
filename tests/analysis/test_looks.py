"""Looks: which days of an experiment may be judged, and by what."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from ab_platform.analysis.looks import look_days, monitored
from ab_platform.experiment import AnalysisRule
from ab_platform.lineage import Launch
from ab_platform.statistics.confidence_sequence import tuned
from ab_platform.statistics.group_sequential import GroupSequential
from ab_platform.statistics.monitoring import FIXED
from ab_platform.storage.store import ExposedOn
from tests.analysis.made import START, definition

FIRST = START.date()


def launch(**rule: object) -> Launch:
    experiment = definition(analysis=AnalysisRule(**rule))  # type: ignore[arg-type]
    return Launch(experiment, {}, "running", 1.0, START, START, START + timedelta(days=7))


def exposed(*users: int) -> list[ExposedOn]:
    """Return so many users of both arms together on each day, and half of them on the other surface."""
    days = [(FIRST + timedelta(days=number), count) for number, count in enumerate(users)]
    home = [ExposedOn("home_card", "old", day, count) for day, count in days]
    return [*home, *(ExposedOn("movie_card", "old", day, count // 2) for day, count in days)]


def day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


def test_a_fixed_experiment_says_before_its_end_that_it_is_too_early() -> None:
    early, late = (monitored(launch(), [], day(number)) for number in (3, 7))
    assert early.monitoring == late.monitoring == FIXED
    assert "before it interval and p-value promise too much" in early.told
    assert late.told == "Monitoring: fixed, one look at the planned end."


def test_a_stopped_experiment_has_reached_its_end() -> None:
    stopped = replace(launch(), state="stopped", stopped_at=START + timedelta(days=3))
    assert monitored(stopped, [], day(3)).told == "Monitoring: fixed, one look at the planned end."


def test_a_sequential_experiment_is_tuned_for_its_expected_users_and_nothing_seen() -> None:
    rule = launch(monitoring="sequential", users=5_000)
    assert {monitored(rule, exposed(*users), day(2)).monitoring for users in ((10, 5), (900, 80))} == {
        tuned(5_000, 0.05)
    }


@pytest.mark.parametrize(
    ("looks", "days"), [(7, [1, 2, 3, 4, 5, 6, 7]), (2, [4, 7]), (3, [3, 5, 7]), (100, [*range(1, 8)])]
)
def test_planned_looks_are_spread_over_the_days_and_end_with_the_last(looks: int, days: list[int]) -> None:
    rule = launch(monitoring="group_sequential", users=1_000, looks=looks)
    assert look_days(rule) == tuple(day(number) for number in days)


def test_a_planned_look_is_made_of_the_share_of_users_at_each_look_so_far() -> None:
    rule = launch(monitoring="group_sequential", users=1_000, looks=7)
    found = monitored(rule, exposed(200, 100, 50), day(3))
    assert found.monitoring == GroupSequential((0.2, 0.3, 0.35))
    assert found.absent is None
    assert found.told.endswith("this is look 3, with 35 % of the users.")


def test_between_planned_looks_nothing_is_judged_and_the_next_is_named() -> None:
    rule = launch(monitoring="group_sequential", users=1_000, looks=2)
    found = monitored(rule, exposed(200, 100, 50, 50, 50), day(5))
    assert found.absent == f"{day(5)} is no planned look; the last was {day(4)}, the next is {day(7)}"


def test_before_the_first_planned_look_it_is_named() -> None:
    rule = launch(monitoring="group_sequential", users=1_000, looks=2)
    assert monitored(rule, exposed(200), day(1)).absent == f"the first planned look is as of {day(4)}; wait for it"


def test_a_look_that_brought_nobody_is_not_counted() -> None:
    rule = launch(monitoring="group_sequential", users=1_000, looks=7)
    assert monitored(rule, exposed(200, 0, 50), day(3)).monitoring == GroupSequential((0.2, 0.25))


def test_more_users_than_planned_are_all_of_them() -> None:
    rule = launch(monitoring="group_sequential", users=1_000, looks=7)
    assert monitored(rule, exposed(600, 700, 100), day(2)).monitoring == GroupSequential((0.6, 1.0))
    assert monitored(rule, exposed(600, 700, 100), day(3)).monitoring == GroupSequential((0.6, 1.0))


def test_after_the_last_look_it_stays_the_last() -> None:
    rule = launch(monitoring="group_sequential", users=1_000, looks=2)
    found = monitored(rule, exposed(200, 100, 50, 50, 50, 50, 50, 0), day(9))
    assert found.monitoring == GroupSequential((0.4, 0.55))
    assert found.absent is None
