"""Retention: raw events go only when the user-days are proven, for good, and the analysis stays the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from ab_platform import retention
from ab_platform.analysis import analyze
from ab_platform.errors import PlatformError
from ab_platform.events import AnyEvent
from ab_platform.lineage import Title
from ab_platform.results import Outcome, Readout
from ab_platform.retention import Retained, ended_at, retain
from ab_platform.storage import partitions
from ab_platform.storage.connection import reading, writing
from ab_platform.storage.schema import experiments, metadata, user_days
from ab_platform.storage.store import RawEvents, Recorded, Store, open_store
from tests.storage.made import END, KEY, START, after, click, definition, impression, launch, register, started, watch

ROOT = Path(__file__).parent.parent
LATER = END + timedelta(days=91)


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def url(request: pytest.FixtureRequest) -> str:
    """The address of a migrated database without rows, on either engine."""
    address: str = request.getfixturevalue(request.param)
    return address


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A migrated store without rows."""
    opened = open_store(url, migrate=False)
    yield opened
    opened.close()


def happened(key: str = KEY, users: int = 120) -> list[AnyEvent]:
    """Return what users did in a week, enough of them for every row of the table."""
    seen: list[AnyEvent] = []
    for number in range(users):
        user, arm = f"u{number:03d}", ("control", "pia")[number % 2]
        for surface in ("home_card", "movie_card"):
            for day in range(number % 3, 7, 3):
                at = after(days=day, seconds=number)
                shown = replace(impression(user, at, key=key, arm=arm, surface=surface), title_id=f"t{number % 9}")
                seen += [shown, watch(user, at + timedelta(seconds=60), 1.5 * number, key=key, surface=surface)]
                seen += [click(user, at + timedelta(seconds=9), key=key, surface=surface)] if number % 4 else []
    return [replace(event, arm=("control", "pia")[int(event.user_id[1:]) % 2]) for event in seen]


def lived(store: Store, key: str = KEY) -> list[AnyEvent]:
    """Launch an experiment with a row of every kind, let its week happen, and roll it up."""
    defined = replace(
        definition(key, layer=f"layer-{key}"),
        secondary=(
            "home_card.catalogue_coverage",
            "home_card.play_duration_winsorised",
            "home_card.play_duration_median",
        ),
    )
    started(store, defined)
    seen = happened(key)
    store.record(seen, [Outcome(key, "u000", "pia", "home_card", 1, 1, 2.5)])
    store.roll_up()
    return seen


def beside(store: Store) -> None:
    """Let an experiment that goes on have an event on each day of the week, so that no day goes as a whole."""
    started(store, definition("beside", layer="layer-beside", days=365))
    store.record([impression("u", after(days=day), key="beside") for day in range(7)])
    store.roll_up()


def with_titles(store: Store) -> None:
    with store.ingesting("ml-1m", "hash", "here", START) as writer:
        writer.write_titles([Title(f"t{number}", f"Title {number}") for number in range(9)])
        writer.write_interactions(["u000"], ["t0"], None, None)
        writer.finish(bad_rows=0)


def dump(store: Store) -> dict[str, list[str]]:
    """Return every row of every table as text, but for the raw events and what says that they are gone."""
    with reading(store.engine) as connection:
        return {
            table.name: sorted(
                str(tuple(row))
                for row in connection.execute(select(*(c for c in table.c if c.name != "events_deleted_at")))
            )
            for table in metadata.sorted_tables
            if table.name not in ("events", "experiment_changes")
        }


def without_coverage(found: Readout) -> Readout:
    return replace(
        found,
        lifts=tuple(row for row in found.lifts if "coverage" not in row.metric),
        views=tuple(each for each in found.views if "coverage" not in each.row.metric),
    )


def test_the_events_of_an_old_experiment_go_and_all_else_stays_to_the_digit(store: Store) -> None:
    with_titles(store)
    seen = lived(store)
    lived(store, "young")
    with writing(store.engine) as connection:
        moved = update(experiments).where(experiments.c.experiment == "young")
        connection.execute(moved.values(ends_at=LATER - timedelta(days=1)))
    before, table = analyze(store, KEY), dump(store)
    days = len([row for row in table["user_days"] if KEY in row])
    assert retain(store, at=LATER) == (Retained(KEY, END, "deleted", len(seen), days),)
    assert store.raw_events(KEY) == RawEvents(0, 0)
    assert store.raw_events("young").stored == len(seen)
    assert dump(store) == table
    after_it = analyze(store, KEY)
    assert without_coverage(after_it) == without_coverage(before)
    [was], [now] = ([row for row in found.lifts if "coverage" in row.metric] for found in (before, after_it))
    assert was.lift is not None
    assert (now.control, now.treatment, now.lift, now.p_value) == (None, None, None, None)
    assert now.reason is not None


