"""Kill -9 in the middle of ingest, training, replay and analysis: run again, nothing lost, nothing twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select

from ab_platform.storage.schema import metadata

ROOT = Path(__file__).parent.parent
STAGES = ("ingest", "training", "replay", "roll_up", "analysis")
CLOCKS = {"ingested_at", "trained_at", "launched_at", "finished_at", "seconds"}


def run(stage: str, url: str, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.killed", stage, url, str(home)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


def dump(url: str) -> dict[str, list[tuple[str, ...]]]:
    """Return every row of every table as text, sorted, without the clocks of the run."""
    engine = create_engine(url)
    with engine.connect() as connection:
        return {
            table.name: sorted(
                tuple(str(_without_clocks(value)) for value in row)
                for row in connection.execute(select(*(column for column in table.c if column.name not in CLOCKS)))
            )
            for table in metadata.sorted_tables
        }


def _without_clocks(value: object) -> object:
    return {name: each for name, each in value.items() if name not in CLOCKS} if isinstance(value, dict) else value


@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_an_experiment_killed_in_every_stage_ends_as_if_it_never_was(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    killed_url = request.getfixturevalue(f"{engine}_url")
    calm_url = (
        f"sqlite:///{tmp_path / 'calm.db'}" if engine == "sqlite" else request.getfixturevalue("empty_postgres_url")
    )
    killed_home, calm_home = tmp_path / "killed", tmp_path / "calm"
    for stage in STAGES:
        done = run(stage, killed_url, killed_home)
        assert done.returncode == -signal.SIGKILL, f"{stage} was not killed: {done.stderr}"
    for url, home in ((killed_url, killed_home), (calm_url, calm_home)):
        done = run("none", url, home)
        assert done.returncode == 0, done.stderr
    killed, calm = dump(killed_url), dump(calm_url)
    for table, rows in calm.items():  # a diff of whole tables would outlast the test
        first = next((pair for pair in zip_longest(killed[table], rows) if pair[0] != pair[1]), None)
        assert first is None, f"the first row of {table} that differs, killed and calm: {first}"
    assert all(calm[table] for table in ("interactions", "artifacts", "events", "user_days", "lifts"))
    assert calm["open_user_days"] == []
