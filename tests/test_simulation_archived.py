"""A world simulated into the archive: its rows against counting, its figures against the truth, killed and calm."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from sqlalchemy import create_engine, select

from ab_platform import archiving
from ab_platform.errors import ExperimentError
from ab_platform.events import AnyEvent, Click, Impression, Watch
from ab_platform.simulation import Plan, simulate
from ab_platform.simulation.archived import ArchivedSimulation, shard, simulate_into, simulating
from ab_platform.simulation.launches import launched
from ab_platform.simulation.population import figures
from ab_platform.simulation.worlds import REACH
from ab_platform.storage import schema
from ab_platform.storage.archive import Archive, TableName, arrow_schema
from ab_platform.storage.archive.layout import SORTED_BY
from ab_platform.storage.store import Store, open_store
from tests.killed_simulation import NOW, PLAN
from tests.test_cli import Run, abp

__all__ = ["abp"]

TWO_WEEKS = replace(PLAN, days=7, before=True)
LARGE = Plan("table2", users=60_000, archived="user_days")
FIGURES = ("watch_seconds", "clicks", "impressions", "visits")
KINDS: dict[str, Callable[..., AnyEvent]] = {"impression": Impression, "click": Click, "watch": Watch}
UNKNOWN = {
    "impression": ("impression_id", "watch_seconds"),
    "click": ("slate_id", "position", "served_by", "latency_ms", "watch_seconds"),
    "watch": ("slate_id", "position", "served_by", "latency_ms"),
}
"""Columns that an event of a kind does not have."""
ROOT = Path(__file__).parent.parent


def rows(archive: Archive, table: TableName, *columns: str) -> pa.Table:
    paths = archive.paths(archive.days(), table)
    return pa.concat_tables(pq.read_table(path, columns=list(columns) or None, partitioning=None) for path in paths)


def as_events(table: pa.Table) -> Iterator[AnyEvent]:
    for row in table.to_pylist():
        own = {name: value for name, value in row.items() if name not in ("kind", *UNKNOWN[row["kind"]])}
        yield KINDS[row["kind"]](**own)


def stored(url: str, table: TableName) -> list[dict[str, object]]:
    described = schema.metadata.tables[table]
    engine = create_engine(url)
    with engine.connect() as connection:
        found = [dict(row._mapping) for row in connection.execute(select(described))]
    engine.dispose()
    return found


def in_order(found: Iterable[dict[str, object]], table: TableName) -> list[dict[str, object]]:
    key = [column.name for column in schema.metadata.tables[table].primary_key]
    return sorted(found, key=lambda row: [str(row[name]) for name in key])


@contextmanager
def another_store(migrated_file: Path, folder: Path) -> Iterator[Store]:
    folder.mkdir(exist_ok=True)
    opened = open_store(f"sqlite:///{shutil.copyfile(migrated_file, folder / 'abp.db')}", migrate=False)
    yield opened
    opened.close()


def made_in(folder: Path, migrated_file: Path, plan: Plan, *, shards: int = 2) -> ArchivedSimulation:
    """Simulate into an archive and a database of their own."""
    with another_store(migrated_file, folder) as store:
        return simulate_into(Archive(folder / "archive", shards=shards), store, plan, at=NOW)


def versions(done: ArchivedSimulation) -> list[str]:
    return [day.version for day in done.days]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> ArchivedSimulation:
    """What a simulation makes that nobody disturbs."""
    return made_in(tmp_path_factory.mktemp("calm"), migrated_file, PLAN)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Archive:
    """Table 2's world of 60,000 users, without events."""
    folder = tmp_path_factory.mktemp("large")
    done = made_in(folder, migrated_file, LARGE, shards=1)
    assert (done.made, done.rows("events")) == (60_000, 0)
    return Archive(folder / "archive")


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive", shards=2)


def test_the_rows_are_what_counting_the_events_gives(
    archive: Archive, store: Store, sqlite_url: str, tmp_path: Path, migrated_file: Path
) -> None:
    with another_store(migrated_file, tmp_path / "another") as its_own:
        done = simulate_into(archive, its_own, TWO_WEEKS, at=NOW)
    launched(store, TWO_WEEKS, NOW)
    sent = list(as_events(rows(archive, "events")))
    assert len({event.event_id for event in sent}) == len(sent) == done.rows("events") > 5_000
    assert store.record(sent).stored == len(sent)
    store.roll_up()
    for table in ("exposures", "user_days", "events"):
        assert in_order(rows(archive, table).to_pylist(), table) == in_order(stored(sqlite_url, table), table)
    # Where nothing tells them apart, nothing of this would be tested.
    days = rows(archive, "user_days")
    for name in ("clicks", "titles_watched", "first_click_seconds", "reciprocal_ranks"):
        assert len(days[name].unique()) >= 3
    assert sum(days["titles_watched"].to_pylist()) < sum(days["clicks"].to_pylist())


