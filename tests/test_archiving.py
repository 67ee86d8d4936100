"""The archive follows the database: every row, on both engines, whatever is killed, damaged, erased or deleted."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import delete

from ab_platform.archiving import archive, stale_days, verify
from ab_platform.erasing import erase
from ab_platform.errors import StoreAwayError, StoreError
from ab_platform.retention import retain
from ab_platform.storage import day_rows
from ab_platform.storage.archive import Archive, shards_of
from ab_platform.storage.archive.exporting import export
from ab_platform.storage.archive.locking import alone
from ab_platform.storage.archive.numbering import NUMBERED, Numbering
from ab_platform.storage.connection import writing
from ab_platform.storage.schema import events, experiments, exposures, open_user_days, user_days
from ab_platform.storage.store import Store, open_store
from tests.storage.archived import KEYS, LATER, day, in_archive, in_database, lived
from tests.storage.made import after, click, impression

ROOT = Path(__file__).parent.parent
DAYS = tuple(day(number) for number in range(6))


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def url(request: pytest.FixtureRequest) -> str:
    """The address of a migrated database without rows, on either engine."""
    address: str = request.getfixturevalue(request.param)
    return address


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store with a week of two experiments."""
    opened = open_store(url, migrate=False)
    lived(opened)
    yield opened
    opened.close()


