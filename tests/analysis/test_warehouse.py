"""A readout from the archive is the database's, digit by digit."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from ab_platform.analysis import analyze
from ab_platform.analysis.readout import population_of
from ab_platform.errors import NotFoundError
from ab_platform.events import Impression, event_id
from ab_platform.experiment import AnalysisRule
from ab_platform.lineage import Title
from ab_platform.metrics import CATALOGUE
from ab_platform.storage.store import Store, open_store
from ab_platform.storage.warehouse import ArchiveReads, open_engine
from tests.analysis.made import DATASET, KEY, START, definition, launched, visits
from tests.storage.warehouse.exported import FAMILIES, exported

ROOT = Path(__file__).parents[2]
USERS = 90
RULES = {
    "plain": AnalysisRule(covariates=()),
    "before": AnalysisRule(covariates=("before",)),
    "every source": AnalysisRule(covariates=("before", "age"), segments=("device", "interactions", "cohort")),
    "predicted": AnalysisRule(covariates=("prediction",), covariate_days=5),
}


def world(store: Store, rule: AnalysisRule, *, ends_before: bool = True) -> None:
    """Record a week, ramped and stopped, after another; with late events, and users who were seen in both arms."""
    with store.ingesting(DATASET, "hash", "here", START) as writer:
        writer.write_titles([Title(f"t{number}", f"Title {number}") for number in range(8)])
        writer.write_interactions(["someone"], ["t0"], None, None)
        writer.finish(bad_rows=0)
    for name, values in {"device": ("phone", "tv", "web"), "age": ("31.5", "-4", "60"), "interactions": "379"}.items():
        store.write_attributes(DATASET, name, [(f"user-{user}", values[user % 3]) for user in range(0, USERS, 2)])
    first = launched(store, definition("before"), at=START - timedelta(days=7 if ends_before else 4))
    store.record(visits(first, USERS, seed=5))
    named = tuple(f"home_card.{each.name}" for each in CATALOGUE if each.name != "play_duration")
    launch = launched(store, definition(analysis=rule, secondary=named))
    events = sorted(visits(launch, USERS, factor=1.3), key=lambda event: event.at)
    store.ramp(KEY, 0.5, at=START + timedelta(days=2))
    shown = [event for event in events if isinstance(event, Impression)]
    store.record([event for event in events if event.event_id.int % 7])
    store.roll_up()
    store.record([event for event in events if not event.event_id.int % 7])  # they come late
    store.record([in_the_other_arm(event) for event in shown[40::90]])
    store.stop(KEY, at=START + timedelta(days=5, hours=7))
    store.roll_up()


def in_the_other_arm(seen: Impression) -> Impression:
    at = seen.at + timedelta(seconds=70)
    other = "new" if seen.arm == "old" else "old"
    return replace(seen, event_id=event_id(at, f"{seen.event_id}/again"), at=at, arm=other, served_by=other)


@contextmanager
def reading(store: Store, folder: Path, engine: str = "duckdb") -> Iterator[ArchiveReads]:
    opened = open_engine(engine, beside=folder)
    yield ArchiveReads(store, exported(store, folder), opened)
    opened.close()


@pytest.mark.parametrize("named", RULES)
def test_every_digit_from_the_archive_is_that_from_the_database(store: Store, tmp_path: Path, named: str) -> None:
    world(store, RULES[named], ends_before=named != "predicted")
    with reading(store, tmp_path / "archive") as reads:
        for day in (START.date() + timedelta(days=2), None):
            from_database = analyze(store, KEY, as_of=day)
            assert from_database.look is not None
            assert from_database.look.mixed_users > 0
            assert analyze(store, KEY, as_of=day, reads=reads) == from_database


def test_so_it_is_with_postgresql(postgres_url: str, tmp_path: Path) -> None:
    store = open_store(postgres_url, migrate=False)
    world(store, RULES["every source"])
    with reading(store, tmp_path / "archive") as reads:
        assert analyze(store, KEY, reads=reads) == analyze(store, KEY)
    store.close()


def test_before_the_first_event_there_is_nothing_in_the_archive(store: Store, tmp_path: Path) -> None:
    launched(store, definition())
    with reading(store, tmp_path / "archive") as reads, pytest.raises(NotFoundError, match="no events that count yet"):
        analyze(store, KEY, as_of=date(2026, 3, 2), reads=reads)


@pytest.mark.timeout(120)
def test_an_analysis_that_is_killed_anywhere_ends_as_a_calm_one(sqlite_url: str, tmp_path: Path) -> None:
    with closing(open_store(sqlite_url, migrate=False)) as store:
        world(store, RULES["before"])
        exported(store, tmp_path / "archive")
        for day, stage in enumerate(("numbers", "totals", "sums", "readout", "after")):
            as_of = START.date() + timedelta(days=day)
            told = [stage, sqlite_url, str(tmp_path / "archive"), as_of.isoformat()]
            command = [sys.executable, "-m", "tests.killed_analysis", *told]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == -signal.SIGKILL, f"{stage} was not killed: {done.stderr}"
            assert (store.readout(KEY, as_of) is not None) == (stage == "after")
            with reading(store, tmp_path / "archive") as reads:
                population = population_of(store, store.experiment(KEY), as_of)
                assert reads.cells(population, FAMILIES) == store.cells(population, FAMILIES)
                found = analyze(store, KEY, as_of=as_of, reads=reads)
            assert found == analyze(store, KEY, as_of=as_of)