def test_its_days_stay_where_the_database_is_archived_again(archive: Archive, store: Store) -> None:
    done = simulate_into(archive, store, PLAN, at=NOW)
    archiving.archive(store, archive, at=NOW, days=[day.day for day in done.days], again=True)
    assert [day.version for day in archive.days()] == versions(done)


def test_the_files_are_in_the_order_of_the_archive(archive: Archive, store: Store) -> None:
    done = simulate_into(archive, store, PLAN, at=NOW)
    assert done.days == archive.days()
    for day in done.days:
        for file in day.files:
            found = pq.read_table(archive.folder / file.path, partitioning=None)
            assert found.schema.equals(arrow_schema(file.table))
            keys = [tuple(str(value) for value in row) for row in zip(*_keys(found, file.table), strict=True)]
            assert keys == sorted(keys)
            moments = found["last_at" if file.table == "user_days" else "at"].to_pylist()
            assert {at.date() for at in moments} == {day.day}


def _keys(found: pa.Table, table: TableName) -> list[list[object]]:
    return [found[name].to_pylist() for name in SORTED_BY[table]]


@pytest.mark.parametrize("week", ["before", "during"])
def test_the_archive_holds_the_true_figures(large: Archive, week: str) -> None:
    found = rows(large, "user_days", "experiment", "user_id", "surface", "arm", *FIGURES)
    experiment = LARGE.experiment if week == "during" else LARGE.experiment_before
    found = found.filter(pc.equal(found["experiment"], experiment.key))
    behaviours = {"old": LARGE.made.control, "new": LARGE.made.treatment if week == "during" else LARGE.made.control}
    checked = 0
    for arm, by_surface in behaviours.items():
        for surface, behaviour in by_surface.items():
            own = found.filter(pc.and_(pc.equal(found["arm"], arm), pc.equal(found["surface"], surface)))
            users = own.group_by("user_id").aggregate([(name, "sum") for name in FIGURES])
            seconds, clicks, impressions, visits = (users[f"{name}_sum"].to_numpy().astype(float) for name in FIGURES)
            assert len(users) == pytest.approx(30_000 * REACH[surface], rel=0.05)
            true = figures(behaviour, days=experiment.days)
            assert abs(_deviation(seconds, true.play_duration)) < 4
            assert abs(_deviation(clicks - true.click_rate_per_view * impressions, 0.0)) < 4
            assert abs(_deviation((clicks > 0).astype(float), true.click_rate_per_user)) < 4
            assert abs(_deviation(visits, true.visits)) < 4
            checked += len(users)
    assert checked == len(rows(large, "exposures", "experiment").filter(pc.field("experiment") == experiment.key))


def _deviation(of_users: NDArray[np.float64], true: float) -> float:
    """Return how far a mean is from its true value, in standard errors."""
    return float((of_users.mean() - true) / (of_users.std(ddof=1) / np.sqrt(len(of_users))))


def test_the_same_again_changes_nothing(archive: Archive, store: Store) -> None:
    first = simulate_into(archive, store, PLAN, at=NOW)
    again = simulate_into(archive, store, PLAN, at=datetime(2026, 6, 1, tzinfo=UTC))
    assert (again.days, first.made, again.made) == (first.days, 300, 0)
    assert [change.action for change in store.changes(PLAN.key)].count("simulate") == 2
    assert not (archive.folder / "staging" / f"simulate-{PLAN.key}").exists()


def test_another_database_and_other_blocks_make_the_same_files(
    calm: ArchivedSimulation, migrated_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard, "USERS_AT_ONCE", 37)
    assert versions(made_in(tmp_path, migrated_file, PLAN)) == versions(calm)


def test_another_seed_makes_others(calm: ArchivedSimulation, migrated_file: Path, tmp_path: Path) -> None:
    other = made_in(tmp_path, migrated_file, replace(PLAN, seed=4))
    assert not {file.sha256 for day in calm.days for file in day.files} & {
        file.sha256 for day in other.days for file in day.files
    }


