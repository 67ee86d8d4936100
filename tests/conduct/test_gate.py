"""The gate: what it lets through, what it does not, and what it remembers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ab_platform.conduct.gate import gate
from ab_platform.events import AnyEvent, Click, Watch, event_id
from ab_platform.experiment import AnalysisRule, Guardrail, RampStep
from ab_platform.serving import impressions
from ab_platform.storage.store import Store
from tests.worlds import START, USERS, experiment, launch, register, server

RAMPED = replace(
    experiment(),
    ramp=(RampStep(0.9, 1),),
    guardrails=(Guardrail("home_card.click_rate_per_view", 0.1),),
    analysis=AnalysisRule(monitoring="sequential", users=300),
)
KEY = RAMPED.key
NOW = START + timedelta(days=1)


@pytest.fixture
def ramped(store: Store) -> Store:
    register(store, replace(launch(RAMPED), traffic=0.9))
    return store


def visit(store: Store, users: tuple[str, ...], *, clicks_of: dict[str, int]) -> None:
    """Show every user a slate, and click the first titles of it: as many as the arm says, every other user one more."""
    live = server(store.experiment(KEY), store=store)
    events: list[AnyEvent] = []
    for number, user in enumerate(users):
        slate = live.recommend(user, "home_card", at=START + timedelta(hours=3))
        shown = impressions(slate)
        events += shown
        for each in shown[: clicks_of.get(slate.arm or "", 0) + number % 2]:
            key = str(each.event_id)
            common = (KEY, user, each.arm, each.surface, each.title_id, each.at + timedelta(seconds=9))
            events.append(Click(event_id(each.at, f"{key}/click"), *common, each.event_id))
            events.append(Watch(event_id(each.at, f"{key}/watch"), *common, each.event_id, 60.0))
    store.record(events)


def test_a_healthy_step_passes_and_stays_passed(ramped: Store) -> None:
    visit(ramped, USERS, clicks_of={"head": 2, "tail": 2})
    asked = gate(ramped, KEY, 1, now=NOW)
    assert (asked.passes, asked.reason) == (True, "no sample ratio alarms and no guardrail is breached")
    assert gate(ramped, KEY, 1, now=NOW).reason == "it has passed before"
    assert [change.after for change in ramped.changes(KEY) if change.action == "gate"] == [{"step": 1, "passes": True}]


def test_a_broken_split_does_not_pass(ramped: Store) -> None:
    live = server(ramped.experiment(KEY))
    lost = tuple(
        user for user in USERS if live.recommend(user, "home_card", at=START).arm != "tail" or user < "user0040"
    )
    visit(ramped, lost, clicks_of={"head": 2, "tail": 2})
    asked = gate(ramped, KEY, 1, now=NOW)
    assert not asked.passes
    assert "sample ratio of all" in asked.reason


def test_a_breached_guardrail_does_not_pass(ramped: Store) -> None:
    visit(ramped, USERS, clicks_of={"head": 3, "tail": 1})
    asked = gate(ramped, KEY, 1, now=NOW)
    assert not asked.passes
    assert "guardrail home_card.click_rate_per_view of tail is breached: lift -5" in asked.reason


def test_no_event_does_not_pass_and_is_asked_anew(ramped: Store) -> None:
    asked = gate(ramped, KEY, 1, now=NOW)
    assert (asked.passes, "no event came until 2026-03-01" in asked.reason) == (False, True)
    gate(ramped, KEY, 1, now=NOW)
    visit(ramped, USERS, clicks_of={"head": 2, "tail": 2})
    assert gate(ramped, KEY, 1, now=NOW).passes
    assert [change.after["passes"] for change in ramped.changes(KEY) if change.action == "gate"] == [False, True]


def test_a_stopped_experiment_does_not_pass(ramped: Store) -> None:
    ramped.stop(KEY, at=START + timedelta(hours=1))
    assert gate(ramped, KEY, 1, now=NOW).reason == "the experiment is stopped"
