"""Five worlds whose truth is known, simulated: one glance at Results and at Health must say the right thing."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ab_platform.experiment import Experiment, Guardrail
from ab_platform.simulation import Plan, World, simulate
from ab_platform.storage.store import open_store
from tests.dashboards.visiting import html, visit, words

pytestmark = pytest.mark.xdist_group("worlds")  # so that the fixtures of the module are made once

NOW = datetime(2026, 5, 10, 12, 30, tzinfo=UTC)

# Few users, fixed by their seed, that still decide: the lifts of Table 2 are large, and so are the faults.
USERS = {"no-effect": 2_000, "table2": 2_000, "broken-split": 2_000, "lost-logging": 3_000}


class Greedy(Plan):
    """A treatment that is clicked by half as many users again, and plays 40 % less, which a guardrail forbids."""

    @property
    def made(self) -> World:
        made = super().made
        changed = {
            surface: replace(each, clickers=1.5 * each.clickers, watch_seconds=0.4 * each.watch_seconds)
            for surface, each in made.control.items()
        }
        return replace(made, treatment=changed)

    @property
    def experiment(self) -> Experiment:
        guarded = Guardrail("home_card.play_duration", 0.05)
        return replace(super().experiment, primary=("home_card.click_rate_per_user",), guardrails=(guarded,))


PLANS = [Plan(world, users=users, before=False, covariates=()) for world, users in USERS.items()]
BREACH = Greedy("no-effect", users=2_000, before=False, covariates=(), key="breach")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which every world was simulated."""
    home = tmp_path_factory.mktemp("worlds")
    with closing(open_store(f"sqlite:///{home / 'abp.db'}", migrate=True)) as store:
        for plan in (*PLANS, BREACH):
            simulate(store, plan, at=NOW)
    return home


@pytest.fixture(autouse=True)
def at_home(simulated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABP_HOME", str(simulated))
    monkeypatch.delenv("ABP_DATABASE_URL", raising=False)


def results(key: str) -> AppTest:
    return visit("results", experiment=key)


def health(key: str) -> AppTest:
    return visit("health", experiment=key)


def test_without_an_effect_nothing_is_shown_and_all_is_healthy() -> None:
    text = words(results("simulate-no-effect"))
    assert "new Neutral" in text
    assert "no primary row shows a difference" in text
    assert "Do not trust" not in text
    assert "Healthy Trust these lifts." in words(health("simulate-no-effect"))


def test_table_2_is_shipped_and_believed() -> None:
    text = words(results("simulate-table2"))
    assert "new Ship" in text
    assert "home_card.play_duration is significantly better" in text
    assert "Do not trust" not in text
    assert "Healthy Trust these lifts." in words(health("simulate-table2"))


def test_a_broken_split_is_told_before_any_lift() -> None:
    page = results("simulate-broken-split")
    shown, text = html(page), words(page)
    assert "Unhealthy" in text
    assert text.index("Unhealthy") < text.index("Play duration")
    assert "new Ship" not in text
    assert shown.index("alarm") < shown.index("<table")
    told = words(health("simulate-broken-split"))
    assert "Unhealthy Do not trust these lifts. The split alarms (all users; Home Card; Movie Card)." in told
    assert "Next: find out which users are missing, and where: abp srm diagnose simulate-broken-split" in told
    assert "Sample ratio of all users unhealthy" in told


def test_lost_logging_is_found_where_it_is_though_all_users_together_look_sound() -> None:
    assert "Unhealthy" in words(results("simulate-lost-logging"))
    told = words(health("simulate-lost-logging"))
    assert "Unhealthy Do not trust these lifts." in told
    assert told.index("Device tv unhealthy") < told.index("Device phone healthy")


def test_a_breached_guardrail_is_rolled_back_and_is_no_matter_of_health() -> None:
    text = words(results("breach"))
    assert "new Roll back" in text
    assert "BREACHED" in text
    assert "Healthy Trust these lifts." in words(health("breach"))