def test_nothing_brings_the_days_of_such_an_experiment_down(store: Store) -> None:
    seen = lived(store)
    table = dump(store)
    retain(store, at=LATER)
    assert store.record(seen) == Recorded(0, 0, too_late=len(seen))
    store.recount(START, END)
    store.roll_up()
    assert store.stop(KEY, at=LATER)
    store.roll_up()
    expected = {name: rows for name, rows in table.items() if name != "experiments"}
    assert {name: rows for name, rows in dump(store).items() if name != "experiments"} == expected


def test_a_repetition_deletes_and_notes_nothing(store: Store) -> None:
    lived(store)
    retain(store, at=LATER)
    log = store.changes(KEY)
    assert retain(store, at=LATER + timedelta(days=1)) == ()
    assert store.changes(KEY) == log
    assert [change.action for change in log] == ["launch", "delete_events"]
    assert log[1].reason is not None
    assert "user-days equal a recount from the events" in log[1].reason


def test_a_dry_run_says_what_would_go_and_changes_nothing(store: Store) -> None:
    seen = lived(store)
    [told] = retain(store, at=LATER, dry_run=True)
    assert (told.outcome, told.events, told.reason) == ("would_delete", len(seen), None)
    assert store.raw_events(KEY).stored == len(seen)
    assert store.experiment(KEY).events_deleted_at is None


def test_an_open_day_keeps_the_events(store: Store) -> None:
    lived(store)
    store.record([click("u001", after(days=6, seconds=80_000), mark="late")])
    [told] = retain(store, at=LATER)
    assert (told.outcome, told.reason) == ("kept", "1 user-days are not rolled up; run `abp roll-up`")
    store.roll_up()
    assert retain(store, at=LATER)[0].outcome == "deleted"


def test_one_digit_that_differs_from_a_recount_keeps_the_events_until_it_is_mended(store: Store) -> None:
    seen = lived(store)
    one = (user_days.c.user_id == "u007") & (user_days.c.surface == "home_card") & (user_days.c.clicks > 0)
    with writing(store.engine) as connection:
        first = select(user_days.c.day).where(one).order_by(user_days.c.day).limit(1).scalar_subquery()
        connection.execute(update(user_days).where(one, user_days.c.day == first).values(watch_seconds=10.501))
    [told] = retain(store, at=LATER)
    assert (told.outcome, told.events) == ("kept", len(seen))
    assert told.reason is not None
    assert told.reason.startswith(
        "1 user-days differ from a recount of their events; mend them with `abp roll-up --since 2026-03-01"
    )
    assert store.raw_events(KEY).stored == len(seen)
    store.recount(START, END)
    assert retain(store, at=LATER)[0].outcome == "deleted"


def test_events_that_come_in_during_the_proof_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    lived(store)
    compare = store.compare_with_recount

    def late(key: str) -> object:
        found = compare(key)
        store.record([click("u001", after(days=6, seconds=80_000), mark="late")])
        return found

    monkeypatch.setattr(store, "compare_with_recount", late)
    [told] = retain(store, at=LATER)
    assert (told.outcome, told.reason) == ("kept", "events came in while they were compared; run it again")
    assert store.experiment(KEY).events_deleted_at is None


KILLED = """
import os, signal, sys
from datetime import datetime
from ab_platform import retention
from ab_platform.storage.store import open_store
retention.EVENTS_AT_ONCE = 100
retention.retain(
    open_store(sys.argv[1], migrate=False), at=datetime.fromisoformat(sys.argv[2]),
    progress=lambda key, done, stored: os.kill(os.getpid(), signal.SIGKILL) if done >= 300 else None,
)
"""


