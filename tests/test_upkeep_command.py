"""`abp roll-up`, `assignments` and `retain`, as a person uses them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from ab_platform.cli import upkeep
from ab_platform.storage.store import Store
from tests.storage.made import END, KEY, START, after, impression, started


@pytest.fixture
def lived(store: Store, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with forty users of an experiment whose week is over; the environment names it."""
    monkeypatch.setenv("ABP_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("ABP_HOME", str(tmp_path))
    monkeypatch.setattr(upkeep, "now", lambda: END + timedelta(days=100))
    store.write_attributes("ml-1m", "device", [(f"u{number}", "tv") for number in range(40)])
    started(store)
    store.record([impression(f"u{number}", after(days=number % 7, seconds=number)) for number in range(40)])
    return store


def abp(*words: str) -> Result:
    app = typer.Typer()
    upkeep.register(app)
    return CliRunner().invoke(app, words, env={"COLUMNS": "200", "NO_COLOR": "1"})


def test_a_roll_up_says_what_it_counted(lived: Store) -> None:
    assert f"40 user-days of {KEY} were counted; the newest event is of 2026-03-07 00:00 UTC" in abp("roll-up").stderr
    assert "0 user-days were counted" in abp("roll-up").stderr
    told = json.loads(abp("roll-up", "--since", "2026-03-02", "--until", "2026-03-03T12:00", "--json").stdout)
    assert (told["since"], told["until"]) == ("2026-03-02T00:00:00+00:00", "2026-03-03T12:00:00+00:00")
    assert (told["user_days"], told["experiments"]) == (12, [KEY])
    assert abp("roll-up", "--since", "2026-03-01T05:00:00+0100").exit_code == 0
    assert abp("roll-up", "--until", "2026-03-03").exit_code == 2


def test_assignments_are_counted_by_arm_with_who_was_wrongly_exposed(lived: Store) -> None:
    told = json.loads(abp("assignments", KEY, "--json").stdout)
    assert told["users"] == told["changed"] == sum(told["arms"].values()) == 40
    wrong = told["arms"]["pia"]  # everyone was shown the control
    assert told["audit"]["wrong"] == {"control": wrong, "pia": 0}
    again = abp("assignments", KEY)
    assert f"40 of 40 registered users are in {KEY} at a traffic of 100%" in again.stdout
    assert "0 rows are new or changed, 0 are gone" in again.stderr
    assert f"{wrong} of 40 exposures are to another arm; find out why with `abp srm diagnose {KEY}`" in again.stderr
    assert again.stderr.count("was exposed to control; the salts give pia") == 5


def test_retain_says_why_events_stay_and_deletes_them_when_nothing_speaks_against_it(lived: Store) -> None:
    assert f"{KEY} keeps its events: 40 user-days are not rolled up; run `abp roll-up`" in abp("retain").stderr
    abp("roll-up")
    assert "would delete" in abp("retain", "--dry-run").stdout
    assert lived.raw_events(KEY).stored == 40
    assert "no experiment that ended more than 101 days ago has raw events" in abp("retain", "--days", "101").stderr
    [told] = json.loads(abp("retain", "--json").stdout)
    assert (told["outcome"], told["events"], told["user_days"]) == ("deleted", 40, 40)
    assert lived.raw_events(KEY).stored == 0
    assert lived.experiment(KEY).starts_at == START
