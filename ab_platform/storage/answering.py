"""Connections to PostgreSQL that give up on a server that is there and says nothing: it cannot end what it is to do."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from time import monotonic
from typing import Any

GRACE_SECONDS = 1.0
"""How much longer than the server's own limit the client waits, so that a server that lives tells the reason."""


def connecting(timeout_seconds: float) -> Callable[[object, object, Sequence[Any], Mapping[str, Any]], Any]:
    """Return what SQLAlchemy opens a connection by, one that closes when an answer takes longer than this.

    Args:
        timeout_seconds: what a statement may take by the server's clock.
    """
    import psycopg

    patience = timeout_seconds + GRACE_SECONDS

    class Answering(psycopg.Connection[Any]):
        def wait(self, gen: Generator[Any, Any, Any], *rest: Any) -> Any:
            try:
                return super().wait(_in_time(gen, patience), *rest)
            except TimeoutError as error:
                self.close()
                raise psycopg.OperationalError(f"no answer within {patience:g} s") from error

    def connect(dialect: object, record: object, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
        return Answering.connect(*arguments, **options)

    return connect


def _in_time(gen: Generator[Any, Any, Any], seconds: float) -> Generator[Any, Any, Any]:
    """Pass on what the driver waits for, until it has taken too long.

    Raises:
        TimeoutError: when it has.
    """
    deadline = monotonic() + seconds
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and monotonic() > deadline:
                raise TimeoutError
            wanted = gen.send(ready)
    except StopIteration as done:
        return done.value