def test_a_user_does_the_same_among_more_users_and_in_other_shards(migrated_file: Path, tmp_path: Path) -> None:
    found = []
    for users, shards in ((200, 1), (300, 3)):
        folder = tmp_path / str(users)
        made_in(folder, migrated_file, replace(PLAN, users=users), shards=shards)
        found.append(in_order(rows(Archive(folder / "archive"), "events").to_pylist(), "events"))
    alone, among = found
    assert alone == [row for row in among if str(row["user_id"]) < "u00000200"]
    assert len(among) > len(alone) > 0


def test_a_killed_one_goes_on_and_ends_as_a_calm_one(
    calm: ArchivedSimulation, sqlite_url: str, store: Store, archive: Archive
) -> None:
    command = [sys.executable, "-m", "tests.killed_simulation", sqlite_url, str(archive.folder)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert len(list((archive.folder / "staging").rglob("*.json"))) == 1
    assert archive.days() == ()
    left = archive.folder / "events" / "day=2026-05-07" / ".01-half.writing"
    left.write_bytes(b"what the killed one was at")
    done = simulate_into(archive, store, PLAN, at=NOW)
    assert versions(done) == versions(calm)
    assert 0 < done.made < PLAN.users
    assert not left.exists()


def test_a_finished_shard_whose_file_is_gone_is_made_again(
    calm: ArchivedSimulation, store: Store, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(simulating, "_publish", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            simulate_into(archive, store, PLAN, at=NOW)
    next(archive.folder.rglob("01-*.parquet")).unlink()
    done = simulate_into(archive, store, PLAN, at=NOW)
    assert versions(done) == versions(calm)
    assert 0 < done.made < PLAN.users


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_several_processes_make_what_one_makes(
    calm: ArchivedSimulation, store: Store, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulating, "USERS_PER_PROCESS", 100)
    told: list[tuple[int, int]] = []
    done = simulate_into(
        archive, store, PLAN, at=NOW, processes=2, progress=lambda done, total: told.append((done, total))
    )
    assert versions(done) == versions(calm)
    assert told[-1] == (300, 300)


def test_days_that_hold_another_experiment_are_refused_and_kept(archive: Archive, store: Store) -> None:
    simulate_into(archive, store, PLAN, at=NOW)
    before = archive.days()
    with pytest.raises(ExperimentError, match=r"2026-05-07 is in the archive already, with 'simulate-fading-novelty'"):
        simulate_into(archive, store, replace(PLAN, key="other"), at=NOW)
    assert archive.days() == before
    assert "other" not in {each.experiment.key for each in store.experiments()}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"world": "lost-logging"},
            "'lost-logging', whose events must go through the database; .* no-effect, small-lift",
        ),
        ({"world": "late-and-duplicated"}, "'late-and-duplicated', whose events must go through the database"),
        ({"segments": ("device",)}, "device is asked for"),
        ({"covariates": ("interactions",)}, "interactions is asked for"),
        ({"users": 100_000_000}, "users is 100,000,000"),
    ],
)
def test_what_needs_the_database_is_refused(
    archive: Archive, store: Store, changed: dict[str, object], message: str
) -> None:
    with pytest.raises(ExperimentError, match=message):
        simulate_into(archive, store, replace(PLAN, **{"segments": (), **changed}), at=NOW)  # type: ignore[arg-type]
    assert store.experiments() == ()


def test_a_key_is_simulated_in_one_place_only(archive: Archive, store: Store) -> None:
    simulate_into(archive, store, PLAN, at=NOW)
    with pytest.raises(ExperimentError, match="was simulated with archived events; now archived None is asked for"):
        simulate(store, replace(PLAN, archived=None), at=NOW)


def test_the_truth_is_in_the_change_log(archive: Archive, store: Store) -> None:
    simulate_into(archive, store, PLAN, at=NOW)
    assert store.experiment(PLAN.key).experiment == PLAN.experiment
    begun, ended = (change.after for change in store.changes(PLAN.key) if change.action == "simulate")
    assert begun["truths"]
    assert ended["archived_days"] == {day.day.isoformat(): day.version for day in archive.days()}


def test_the_command_simulates_into_the_archive_and_says_what_comes_next(abp: Run, tmp_path: Path) -> None:
    line = ("simulate", "small-lift", "--users", "1_000", "--days", "2", "--no-before", "--archive", "--no-events")
    said = abp(*line).stderr
    assert "1,000 users simulated into" in said
    assert "ABP_WAREHOUSE=duckdb abp analyze simulate-small-lift" in said
    days = Archive(tmp_path / ".abp" / "archive").days()
    assert [(day.rows("events"), day.rows("user_days") >= day.rows("exposures") > 0) for day in days] == [(0, True)] * 2
