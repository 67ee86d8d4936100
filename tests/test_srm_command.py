"""`abp srm diagnose` as a person reads it, and as a machine does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ab_platform.cli.main import app
from ab_platform.storage.store import Store
from tests.analysis.made import KEY
from tests.split_worlds import day, launch, lost_on_tv, record, visitors


@pytest.fixture
def command(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run `abp srm diagnose` on the store, as on a terminal of 80 columns."""
    from ab_platform.cli import console

    monkeypatch.setenv("ABP_DATABASE_URL", str(store.engine.url))
    monkeypatch.setattr(console.out, "_width", 80)

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["srm", "diagnose", *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def test_the_conclusion_is_printed_first_and_tables_fit_80_columns(store: Store, command: Callable[..., str]) -> None:
    came = visitors(launch(store), 12_000)
    gone = lost_on_tv(came, days=(3, 4, 5), share=0.8)
    record(
        store,
        [replace(each, arm="old") if each.number < 10 else each for each in came],
        lost=lambda each, surface: each.user in gone,
    )
    lines = command(KEY).splitlines()
    assert lines[0].startswith("wrong assignment: ")
    assert lines[-1].startswith("Next: ")
    tables = [line for line in lines[1:-1] if not line.startswith(("all: ", "home_card: ", "movie_card: "))]
    assert max(map(len, tables)) <= 80
    assert not any("…" in line for line in tables)
    assert any(line.split()[:1] == ["tv"] and line.rstrip().endswith("uneven") for line in lines)


def test_json_holds_all_of_it(store: Store, command: Callable[..., str]) -> None:
    record(store, visitors(launch(store), 500))
    found = json.loads(command(KEY, "--json", "--by", "day", "--as-of", str(day(6))))
    assert (found["verdict"], found["as_of"], found["arms"]) == ("sound", str(day(6)), ["old", "new"])
    assert [each["dimension"] for each in found["dimensions"]] == ["day"]
