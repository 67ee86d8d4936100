"""The decision: what the rule proposes, what a person says, and that it stands."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ab_platform.analysis import analyze
from ab_platform.conduct.closing import decide, decided, options, proposed
from ab_platform.conduct.guard import guard
from ab_platform.errors import ExperimentError, NotFoundError
from ab_platform.replay import replay
from ab_platform.storage.store import Store
from ab_platform.viewer import Viewer
from tests.worlds import START, experiment, launch, population, register, server

HOME = replace(experiment(), surfaces=("home_card",))  # on Movie Card the winning arm changes who gets there
KEY = HOME.key
NOW = START + timedelta(days=30)


@pytest.fixture
def replayed(store: Store) -> Store:
    launched = launch(HOME)
    register(store, launched)
    replay(store, server(launched, store=store), population(), viewer=Viewer(), seed=0, at=START)
    return store


def test_the_rule_proposes_the_treatment_that_wins(replayed: Store) -> None:
    analyze(replayed, KEY)
    found = proposed(replayed, KEY)
    assert (found.choice, found.arm, found.by) == ("ship", "tail", "the rule")


def test_a_decision_stops_the_experiment_on_its_own_calendar_and_keeps_its_lifts(replayed: Store) -> None:
    before = analyze(replayed, KEY)
    made = decide(replayed, KEY, None, by="ada", now=NOW)
    assert (made.choice, made.arm) == ("ship", "tail")
    launched = replayed.experiment(KEY)
    assert (launched.state, launched.stopped_at) == ("stopped", launched.ends_at)
    assert analyze(replayed, KEY).lifts == before.lifts
    assert decided(replayed, KEY) == made


def test_a_person_may_decide_otherwise_than_the_rule(replayed: Store) -> None:
    analyze(replayed, KEY)
    made = decide(replayed, KEY, "head", by="ada", now=NOW, reason="the licence of the tail ends")
    assert (made.choice, made.arm, "tail: ship" in made.rule) == ("keep", "head", True)


def test_to_ship_means_what_the_rule_proposes_and_without_that_the_first_treatment(replayed: Store) -> None:
    assert options(replayed, KEY) == {"ship": "tail", "keep": "head"}
    analyze(replayed, KEY)
    assert options(replayed, KEY) == {"ship": "tail", "keep": "head"}


def test_a_decision_stands(replayed: Store) -> None:
    analyze(replayed, KEY)
    made = decide(replayed, KEY, "head", by="ada", now=NOW)
    assert decide(replayed, KEY, "head", by="bob", now=NOW) == made
    with pytest.raises(ExperimentError, match="was decided: keep head, by ada; it stands"):
        decide(replayed, KEY, "tail", by="bob", now=NOW)
    assert sum(change.action == "decide" for change in replayed.changes(KEY)) == 1


def test_a_decision_clears_the_alert_that_asked_for_it(replayed: Store) -> None:
    guard(replayed, KEY, now=NOW)
    assert [alert.kind for alert in replayed.alerts(KEY)] == ["end_reached"]
    decide(replayed, KEY, "head", by="ada", now=NOW)
    assert [alert.cleared_at for alert in replayed.alerts(KEY)] == [NOW]


def test_an_arm_that_is_not_there_is_refused(replayed: Store) -> None:
    with pytest.raises(NotFoundError, match="did you mean 'tail'"):
        decide(replayed, KEY, "tial", by="ada", now=NOW)