def test_a_deletion_that_was_killed_goes_on_and_never_counts_half_of_the_events(store: Store, url: str) -> None:
    with_titles(store)
    beside(store)
    seen = lived(store)
    table, before = dump(store), without_coverage(analyze(store, KEY))
    child = subprocess.run(
        [sys.executable, "-c", KILLED, url, LATER.isoformat()], cwd=ROOT, env=dict(os.environ), check=False
    )
    assert child.returncode == -signal.SIGKILL
    assert store.raw_events(KEY) == RawEvents(len(seen) - 300, 0)
    store.recount(START, END)
    assert without_coverage(analyze(store, KEY)) == before
    assert [row.lift for row in analyze(store, KEY).lifts if "coverage" in row.metric] == [None]
    [going_on] = retain(store, at=LATER + timedelta(hours=1), dry_run=True)
    assert (going_on.outcome, going_on.events) == ("would_delete", len(seen) - 300)
    assert retain(store, at=LATER + timedelta(hours=1)) == (Retained(KEY, END, "deleted", len(seen) - 300, 0),)
    assert store.raw_events(KEY) == RawEvents(0, 0)
    assert store.experiment(KEY).events_deleted_at == LATER
    assert [change.action for change in store.changes(KEY)] == ["launch", "delete_events"]
    assert {name: rows for name, rows in dump(store).items() if name in ("user_days", "exposures")} == {
        name: table[name] for name in ("user_days", "exposures")
    }


def test_batches_add_up_to_all_events(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    beside(store)
    seen = lived(store)
    monkeypatch.setattr(retention, "EVENTS_AT_ONCE", 100)
    told: list[tuple[str, int, int]] = []
    retain(store, at=LATER, progress=lambda *step: told.append(step))
    assert told[0] == (KEY, 100, len(seen))
    assert told[-1] == (KEY, len(seen), len(seen))


def test_days_of_old_experiments_alone_go_as_a_whole_and_are_counted_with_the_rest(store: Store) -> None:
    seen = lived(store)
    lived(store, "too")
    beside(store)
    late = [impression("w", after(days=day, seconds=7)) for day in (7.5, 8.5)]
    store.record(late)
    store.roll_up()
    told: list[tuple[str, int, int]] = []
    found = {
        each.experiment: (each.outcome, each.events)
        for each in retain(store, at=LATER, progress=lambda *step: told.append(step))
    }
    assert found == {KEY: ("deleted", len(seen) + 2), "too": ("deleted", len(seen))}
    if store.engine.dialect.name == "postgresql":
        assert told[:2] == [(KEY, 1, len(seen) + 2), (KEY, 2, len(seen) + 2)]
        assert days_made(store) == [after(days=day).date() for day in range(7)]
    assert told[-1] == ("too", len(seen), len(seen))
    assert store.raw_events(KEY).stored == store.raw_events("too").stored == 0
    assert store.raw_events("beside").stored == 7


def test_a_dry_run_drops_no_day_and_the_next_run_the_empty_ones(store: Store) -> None:
    store.make_partitions(since=START.date(), days=3)
    retain(store, at=after(days=5), dry_run=True)
    assert len(days_made(store)) in (0, 3)
    retain(store, at=after(days=4))
    if store.engine.dialect.name == "postgresql":
        assert days_made(store) == [after(days=2).date()]


def days_made(store: Store) -> list[date]:
    if store.engine.dialect.name == "sqlite":
        return []
    with reading(store.engine) as connection:
        return list(partitions.made(connection))


@pytest.mark.parametrize(
    ("launched_at", "stopped_at", "ended"),
    [
        (START, None, END),
        (START, after(days=2), after(days=2)),
        (START, END + timedelta(days=40), END),
        (END + timedelta(days=50), None, END + timedelta(days=50)),
    ],
    ids=["planned", "stopped", "stopped after its end", "of days gone by at its launch"],
)
def test_an_experiment_ended_when_nothing_of_it_could_count_any_more(
    launched_at: datetime, stopped_at: datetime | None, ended: datetime
) -> None:
    assert ended_at(replace(launch(), launched_at=launched_at, stopped_at=stopped_at)) == ended


def test_an_experiment_is_old_after_so_many_days_and_not_before(store: Store) -> None:
    launched = launch()
    register(store, launched)
    store.launch(launched)
    store.record([impression("u", START)])
    store.roll_up()
    assert retain(store, days=10, at=END + timedelta(days=10) - timedelta(seconds=1)) == ()
    assert len(retain(store, days=10, at=END + timedelta(days=10))) == 1


def test_fewer_than_no_days_are_refused(store: Store) -> None:
    with pytest.raises(PlatformError, match="days are -1; raw events are kept for 0 days or more"):
        retain(store, days=-1, at=LATER)
