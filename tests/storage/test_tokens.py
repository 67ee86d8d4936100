"""Tokens in the store: kept without their secret, taken over with a time of grace, revoked once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from ab_platform.access import Token, hashed, mint
from ab_platform.errors import AccessError, NotFoundError
from ab_platform.storage import schema
from ab_platform.storage.connection import reading
from ab_platform.storage.store import Store, open_store
from tests.storage.made import START, after

DAY = timedelta(days=1)


def secret(number: int) -> bytes:
    return bytes([number]) * 32


def added(store: Store, number: int = 1, *, expires_days: float | None = None) -> Token:
    made, _ = mint(
        f"client-{number}",
        ["events", "assign"],
        at=after(seconds=number),
        secret=secret(number),
        experiments=["b", "a"] if number % 2 else None,
        requests_per_second=12.5,
        expires_at=None if expires_days is None else after(days=expires_days),
    )
    assert store.add_token(made)
    return made


def test_tokens_come_back_as_they_were_the_oldest_first(store: Store) -> None:
    assert store.tokens() == ()
    second, first = added(store, 2), added(store, 1, expires_days=90)
    assert store.tokens() == (first, second)


def test_the_secret_is_kept_nowhere_and_none_is_null(store: Store) -> None:
    made, text = mint("tv-app", ["read"], at=START, secret=secret(7))
    store.add_token(made)
    with reading(store.engine) as connection:
        row = connection.execute(select(schema.tokens)).one()
        for_all = select(func.count()).where(schema.tokens.c.experiments.is_(None))
        # Of JSON, `IS NULL` is said for NULL alone, not for a document that holds null.
        assert connection.execute(for_all).scalar_one() == 1
    assert text.rsplit("_", 1)[-1] not in str(tuple(row))
    assert text[4:] not in str(tuple(row))
    assert row.secret_hash == hashed(text)


def test_the_very_same_token_again_changes_nothing(store: Store) -> None:
    made = added(store)
    assert store.add_token(made) is False
    assert store.tokens() == (made,)


def test_another_secret_under_the_same_id_is_refused(store: Store) -> None:
    made = added(store)
    other = Token(**{**vars(made), "secret_hash": "0" * 64})
    with pytest.raises(AccessError, match=f"token {made.token_id} is there already, with another secret; make a new"):
        store.add_token(other)
    assert store.tokens() == (made,)


def test_a_token_is_revoked_once(store: Store) -> None:
    made = added(store)
    assert store.revoke_token(made.token_id, at=after(days=1)) is True
    assert store.revoke_token(made.token_id, at=after(days=2)) is False
    [standing] = store.tokens()
    assert standing.revoked_at == after(days=1)
    assert not standing.valid(after(days=1))


def test_an_unknown_id_names_the_nearest_and_never_repeats_a_whole_token(store: Store) -> None:
    made = added(store)
    wrong = made.token_id[:7] + ("0" if made.token_id[-1] != "0" else "1")
    with pytest.raises(NotFoundError, match=f"no token has the id '{wrong}'; did you mean '{made.token_id}'?"):
        store.revoke_token(wrong, at=START)
    _, text = mint("tv-app", ["read"], at=START, secret=secret(9))
    with pytest.raises(NotFoundError) as caught:
        store.rotate_token(text, at=START, grace=DAY, secret=secret(3))
    assert text[12:] not in str(caught.value)


def test_a_rotated_token_is_good_for_its_grace_and_the_new_one_may_do_the_same(store: Store) -> None:
    old = added(store)
    new, text = store.rotate_token(old.token_id, at=after(days=3), grace=DAY, secret=secret(2))
    assert hashed(text) == new.secret_hash
    assert (new.client, new.scopes, new.experiments, new.requests_per_second) == (
        old.client,
        old.scopes,
        old.experiments,
        old.requests_per_second,
    )
    standing, fresh = store.tokens()
    assert fresh == new
    assert (fresh.created_at, fresh.expires_at) == (after(days=3), None)
    assert standing.expires_at == after(days=4)
    assert standing.valid(after(days=3.9))
    assert not standing.valid(after(days=4))


def test_the_same_rotation_again_changes_nothing(store: Store) -> None:
    old = added(store)
    first = store.rotate_token(old.token_id, at=after(days=3), grace=DAY, secret=secret(2))
    standing = store.tokens()
    assert store.rotate_token(old.token_id, at=after(days=3.5), grace=DAY, secret=secret(2)) == first
    assert store.tokens() == standing


def test_a_token_that_is_refused_is_not_rotated_and_nothing_is_written(store: Store) -> None:
    old = added(store, expires_days=2)
    standing = store.tokens()
    with pytest.raises(AccessError, match="is revoked or expired"):
        store.rotate_token(old.token_id, at=after(days=2), grace=DAY, secret=secret(2))
    with pytest.raises(AccessError, match="the secret has 3 bytes"):
        store.rotate_token(old.token_id, at=after(days=1), grace=DAY, secret=b"abc")
    assert store.tokens() == standing


def test_of_many_who_revoke_at_once_one_does(store: Store, url: str) -> None:
    made = added(store)

    def revoke(number: int) -> bool:
        other = open_store(url, migrate=False)
        try:
            return other.revoke_token(made.token_id, at=after(days=number))
        finally:
            other.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(revoke, range(1, 5))) == 1
