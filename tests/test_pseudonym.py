"""With a key, users are known by keyed hashes: hashed at the door, once, and never mixed with other ids."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from ab_platform.datasets.ingest import Ingested, ingest
from ab_platform.datasets.user_attributes import load_attributes
from ab_platform.errors import DataError, PlatformError
from ab_platform.pseudonym import OWN_IDS, Pseudonyms, digest
from ab_platform.serving import place
from ab_platform.settings import from_environment
from ab_platform.storage.store import Store
from tests.storage.made import KEY, started

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECRET = "a key that nobody guesses"
KEYED = Pseudonyms(SECRET)
OTHER = Pseudonyms("another key, as long as it")


def users_of(store: Store, dataset: str) -> set[str]:
    return set(store.users_after(dataset, None, count=100))


@pytest.fixture
def bring(store: Store, tmp_path: Path) -> Callable[..., Ingested]:
    """Ingest a small file as `ml-1m`, or by another name."""
    path = tmp_path / "ratings.csv"
    path.write_text("user_id,title_id,rating\n1,t1,5\n2,t1,4\n1,t2,3\n")

    def run(pseudonyms: Pseudonyms = OWN_IDS, name: str = "ml-1m") -> Ingested:
        return ingest(store, str(path), data_home=tmp_path, at=NOW, name=name, pseudonyms=pseudonyms)

    return run


def test_a_pseudonym_is_the_hmac_of_the_id() -> None:
    full = hmac.new(SECRET.encode(), "Ünal 42".encode(), sha256).hexdigest()
    assert KEYED.of("Ünal 42") == full[:32]
    assert OTHER.of("Ünal 42") != KEYED.of("Ünal 42")


def test_without_a_key_users_are_known_by_their_own_ids() -> None:
    assert OWN_IDS.of("42") == "42"
    assert OWN_IDS.of_all(["42", "7", "42"]) == ["42", "7", "42"]
    assert OWN_IDS.marked("abc") == "abc"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=30))
def test_many_at_once_are_as_one_by_one_and_different_users_stay_different(ids: list[str]) -> None:
    assert KEYED.of_all(iter(ids)) == [KEYED.of(each) for each in ids]
    assert len(set(KEYED.of_all(ids))) == len(set(ids))


@pytest.mark.parametrize("key", ["", "short", "x" * 15])
def test_a_key_that_is_easily_guessed_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(PlatformError, match=f"ABP_USER_ID_KEY has {len(key)} characters; it must have 16 or more") as e:
        Pseudonyms(key)
    assert not key or key not in str(e.value)
    assert Pseudonyms("x" * 16).key


def test_the_key_is_shown_nowhere() -> None:
    assert SECRET not in repr(KEYED)
    assert SECRET not in repr(from_environment({"ABP_USER_ID_KEY": SECRET}))
    assert from_environment({"ABP_USER_ID_KEY": SECRET}).user_id_key == SECRET
    assert from_environment({"ABP_USER_ID_KEY": ""}).user_id_key is None


def test_an_erased_user_is_known_by_a_digest() -> None:
    assert digest("42") == sha256(b"42").hexdigest()


def test_an_ingest_keeps_no_id_of_its_own(store: Store, bring: Callable[..., Ingested]) -> None:
    kept = bring(KEYED).dataset
    assert (kept.users, kept.interactions) == (2, 3)
    assert users_of(store, "ml-1m") == {KEYED.of("1"), KEYED.of("2")}
    assert not bring(KEYED).changed


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (OWN_IDS, KEYED, "ingested without a key of user ids, and ABP_USER_ID_KEY is set now"),
        (KEYED, OWN_IDS, "ingested with a key of user ids, and ABP_USER_ID_KEY is not set now"),
        (KEYED, OTHER, "ingested with a key of user ids, and ABP_USER_ID_KEY is another one now"),
    ],
)
def test_ids_of_two_kinds_are_never_mixed(
    store: Store, tmp_path: Path, bring: Callable[..., Ingested], first: Pseudonyms, second: Pseudonyms, told: str
) -> None:
    kept = bring(first).dataset
    with pytest.raises(DataError, match=f"data set 'ml-1m' was {told}"):
        bring(second)
    devices = tmp_path / "devices.csv"
    devices.write_text("user_id,device\n1,tv\n2,phone\n")
    with pytest.raises(DataError, match=f"data set 'ml-1m' was {told}"):
        load_attributes(store, devices, dataset="ml-1m", pseudonyms=second)
    assert not store.attributes("ml-1m")
    load_attributes(store, devices, dataset="ml-1m", pseudonyms=first)
    assert users_of(store, "ml-1m") == set(first.of_all(["1", "2"]))
    assert bring(second, "other").dataset.content_hash != kept.content_hash


@pytest.fixture
def abp(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `abp` on the store, with a key."""
    from ab_platform.cli.main import app

    monkeypatch.setenv("ABP_DATABASE_URL", str(store.engine.url))
    monkeypatch.setenv("ABP_HOME", str(tmp_path))
    monkeypatch.setenv("ABP_USER_ID_KEY", SECRET)
    return lambda *words: CliRunner().invoke(app, words, env={"COLUMNS": "200", "NO_COLOR": "1"})


def test_every_door_of_the_command_line_hashes_once(store: Store, tmp_path: Path, abp: Callable[..., Result]) -> None:
    ratings, devices = tmp_path / "ratings.csv", tmp_path / "devices.csv"
    ratings.write_text("user_id,title_id,rating\n1,t1,5\n2,t1,4\n")
    devices.write_text("user_id,device\n1,tv\n3,phone\n")
    assert abp("ingest", str(ratings), "--name", "ml-1m").exit_code == 0
    assert abp("attributes", str(devices), "--dataset", "ml-1m").exit_code == 0
    assert users_of(store, "ml-1m") == set(KEYED.of_all(["1", "2", "3"]))
    launched = started(store)
    placed = place(launched, KEYED.of("1"))
    told = abp("assign", KEY, "1")
    assert f"user {KEYED.of('1')} has bucket {placed.layer_bucket} in layer" in told.stdout


def test_a_user_is_not_looked_up_under_another_key(
    store: Store, abp: Callable[..., Result], bring: Callable[..., Ingested]
) -> None:
    bring(OWN_IDS)
    started(store)
    refused = abp("assign", KEY, "1")
    assert isinstance(refused.exception, DataError)
    assert "ABP_USER_ID_KEY is set now" in str(refused.exception)


def test_a_short_key_stops_an_ingest(abp: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABP_USER_ID_KEY", "short")
    refused = abp("ingest", "synthetic")
    assert isinstance(refused.exception, PlatformError)
    assert "has 5 characters" in str(refused.exception)
