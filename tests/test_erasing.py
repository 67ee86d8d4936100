"""A user who is erased is in no table any more, results stay, and what is counted still agrees with its events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from time import sleep

import pytest
from sqlalchemy import Connection, func, insert, select
from typer.testing import CliRunner, Result

from ab_platform.analysis import analyze
from ab_platform.assigning import assign_users
from ab_platform.cli import erase as verb
from ab_platform.cli.main import app
from ab_platform.erasing import erase
from ab_platform.errors import PlatformError
from ab_platform.events import AnyEvent
from ab_platform.pseudonym import Pseudonyms, digest
from ab_platform.results import Outcome
from ab_platform.retention import retain
from ab_platform.storage.connection import one_at_a_time, reading, side_by_side, writing
from ab_platform.storage.erasing import TABLES
from ab_platform.storage.events import RECORD
from ab_platform.storage.schema import metadata, mixed_users, open_user_days
from ab_platform.storage.store import Store, open_store
from ab_platform.storage.user_days import ROLL_UP
from tests.storage.made import END, after, click, definition, impression, started, watch

GONE, STAYING = "u001", "u002"
AT = END + timedelta(days=1)
OLD = END + timedelta(days=91)
SECRET = "a key that nobody guesses"


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


def happened(key: str, users: int = 40) -> list[AnyEvent]:
    """Return what users did in a week."""
    seen: list[AnyEvent] = []
    for number in range(users):
        user, at = f"u{number:03d}", after(days=number % 5, seconds=number)
        arm = ("control", "pia")[number % 2]
        seen.append(impression(user, at, key=key, arm=arm))
        seen.append(replace(click(user, at + timedelta(seconds=5), key=key), arm=arm))
        seen.append(replace(watch(user, at + timedelta(seconds=9), 60.5, key=key), arm=arm))
    return seen


def lived(store: Store) -> None:
    """Fill every table that holds user ids, for the user who will go and for others, in two experiments."""
    everyone = [f"u{number:03d}" for number in range(40)]
    with store.ingesting("ml-1m", "hash", "here", after()) as writer:
        writer.write_interactions(everyone, ["t1"] * 40, None, None)
        writer.finish(0)
    store.write_attributes("not-ingested", "device", [(user, "tv") for user in everyone])
    for key in ("first", "second"):
        started(store, definition(key, layer=f"layer-{key}"))
        store.record(happened(key), [Outcome(key, user, "pia", "home_card", 1, 1, 2.5) for user in everyone])
        assign_users(store, key, at=AT)
    store.roll_up()
    late = impression(GONE, after(days=2), key="first", arm="control", mark="late")  # of another arm than before
    store.record([late, impression(STAYING, after(days=3), key="first", mark="late")])
    store.roll_up("first")
    store.record([impression(GONE, after(days=4), key="second", arm="pia", mark="new")])


def rows_of(store: Store, user: str) -> dict[str, int]:
    with reading(store.engine) as connection:
        return {
            table.name: connection.execute(
                select(func.count()).select_from(table).where(table.c.user_id == user)
            ).scalar_one()
            for table in metadata.sorted_tables
            if "user_id" in table.c
        }


def others(store: Store) -> Mapping[str, list[str]]:
    """Return every row of every table but those of the user, and what says that they are forgotten, on which days."""
    with reading(store.engine) as connection:
        found = {table.name: sorted(map(str, connection.execute(select(table)))) for table in metadata.sorted_tables}
    told = ("erasures", "changed_days")
    return {name: [row for row in rows if f"'{GONE}'" not in row] for name, rows in found.items() if name not in told}


def test_every_table_that_holds_user_ids_is_covered_by_the_test_and_by_the_erasure(store: Store) -> None:
    lived(store)
    before = rows_of(store, GONE)
    assert {table.name for table in TABLES} == before.keys() >= {"interactions", "events", "user_days", "exposures"}
    assert all(before.values()), f"the test fills not every table: {before}"
    assert erase(store, GONE, at=AT).rows == before
    assert not any(rows_of(store, GONE).values())


def test_no_table_names_users_by_another_column() -> None:
    holding = {
        f"{table.name}.{column.name}" for table in metadata.sorted_tables for column in table.c if "user" in column.name
    }
    ids = {each for each in holding if each.endswith(".user_id")}
    counts = {"datasets.users", "looks.users", "looks.mixed_users", "erasures.user_digest"}
    sums = {
        f"{table}.users_{arm}" for table in ("lifts", "lift_views", "segment_lifts") for arm in ("control", "treatment")
    }
    assert holding - ids == counts | sums


def test_no_row_of_anybody_else_changes(store: Store) -> None:
    lived(store)
    before = others(store)
    erase(store, GONE, at=AT)
    assert others(store) == before


def test_what_is_counted_agrees_with_a_recount_before_and_after_the_next_roll_up(store: Store) -> None:
    lived(store)
    erase(store, GONE, at=AT)
    assert store.compare_with_recount("first").differing == 0
    store.roll_up()
    assert [store.compare_with_recount(key).differing for key in ("first", "second")] == [0, 0]
    store.recount(after(), END)
    assert not any(rows_of(store, GONE).values())
    with reading(store.engine) as connection:
        for table in (open_user_days, mixed_users):
            assert connection.execute(select(func.count()).where(table.c.user_id == GONE)).scalar_one() == 0


def test_raw_events_may_still_be_deleted_and_user_days_whose_events_are_gone_go_too(store: Store) -> None:
    lived(store)
    store.roll_up()
    erase(store, GONE, at=AT)
    assert {each.outcome for each in retain(store, at=OLD)} == {"deleted"}
    assert rows_of(store, STAYING)["user_days"]
    assert rows_of(store, STAYING)["events"] == 0
    assert erase(store, STAYING, at=OLD).rows["user_days"] > 0
    assert not any(rows_of(store, STAYING).values())


def test_results_stay_and_the_next_ones_are_without_the_user(store: Store) -> None:
    lived(store)
    store.roll_up()
    found = analyze(store, "second")
    erase(store, GONE, at=AT)
    standing = store.readout("second")
    assert standing is not None
    assert set(map(str, standing.lifts)) == set(map(str, found.lifts))
    again = analyze(store, "second")
    assert again.lifts[0].users_control == found.lifts[0].users_control
    assert again.lifts[0].users_treatment == found.lifts[0].users_treatment - 1


def test_the_user_is_known_by_a_digest_alone_from_the_moment_on(store: Store) -> None:
    lived(store)
    assert store.erasures() == {}
    erase(store, GONE, at=AT)
    erase(store, "nobody", at=AT + timedelta(hours=1))
    assert store.erasures() == {digest(GONE): AT, digest("nobody"): AT + timedelta(hours=1)}


def test_a_repetition_changes_nothing_but_the_moment_which_never_goes_back(store: Store) -> None:
    lived(store)
    erase(store, GONE, at=AT)
    before = others(store)
    later = AT + timedelta(days=1)
    assert not any(erase(store, GONE, at=later).rows.values())
    assert not any(erase(store, GONE, at=AT).rows.values())
    assert store.erasures() == {digest(GONE): later}
    assert others(store) == before


def test_a_user_who_comes_back_later_is_a_new_one(store: Store) -> None:
    lived(store)
    erase(store, GONE, at=after(days=5))
    store.record([impression(GONE, after(days=6), key="first", mark="anew")])
    store.roll_up()
    assert rows_of(store, GONE) | {"events": 1, "exposures": 1, "user_days": 1} == rows_of(store, GONE)
    assert store.compare_with_recount("first").differing == 0


@pytest.mark.parametrize(("take", "task"), [(side_by_side, RECORD), (one_at_a_time, ROLL_UP)])
def test_what_another_transaction_is_writing_of_the_user_is_waited_for_and_goes_too(
    store: Store, take: Callable[[Connection, str], None], task: str
) -> None:
    lived(store)
    with ThreadPoolExecutor(1) as pool:
        with writing(store.engine) as connection:
            take(connection, task)
            day = {"experiment": "first", "user_id": GONE, "day": END.date()}
            connection.execute(insert(open_user_days).values(day))
            erased = pool.submit(erase, store, GONE, at=AT)
            sleep(0.3)
            assert not erased.done()
        erased.result()
    assert not any(rows_of(store, GONE).values())


def test_an_erasure_while_events_come_in_and_are_counted_leaves_nothing_half(store: Store, url: str) -> None:
    lived(store)

    def work(number: int) -> None:
        other = open_store(url, migrate=False)
        try:
            for turn in range(6):
                mark = f"{number}-{turn}"
                other.record([impression(f"u{each:03d}", after(days=3), key="first", mark=mark) for each in (1, 2, 3)])
                other.roll_up()
        finally:
            other.close()

    with ThreadPoolExecutor(3) as pool:
        working = [pool.submit(work, number) for number in range(3)]
        for turn in range(6):
            erase(store, GONE, at=AT + timedelta(seconds=turn))
        for each in working:
            each.result()
    store.roll_up()
    assert store.compare_with_recount("first").differing == 0
    erase(store, GONE, at=AT + timedelta(hours=1))
    assert not any(rows_of(store, GONE).values())
    assert store.compare_with_recount("first").differing == 0


def test_an_id_that_only_begins_alike_is_another_user(store: Store) -> None:
    store.write_attributes("d", "device", [("u1", "tv"), ("u10", "tv"), ("U1", "tv"), ("u1 ", "tv"), ("u_", "tv")])
    assert erase(store, "u1", at=AT).rows["user_attributes"] == 1
    assert erase(store, "u%", at=AT).rows["user_attributes"] == 0


def test_an_empty_id_is_refused(store: Store) -> None:
    with pytest.raises(PlatformError, match="the user id is empty"):
        erase(store, "", at=AT)
    assert store.erasures() == {}


@pytest.fixture
def abp(store: Store, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `abp erase` on the store, answering what it asks."""
    monkeypatch.setenv("ABP_DATABASE_URL", url)
    monkeypatch.setenv("ABP_HOME", str(tmp_path))
    monkeypatch.delenv("ABP_USER_ID_KEY", raising=False)
    monkeypatch.setattr(verb, "now", lambda: AT)

    def run(*words: str, answer: str = "") -> Result:
        return CliRunner().invoke(app, ["erase", *words], input=answer, env={"COLUMNS": "200", "NO_COLOR": "1"})

    return run


