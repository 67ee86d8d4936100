"""A look: alerts that are raised once and cleared, and the automatic stop."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ab_platform.conduct.guard import guard, running
from ab_platform.storage.store import Store
from tests.conduct.test_gate import KEY, RAMPED, visit
from tests.worlds import START, USERS, launch, register

DAY = START + timedelta(hours=9)


@pytest.fixture
def guarded(store: Store) -> Store:
    register(store, replace(launch(RAMPED), traffic=0.9))
    return store


def kinds(store: Store) -> list[tuple[str, bool]]:
    return [(alert.kind, alert.cleared_at is None) for alert in store.alerts(KEY)]


def test_a_healthy_day_raises_nothing(guarded: Store) -> None:
    visit(guarded, USERS, clicks_of={"head": 2, "tail": 2})
    found = guard(guarded, KEY, now=DAY)
    assert (found.raised, found.stopped, found.as_of) == ((), None, START.date())


def test_events_that_stop_coming_are_told_once_and_cleared_when_they_come_again(guarded: Store) -> None:
    assert guard(guarded, KEY, now=START + timedelta(hours=20)).raised == ()
    late = START + timedelta(hours=25)
    [alert] = guard(guarded, KEY, now=late).raised
    assert "no event came since it began at 2026-03-01 00:00 UTC" in alert.message
    assert guard(guarded, KEY, now=late).raised == ()
    visit(guarded, USERS, clicks_of={})
    guard(guarded, KEY, now=late)
    assert kinds(guarded) == [("no_data", False)]


def test_the_planned_end_is_told(guarded: Store) -> None:
    visit(guarded, USERS, clicks_of={"head": 2, "tail": 2})
    found = guard(guarded, KEY, now=START + timedelta(days=7))
    assert {alert.kind for alert in found.raised} == {"no_data", "end_reached"}
    assert any("decide: `abp decide tail-vs-head`" in alert.message for alert in found.raised)


def test_a_breach_is_told_and_stops_only_an_experiment_that_says_so(guarded: Store) -> None:
    visit(guarded, USERS, clicks_of={"head": 3, "tail": 1})
    found = guard(guarded, KEY, now=DAY)
    assert [(alert.kind, alert.subject) for alert in found.raised] == [
        ("guardrail", "tail home_card.click_rate_per_view")
    ]
    assert (found.stopped, guarded.experiment(KEY).state) == (None, "running")


def test_a_breach_stops_the_experiment_at_once_where_it_says_so(store: Store) -> None:
    register(store, replace(launch(replace(RAMPED, stop_on_breach=True)), traffic=0.9))
    visit(store, USERS, clicks_of={"head": 3, "tail": 1})
    found = guard(store, KEY, now=DAY)
    assert found.stopped is not None
    assert found.stopped.startswith(
        "stopped automatically: guardrail home_card.click_rate_per_view of tail is breached"
    )
    assert store.experiment(KEY).stopped_at == DAY
    assert guard(store, KEY, now=DAY).stopped is None
    assert [change.reason for change in store.changes(KEY) if change.action == "stop"] == [found.stopped]


def test_a_look_is_due_at_what_has_begun_and_is_not_stopped(guarded: Store) -> None:
    assert running(guarded, now=START - timedelta(hours=1)) == ()
    assert running(guarded, now=START) == (KEY,)
    guarded.stop(KEY, at=START)
    assert running(guarded, now=START) == ()
