"""`abp analyze --every-day` as a person runs it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from typer.testing import CliRunner

from ab_platform.cli.main import app
from ab_platform.storage.store import Store
from tests.analysis.made import KEY, START, definition, launched, visits


@pytest.fixture
def of_the_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store that the commands open, with a week of visits."""
    monkeypatch.setenv("ABP_DATABASE_URL", store.engine.url.render_as_string(hide_password=False))
    store.record(visits(launched(store, definition()), 100))
    return store


def test_every_day_is_analyzed_and_the_newest_table_printed(of_the_store: Store) -> None:
    done = CliRunner().invoke(app, ["analyze", KEY, "--every-day"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "7 days analyzed" in done.stderr
    assert f"{KEY}, as of {START.date() + timedelta(days=6)}" in done.stdout
    assert len(of_the_store.as_ofs(KEY)) == 7
    again = CliRunner().invoke(app, ["analyze", KEY, "--every-day"], catch_exceptions=False)
    assert "0 days analyzed" in again.stderr
    assert again.stdout == done.stdout


@pytest.mark.usefixtures("of_the_store")
def test_one_day_and_every_day_are_not_asked_for_at_once() -> None:
    done = CliRunner().invoke(app, ["analyze", KEY, "--every-day", "--as-of", "2026-03-04"])
    assert done.exit_code == 2
    assert "it analyzes every day; leave --as-of out" in " ".join(done.stderr.replace("│", " ").split())
