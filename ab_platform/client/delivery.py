"""What to send next, and what a reply means for it: the rules of repetition, without a connection or a clock."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from ab_platform.client.calls import Reply, problem
from ab_platform.client.queues import Batch, Queue
from ab_platform.client.shapes import Counts, Rejected
from ab_platform.client.wire_event import read

logger = logging.getLogger(__name__)

MOST_BYTES = 3 * 2**20
"""Of one request; the service takes 4 MiB."""

MOST_EVENTS = 5_000
"""Of one request."""

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 60.0

PAUSE_SECONDS = 60.0
"""How long a service is left alone that does not know the token, or is not at the address: people must act first."""

TOO_MUCH = frozenset({400, 413, 422})
"""Refusals of a whole batch that a smaller one may not meet: one event may be the cause."""

OnRejected = Callable[[Rejected], None]


@dataclass
class _Tally:
    stored: int = 0
    duplicates: int = 0
    spooled: int = 0
    rejected: int = 0
    failures: int = 0


class Delivery:
    """Sends a queue's events, one batch after another: `next` says what to send, `replied` what to do then.

    One thread or task sends; others may ask for the counts.

    Args:
        queue: of what waits.
        batch_size: events of one request, at most.
        on_rejected: is told of each event that is not taken, for good.
        rng: spreads the repetitions of many clients over time.
    """

    def __init__(self, queue: Queue, *, batch_size: int, on_rejected: OnRejected | None, rng: Random) -> None:
        self._queue = queue
        self._most = min(max(batch_size, 1), MOST_EVENTS)
        self._size = self._most
        self._on_rejected = on_rejected
        self._rng = rng
        self._failed = 0  # in a row
        self._tally = _Tally()
        self._lock = threading.Lock()

    @property
    def batch_size(self) -> int:
        """Return how many events a request takes at most; fewer after a refusal for size."""
        return self._size

    def next(self) -> Batch | None:
        """Return what to send now; None where nothing waits."""
        return self._queue.peek(self._size, MOST_BYTES)

    def replied(self, batch: Batch, reply: Reply | None) -> float:
        """Take in what came of a batch.

        Args:
            batch: that was sent.
            reply: to it; None where none came in time, whether or not the service stored it.

        Returns:
            Seconds to wait before the next; 0.0 to go on at once.
        """
        if reply is not None and reply.status == 200 and (items := _items(reply, len(batch.lines))) is not None:
            return self._kept(batch, items)
        if reply is not None and reply.status in TOO_MUCH:
            return self._halved(batch, reply)
        with self._lock:
            self._tally.failures += 1
        if reply is not None and 300 <= reply.status < 500 and reply.status not in (408, 425, 429):
            return self._paused(reply)
        return self._backed_off(reply)

    def counts(self) -> Counts:
        """Return what became of the events so far."""
        with self._lock:
            tally = self._tally
            return Counts(
                self._queue.waiting(),
                tally.stored,
                tally.duplicates,
                tally.spooled,
                tally.rejected,
                self._queue.dropped(),
                tally.failures,
            )

    def _kept(self, batch: Batch, items: Sequence[dict[str, Any]]) -> float:
        self._failed = 0
        self._size = min(self._most, self._size * 2)
        statuses = [item.get("status") for item in items]
        with self._lock:
            self._tally.stored += statuses.count("stored")
            self._tally.duplicates += statuses.count("duplicate")
            self._tally.spooled += statuses.count("spooled")
        for line, item in zip(batch.lines, items, strict=True):
            if item.get("status") == "rejected":
                self._reject(line, str(item.get("code") or "rejected"), str(item.get("reason") or "no reason given"))
        self._queue.done(batch)
        return 0.0

    def _halved(self, batch: Batch, reply: Reply) -> float:
        """Try a smaller batch; an event that is refused alone is rejected."""
        if len(batch.lines) > 1:
            self._size = max(1, len(batch.lines) // 2)
            return 0.0
        told = problem(reply)
        self._reject(batch.lines[0], str(told.get("code") or f"http_{reply.status}"), str(told.get("detail") or ""))
        self._queue.done(batch)
        self._size = min(self._most, self._size * 2)
        return 0.0

    def _paused(self, reply: Reply) -> float:
        logger.error(
            "the service refuses events with HTTP %d: %s; %d wait, and are sent again every %.0f seconds",
            reply.status,
            problem(reply).get("detail") or "no reason given; is the address that of the service?",
            self._queue.waiting(),
            PAUSE_SECONDS,
        )
        return max(PAUSE_SECONDS, reply.retry_after_seconds or 0.0)

    def _backed_off(self, reply: Reply | None) -> float:
        """Wait what the service asks for, and a random time beyond it up to a bound that doubles each time."""
        bound = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(self._failed, 20))
        if not self._failed:
            came = "no reply in time" if reply is None else f"HTTP {reply.status}"
            logger.warning("events could not be sent (%s); %d wait, and are sent again", came, self._queue.waiting())
        self._failed += 1
        asked = 0.0 if reply is None else reply.retry_after_seconds or 0.0
        return asked + self._rng.uniform(0.0, bound)

    def _reject(self, line: bytes, code: str, reason: str) -> None:
        with self._lock:
            self._tally.rejected += 1
        rejected = Rejected(read(line), code, reason)
        event = rejected.event
        logger.warning("a %s of experiment %s is rejected (%s): %s", event.type, event.experiment, code, reason)
        if self._on_rejected is not None:
            try:
                self._on_rejected(rejected)
            except Exception:
                logger.exception("on_rejected failed; the next events are sent all the same")


def _items(reply: Reply, sent: int) -> list[dict[str, Any]] | None:
    """Return what became of each event; None where the reply does not say it of every one."""
    items = problem(reply).get("items")
    if isinstance(items, list) and len(items) == sent and all(isinstance(item, dict) for item in items):
        return items
    return None
