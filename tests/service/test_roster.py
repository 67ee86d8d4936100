from __future__ import annotations

import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ab_platform.access import Token, mint
from ab_platform.errors import NotFoundError
from ab_platform.lineage import Change
from ab_platform.service import roster_file
from ab_platform.service.roster import Roster, read
from ab_platform.storage.store import Store
from tests.worlds import START, experiment, launch, register

NOW = START + timedelta(hours=1)


def a_token(*, experiments: frozenset[str] | None = None) -> Token:
    token, _ = mint(
        "tv",
        frozenset({"assign", "events"}),
        at=START,
        secret=bytes(32),
        experiments=experiments,
        requests_per_second=50.0,
        expires_at=START + timedelta(days=90),
    )
    return token


def two_experiments(store: Store) -> None:
    register(store, launch(replace(experiment("one"), layer_buckets=(0, 5000))))
    register(store, launch(replace(experiment("two"), layer_buckets=(5000, 10000), surfaces=("home_card",))))


def test_it_holds_what_the_store_holds(store: Store) -> None:
    two_experiments(store)
    store.add_token(a_token())
    store.stop("two", at=NOW)
    found = read(store, at=NOW)
    assert set(found.experiments) == {"one", "two"}
    assert set(found.running) == {"one"}
    assert [token.client for token in found.tokens.values()] == ["tv"]


def test_an_experiment_is_read_again_when_it_changed_and_only_then(store: Store) -> None:
    two_experiments(store)
    first = read(store, at=NOW)
    assert read(store, at=NOW, earlier=first).experiments is first.experiments
    store.ramp("one", 0.5, at=NOW)
    assert read(store, at=NOW, earlier=first).experiments["one"].launch.traffic == 0.5


def test_a_token_that_was_revoked_is_known_as_such_at_once(store: Store) -> None:
    token = a_token()
    store.add_token(token)
    first = read(store, at=NOW)
    store.revoke_token(token.token_id, at=NOW)
    assert not read(store, at=NOW, earlier=first).tokens[token.secret_hash].valid(NOW)


def test_the_clock_of_a_replay_is_its_own(store: Store) -> None:
    two_experiments(store)
    store.note(Change("one", NOW, "replay", None, {"seed": 0}, None))
    found = read(store, at=NOW)
    assert (found.experiments["one"].clock, found.experiments["two"].clock) == ("replayed", "live")


def test_the_only_experiment_on_a_surface_need_not_be_named(store: Store) -> None:
    two_experiments(store)
    assert read(store, at=NOW).serving("movie_card", token=None).key == "one"


def test_of_several_experiments_on_a_surface_one_must_be_named(store: Store) -> None:
    two_experiments(store)
    with pytest.raises(NotFoundError, match="2 experiments run on home_card \\(one, two\\); name one"):
        read(store, at=NOW).serving("home_card", token=None)


def test_a_token_sees_its_own_experiments_only(store: Store) -> None:
    two_experiments(store)
    found, token = read(store, at=NOW), a_token(experiments=frozenset({"two"}))
    assert [each.key for each in found.chosen(None, token=token)] == ["two"]
    assert found.serving("home_card", token=token).key == "two"
    with pytest.raises(NotFoundError, match="'one' is not launched; known: two"):
        found.standing("one", token=token)


def _full(store: Store) -> Roster:
    two_experiments(store)
    store.add_token(a_token(experiments=frozenset({"one"})))
    store.stop("two", at=NOW)
    return replace(read(store, at=NOW), erased={"0" * 64: NOW})


def test_a_roster_comes_back_from_its_file_as_it_was(store: Store, tmp_path: Path) -> None:
    saved = _full(store)
    roster_file.save(saved, tmp_path / "service" / "roster.json")
    assert roster_file.load(tmp_path / "service" / "roster.json") == saved


def test_only_its_owner_may_read_the_file(store: Store, tmp_path: Path) -> None:
    roster_file.save(_full(store), tmp_path / "roster.json")
    assert stat.S_IMODE((tmp_path / "roster.json").stat().st_mode) == 0o600


def test_no_secret_is_in_the_file(store: Store, tmp_path: Path) -> None:
    _, text = mint("tv", frozenset({"assign"}), at=START, secret=bytes(32))
    roster_file.save(_full(store), tmp_path / "roster.json")
    assert text not in (tmp_path / "roster.json").read_text()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 0}', '{"format": 1}', "\0"])
def test_a_file_that_cannot_be_read_is_as_good_as_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "roster.json").write_text(content)
    assert roster_file.load(tmp_path / "roster.json") is None
    assert roster_file.load(tmp_path / "nowhere.json") is None