@pytest.fixture
def into(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive", shards=2)


def versions(archive: Archive) -> dict[str, str]:
    return {str(each.day): each.version for each in archive.days()}


def require_equal(store: Store, archive: Archive) -> None:
    for each in archive.published():
        assert in_archive(archive, each) == in_database(store, each)
    assert set(archive.published()) == set(store.changed_days())


def whole(archive: Archive) -> bool:
    return not archive.damage(file for each in archive.days() for file in each.files)


def test_the_archive_holds_every_row_of_the_database_in_order(
    store: Store, into: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(day_rows.DayRows.batches, "__kwdefaults__", {"without": (), "rows": 7})
    done = archive(store, into, at=LATER)
    assert [(each.day, each.state) for each in done] == [(each, "published") for each in DAYS]
    require_equal(store, into)
    assert sum(each.events for each in done) == 2 * 24 * 3 * 3
    [first] = into.days(since=DAYS[2], until=DAYS[2])
    for shard in range(2):
        [path] = into.paths([first], "events", shard)
        rows = [tuple(row.values()) for row in pq.read_table(path, columns=["experiment", "user_id"]).to_pylist()]
        assert rows == sorted(rows)
        assert {key for key, _ in rows} == set(KEYS)


def test_the_users_of_every_archived_row_have_numbers(store: Store, into: Archive) -> None:
    archive(store, into, at=LATER)
    numbering = Numbering(into)
    files = [file for each in into.days() for table in NUMBERED for file in each.of(table)]
    assert files
    assert all(len(numbering.of(file)) == file.rows for file in files)


def test_a_repetition_changes_nothing_and_a_change_only_its_days(store: Store, into: Archive) -> None:
    archive(store, into, at=LATER)
    before = into.days()
    assert archive(store, into, at=LATER) == ()
    assert {each.state for each in archive(store, into, at=LATER, again=True)} == {"unchanged"}
    assert into.days() == before
    store.record([impression("new", after(days=1), key="first")])
    store.roll_up()
    assert [(each.day, each.state) for each in archive(store, into, at=LATER)] == [(day(1), "published")]
    require_equal(store, into)
    assert [was.day for was, now in zip(before, into.days(), strict=True) if was != now] == [day(1)]


def test_both_engines_give_the_same_files(store: Store, into: Archive, tmp_path: Path, other_store: Store) -> None:
    lived(other_store)
    other = Archive(tmp_path / "other", shards=2)
    archive(store, into, at=LATER)
    archive(other_store, other, at=LATER)
    assert versions(into) == versions(other)


def test_a_day_without_a_row_is_withdrawn(store: Store, into: Archive) -> None:
    store.record([impression("alone", after(days=6.5), key="first")])
    store.roll_up()
    archive(store, into, at=LATER)
    assert day(6) in into.published()
    store.erase("alone", at=LATER)
    assert [(each.day, each.state) for each in archive(store, into, at=LATER)] == [(day(6), "withdrawn")]
    assert into.published() == store.changed_days() == DAYS
    assert archive(store, into, at=LATER) == ()


def test_a_day_that_the_archive_lost_is_made_again(store: Store, into: Archive) -> None:
    archive(store, into, at=LATER)
    into.withdraw(day(3))
    assert stale_days(store, into) == (day(3),)
    assert [each.day for each in archive(store, into, at=LATER)] == [day(3)]
    require_equal(store, into)


def test_one_archiving_waits_for_another_and_says_for_which(store: Store, into: Archive) -> None:
    with alone(into.folder), pytest.raises(StoreAwayError, match=r"written by process \d+ for over 0.2 s; wait"):
        archive(store, into, at=LATER, wait_seconds=0.2)
    assert archive(store, into, at=LATER, wait_seconds=0.2)


@pytest.mark.timeout(120)
def test_an_archiving_that_is_killed_anywhere_ends_as_a_calm_one(
    store: Store, url: str, into: Archive, tmp_path: Path
) -> None:
    for stage, published in (("part", 0), ("publish", 0), ("note", 1)):
        command = [sys.executable, "-m", "tests.killed_archiving", stage, url, str(into.folder)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == -signal.SIGKILL, f"{stage} was not killed: {done.stderr}"
        assert len(into.published()) == published
        assert whole(into)
        assert stale_days(store, into) == DAYS
        for each in into.published():
            assert in_archive(into, each) == in_database(store, each)
    assert [each.day for each in archive(store, into, at=LATER)] == list(DAYS)
    calm = Archive(tmp_path / "calm", shards=2)
    archive(store, calm, at=LATER, again=True)
    assert versions(into) == versions(calm)
    lying = set(into.folder.glob("*/day=*/*"))
    assert lying == {into.folder / file.path for each in into.days() for file in each.files}


def test_damaged_files_are_named_and_their_days_made_again(store: Store, into: Archive) -> None:
    archive(store, into, at=LATER)
    before = versions(into)
    assert verify(store, into, at=LATER) == ()
    missing, short, changed = (into.folder / each.files[number].path for number, each in enumerate(into.days()[:3]))
    missing.unlink()
    short.write_bytes(short.read_bytes()[:-1])
    changed.write_bytes(changed.read_bytes().replace(b"PAR1", b"PAR2"))
    into.manifest_of(day(4)).write_text("{")
    found = verify(store, into, at=LATER)
    assert [(each.day, each.path) for each in found] == [
        *((day(number), str(path)) for number, path in enumerate((missing, short, changed))),
        (day(4), str(into.manifest_of(day(4)))),
    ]
    assert [each.wrong.partition(" ")[0] for each in found] == ["is", "has", "has", "cannot"]
    assert all(each.mended for each in found)
    assert verify(store, into, at=LATER) == ()
    assert versions(into) == before


def given_up(store: Store, into: Archive) -> dict[str, object]:
    """Archive all, then delete the raw events of the first experiment; return what the archive held."""
    archive(store, into, at=LATER)
    held = {str(each): in_archive(into, each) for each in into.published()}
    with writing(store.engine) as connection:
        first = experiments.c.experiment == KEYS[0]
        connection.execute(experiments.update().where(first).values(events_deleted_at=LATER))
        connection.execute(delete(events).where(events.c.experiment == KEYS[0]))
    return dict(held)


def test_events_that_left_the_database_stay_in_the_archive(store: Store, into: Archive) -> None:
    held = given_up(store, into)
    done = archive(store, into, at=LATER, again=True)
    assert {each.state for each in done} == {"unchanged"}
    store.record([impression("aaa", after(days=2), key="second"), impression("zzz", after(days=2), key="second")])
    store.roll_up()
    archive(store, into, at=LATER)
    assert {str(each): in_archive(into, each) for each in DAYS if each != day(2)} == {
        each: rows for each, rows in held.items() if each != str(day(2))
    }
    assert into.days()[2].rows("events") == sum(each.events for each in done if each.day == day(2)) + 2
    into.withdraw(day(1))
    archive(store, into, at=LATER)
    assert in_archive(into, day(1))["events"] == in_database(store, day(1))["events"]  # nobody has the others any more


def test_a_damaged_file_with_events_that_left_the_database_is_named_and_its_day_stays(
    store: Store, into: Archive
) -> None:
    given_up(store, into)
    before = into.days()
    [file, _] = before[1].of("events")
    copy = (into.folder / file.path).read_bytes()
    (into.folder / file.path).write_bytes(copy[:-1])
    other = into.folder / before[2].of("user_days")[0].path
    other.unlink()
    found = {each.day: each for each in verify(store, into, at=LATER)}
    assert (found[day(1)].mended, found[day(2)].mended) == (False, True)
    told = str(found[day(1)].reason)
    assert file.path in told
    assert "events of first on 2026-03-02 are in the archive only" in told
    assert "put a copy of the file in its place" in told
    with pytest.raises(StoreError, match="are in the archive only"):
        export(store, into, day(1), at=LATER)
    (into.folder / file.path).write_bytes(copy)
    assert verify(store, into, at=LATER) == ()
    assert into.days() == before


def test_rows_of_experiments_that_the_database_does_not_know_stay(store: Store, into: Archive) -> None:
    archive(store, into, at=LATER)
    held = in_archive(into, day(2))
    with writing(store.engine) as connection:
        for table in (events, exposures, user_days):
            connection.execute(delete(table).where(table.c.experiment == KEYS[1]))
        connection.exec_driver_sql("DELETE FROM experiment_changes WHERE experiment = 'second'")
        connection.exec_driver_sql("DELETE FROM arms WHERE experiment = 'second'")
        connection.exec_driver_sql("DELETE FROM experiments WHERE experiment = 'second'")
    assert {each.state for each in archive(store, into, at=LATER, again=True)} == {"unchanged"}
    assert in_archive(into, day(2)) == held


def test_an_erased_user_leaves_every_day_and_only_the_files_of_one_shard_change(store: Store, into: Archive) -> None:
    given_up(store, into)
    before = into.days()
    files = {path: path.read_bytes() for path in into.folder.glob("*/day=*/*")}
    [shard] = shards_of(["u004"], into.shards)
    theirs, others = (into.folder / "running" / "e" / "day=2026-03-02" / f"{of:02d}-made.parquet" for of in (shard, 9))
    theirs.parent.mkdir(parents=True)
    for path in (theirs, others):
        path.write_bytes(b"what is derived from a shard")
    done = erase(store, "u004", at=LATER, archive=into)
    assert done.archived == {"events": 18, "exposures": 2, "user_days": 6}
    gone = {path for path in files if not path.exists()}
    assert len({path.name[:2] for path in gone}) == 1
    assert len(gone) == 7  # events and user-days of three days, exposures of one
    assert not any(b"u004" in path.read_bytes() for of in ("*/day=*/*", "numbers/*/*") for path in into.folder.glob(of))
    assert [now.day for now, was in zip(into.days(), before, strict=True) if now != was] == [day(0), day(1), day(2)]
    assert (theirs.exists(), others.exists()) == (False, True)
    after_it = versions(into)
    assert dict(erase(store, "u004", at=LATER + timedelta(hours=1), archive=into).archived) == {
        "events": 0,
        "exposures": 0,
        "user_days": 0,
    }
    assert {each.state for each in archive(store, into, at=LATER)} == {"unchanged"}  # marked by the erasure
    assert versions(into) == after_it


def test_an_erasure_goes_on_past_a_damaged_file_and_names_it(store: Store, into: Archive) -> None:
    archive(store, into, at=LATER)
    file = next(file for file in into.days()[0].of("events") if b"u004" in (into.folder / file.path).read_bytes())
    (into.folder / file.path).write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=f"{file.path}.* run `abp archive --verify`, then erase the user again"):
        erase(store, "u004", at=LATER, archive=into)
    assert not any(b"u004" in path.read_bytes() for of in ("*/day=*/*", "numbers/*/*") for path in into.folder.glob(of))
    assert [each.mended for each in verify(store, into, at=LATER)] == [True]
    assert erase(store, "u004", at=LATER, archive=into).archived["events"] == 0


def test_retention_keeps_events_until_every_one_of_them_is_archived(store: Store, into: Archive) -> None:
    def reasons() -> set[str | None]:
        return {each.reason for each in retain(store, at=LATER, archive=into)}

    assert reasons() == {"6 days of them are not archived, such as 2026-03-01; run `abp archive`"}
    archive(store, into, at=LATER)
    path = into.folder / into.days()[3].of("events")[0].path
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert reasons() == {f"1 files of the archive are damaged, such as {path}; run `abp archive --verify`"}
    path.write_bytes(content)
    store.record([click("nobody", after(days=1), key="first")])
    with writing(store.engine) as connection:  # behind the store's back
        connection.execute(delete(open_user_days))
    assert "the archive holds 216 of them in place of 217; run `abp archive --again`" in reasons()


def test_retention_deletes_what_is_archived_and_the_archive_keeps_it(store: Store, into: Archive) -> None:
    archive(store, into, at=LATER)
    before = versions(into)
    assert {each.outcome for each in retain(store, at=LATER, archive=into)} == {"deleted"}
    assert store.raw_events("first").stored == 0
    assert archive(store, into, at=LATER) == ()
    assert {each.state for each in archive(store, into, at=LATER, again=True)} == {"unchanged"}
    assert versions(into) == before
