"""Statements on tokens: added, revoked, taken over by another; the secret itself never gets here."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, Row, insert, null, select, update

from ab_platform.access import Token
from ab_platform.errors import AccessError, NotFoundError, nearest
from ab_platform.storage.connection import one_at_a_time
from ab_platform.storage.schema import tokens

TASK = "tokens"
"""Of changing tokens, one transaction at a time: it is rare, and reads before it writes."""


def add(connection: Connection, token: Token) -> bool:
    """Store a token, unless the very same is there.

    Returns:
        Whether it is new.

    Raises:
        AccessError: where another one has its id.
    """
    standing = find(connection, token.token_id, lock=True)
    if standing is None:
        connection.execute(insert(tokens), _values(token))
        return True
    if standing.secret_hash != token.secret_hash:
        raise AccessError(f"token {token.token_id} is there already, with another secret; make a new one")
    return False


def hand_over(connection: Connection, old: Token, new: Token) -> Token:
    """Store a token that takes over from another, and when the other one ends; done before, nothing changes.

    Args:
        connection: in a transaction that writes.
        old: as it is to be, with its end.
        new: that takes over.

    Returns:
        What stands of the new one.

    Raises:
        AccessError: where another one has the new one's id.
    """
    if add(connection, new):
        ending = update(tokens).where(tokens.c.token_id == old.token_id)
        connection.execute(ending.values(expires_at=old.expires_at))
        return new
    return get(connection, new.token_id)


def revoke(connection: Connection, token_id: str, *, at: datetime) -> bool:
    """Revoke a token from a moment on; one that is revoked already stays as it is.

    Returns:
        Whether it was not revoked before.

    Raises:
        NotFoundError: for an unknown id.
    """
    if get(connection, token_id, lock=True).revoked_at is not None:
        return False
    connection.execute(update(tokens).where(tokens.c.token_id == token_id).values(revoked_at=at))
    return True


def find(connection: Connection, token_id: str, *, lock: bool = False) -> Token | None:
    """Return a token by its id.

    Args:
        connection: in a transaction.
        token_id: 8 hex digits.
        lock: keep others from changing any token until the transaction ends.
    """
    if lock:
        one_at_a_time(connection, TASK)
    row = connection.execute(select(tokens).where(tokens.c.token_id == token_id)).one_or_none()
    return None if row is None else _token(row)


def get(connection: Connection, token_id: str, *, lock: bool = False) -> Token:
    """Return a token by its id; arguments as in `find`.

    Raises:
        NotFoundError: with the nearest id.
    """
    found = find(connection, token_id, lock=lock)
    if found is None:
        known = connection.execute(select(tokens.c.token_id)).scalars()
        # Who gives a token's text instead of its id shall not find the secret in a log.
        raise NotFoundError(f"no token has the id '{token_id[:8]}'; {nearest(token_id[:8], known)}")
    return found


def every(connection: Connection) -> tuple[Token, ...]:
    """List the tokens, also those that let nobody in any more, the oldest first."""
    rows = connection.execute(select(tokens).order_by(tokens.c.created_at, tokens.c.token_id))
    return tuple(map(_token, rows))


def _values(token: Token) -> dict[str, object]:
    experiments = null() if token.experiments is None else sorted(token.experiments)
    return {**asdict(token), "scopes": sorted(token.scopes), "experiments": experiments}


def _token(row: Row[*tuple[object, ...]]) -> Token:
    return Token(
        token_id=row.token_id,
        client=row.client,
        secret_hash=row.secret_hash,
        scopes=frozenset(row.scopes),
        experiments=None if row.experiments is None else frozenset(row.experiments),
        requests_per_second=row.requests_per_second,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