def test_the_verb_asks_first_and_shows_what_went_by_table(store: Store, abp: Callable[..., Result]) -> None:
    lived(store)
    before = rows_of(store, GONE)
    refused = abp(GONE, answer="n\n")
    assert refused.exit_code == 1
    assert "for good?" in refused.stderr
    assert rows_of(store, GONE) == before
    done = abp(GONE, answer="y\n")
    assert f"{sum(before.values())} rows of user {GONE} were deleted" in done.stdout
    lines = done.stdout.partition("table ")[2].splitlines()[1:]
    shown = dict(line.split() for line in lines)
    assert shown == {table: str(rows) for table, rows in before.items()}
    assert "there was no row of the user" in abp(GONE, "--yes").stderr


def test_the_verb_tells_machines_in_json_alone(store: Store, abp: Callable[..., Result]) -> None:
    lived(store)
    before = rows_of(store, GONE)
    assert json.loads(abp(GONE, "--yes", "--json").stdout) == {"rows": before, "archived": {}}


def test_the_verb_finds_users_by_their_own_ids_where_a_key_is_set(
    store: Store, abp: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABP_USER_ID_KEY", SECRET)
    keyed = Pseudonyms(SECRET)
    store.write_attributes("d", "device", [(keyed.of("42"), "tv"), ("42", "tv")])
    assert json.loads(abp("42", "--yes", "--json").stdout)["rows"]["user_attributes"] == 1
    assert store.users_after("d", None, count=9) == ["42"]
    assert store.erasures() == {digest(keyed.of("42")): AT}


def test_the_verb_says_where_the_user_is_known_by_another_id(
    store: Store, abp: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    lived(store)
    assert "another ABP_USER_ID_KEY" not in abp(STAYING, "--yes").stderr
    monkeypatch.setenv("ABP_USER_ID_KEY", SECRET)
    told = abp(GONE, "--yes")
    assert "data set 'ml-1m' was ingested under another ABP_USER_ID_KEY, or none" in told.stderr
    assert rows_of(store, GONE)["interactions"] == 1


def test_what_was_on_its_way_is_not_taken_and_what_comes_later_is(store: Store) -> None:
    started(store)
    store.record([impression(GONE, after(days=1)), impression(STAYING, after(days=1))])
    erase(store, GONE, at=after(days=5))
    late = [impression(GONE, after(days=2)), impression(STAYING, after(days=2)), impression(GONE, after(days=6))]
    assert store.record_each(late) == ("erased", "stored", "stored")
    assert store.record(late).erased == 1
