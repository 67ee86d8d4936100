"""`abp analyze` of several experiments as a person runs it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

from ab_platform.cli.main import app
from ab_platform.storage.store import Store
from tests.analysis.made import definition, launched, visits

KEYS = ["one", "two"]


@pytest.fixture
def of_the_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store that the commands open, with two experiments that run."""
    monkeypatch.setenv("ABP_DATABASE_URL", store.engine.url.render_as_string(hide_password=False))
    for key in KEYS:
        store.record(visits(launched(store, definition(key)), 40))
    return store


def asked(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["analyze", *arguments])


def test_all_that_run_are_analyzed_and_their_tables_printed(of_the_store: Store) -> None:
    launched(of_the_store, definition("silent"))
    done = asked("--running")
    assert done.exit_code == 0, done.stderr
    assert all(f"{key}, as of" in done.stdout for key in KEYS)
    assert "silent is not analyzed: silent has no events that count yet" in done.stderr
    assert "2 experiments analyzed" in done.stderr
    assert asked(*KEYS).stdout == done.stdout


@pytest.mark.usefixtures("of_the_store")
def test_one_that_was_named_and_cannot_be_analyzed_is_told_of_at_the_end() -> None:
    done = asked("one", "tow", "--json")
    assert done.exit_code == 1
    assert [each["experiment"] for each in json.loads(done.stdout)] == ["one"]
    assert "tow is not analyzed: experiment 'tow' is not launched; did you mean 'two'?" in done.stderr


@pytest.mark.usefixtures("of_the_store")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name experiments, or take all that run with --running"),
        (["one", "--running"], "name experiments, or take all that run with --running"),
        (["one", "two", "--every-day"], "it takes one experiment"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: list[str], told: str) -> None:
    done = asked(*arguments)
    assert done.exit_code == 2
    assert told in " ".join(done.stderr.replace("│", " ").split())
