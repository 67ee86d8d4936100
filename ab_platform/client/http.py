"""A client of the online service for threads: questions are answered at once, events go by a thread of their own."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, TypeVar

import httpx

from ab_platform.client import calls, slate_events
from ab_platform.client.calls import Call, Reply
from ab_platform.client.connecting import MOST_TRIES, Connection, away, connection, may_repeat, reply_of
from ab_platform.client.delivery import Delivery, OnRejected
from ab_platform.client.queues import MOST_WAITING, Batch, queue_in
from ab_platform.client.sender import Sender
from ab_platform.client.shapes import Assigned, Counts, ExperimentShown, ServedSlate
from ab_platform.client.wire_event import Sendable, WireEvent, outgoing
from ab_platform.errors import ServiceAwayError, ServiceError
from ab_platform.events import Surface

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0

Read = TypeVar("Read")


def now() -> datetime:
    """Return what time it is."""
    return datetime.now(UTC)


class Client:
    """Asks the service, and sends it what users saw and did. Many threads may share one.

    Questions (`assign`, `recommend`, `experiments`) wait for the reply, for about `timeout_seconds`. Events never wait
    for the network: they are gathered, and sent again with the same ids until the service answers for each of them.

    Args:
        url: of the service.
        token: as `abp token create` printed it.
        outbox: a folder for events that must survive a kill of this process; they are on disk before a call returns.
            Without it up to `most_waiting` wait in memory, and the oldest are dropped when there are more.
        timeout_seconds: for the connection, and between two bytes of a reply.
        batch_size: events of one request.
        flush_seconds: how long an event waits for others to go with it.
        clock: tells the time of clicks, watches and exposures whose `at` is not given.
        on_rejected: is told of each event that the service does not take, from the sending thread.
        most_waiting: events that wait in memory.
        rng: spreads repetitions over time.

    Raises:
        ServiceError: for an address or a token that cannot be one.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        outbox: Path | None = None,
        timeout_seconds: float = 2.0,
        batch_size: int = 100,
        flush_seconds: float = 1.0,
        clock: Callable[[], datetime] = now,
        on_rejected: OnRejected | None = None,
        most_waiting: int = MOST_WAITING,
        rng: Random | None = None,
    ) -> None:
        self.url = url
        self._connection = connection(url, token, timeout_seconds=timeout_seconds)
        self._outbox, self._most_waiting = outbox, most_waiting
        self._batch_size, self._flush_seconds = batch_size, flush_seconds
        self._on_rejected = on_rejected
        self._rng = rng or Random()
        self._clock = clock
        self._forking = threading.Lock()
        self._closed = False
        self._open()
        atexit.register(self.close)

    def __enter__(self) -> Client:
        """Take the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send what waits, and close."""
        self.close()

    def assign(self, user_id: str, experiments: Sequence[str] | None = None) -> tuple[Assigned, ...]:
        """Return the user's arms, in the experiments named or in all running ones of the token.

        Raises:
            NotFoundError: for an unknown experiment.
            ServiceError: for what the service refuses.
            ServiceAwayError: where it does not answer.
        """
        return self.assign_many([user_id], experiments)

    def assign_many(self, user_ids: Sequence[str], experiments: Sequence[str] | None = None) -> tuple[Assigned, ...]:
        """Return the arms of many users, in their order; 10,000 users a request.

        Raises:
            NotFoundError: for an unknown experiment.
            ServiceError: for what the service refuses.
            ServiceAwayError: where it does not answer.
        """
        blocks = [user_ids[start : start + calls.MOST_USERS] for start in range(0, len(user_ids), calls.MOST_USERS)]
        asked = [self._ask(calls.assignments(block, experiments), calls.read_assignments) for block in blocks]
        return tuple(each for block in asked for each in block)

    def recommend(
        self,
        user_id: str,
        surface: Surface,
        *,
        title_id: str | None = None,
        experiment: str | None = None,
        at: datetime | None = None,
    ) -> ServedSlate:
        """Return what to show. Nothing is recorded until `shown` says what was displayed.

        Args:
            user_id: known or new.
            surface: where it will be shown.
            title_id: the title whose page it is, for a Movie Card.
            experiment: needed where several run on the surface.
            at: when; now by default. A repetition with the same `at` has the same ids.

        Raises:
            NotFoundError: for an unknown experiment, or where none runs on the surface.
            ServiceError: for what the service refuses.
            ServiceAwayError: where it does not answer; then show what you showed without it.
        """
        asked = calls.recommendation(user_id, surface, title_id=title_id, experiment=experiment, at=at)
        return self._ask(asked, calls.read_slate)

    def experiments(self) -> tuple[ExperimentShown, ...]:
        """Return the experiments that the token is for.

        Raises:
            ServiceError: for what the service refuses.
            ServiceAwayError: where it does not answer.
        """
        return self._ask(calls.experiments(), calls.read_experiments)

    def ready(self) -> bool:
        """Tell whether the service is there and can answer."""
        try:
            return self._reply(calls.readiness()).status == 200
        except ServiceAwayError:
            return False

    def shown(self, slate: ServedSlate, positions: Iterable[int] | None = None) -> int:
        """Say what was really displayed of a slate: an impression each. A repetition is harmless.

        Args:
            slate: as it was served.
            positions: that were displayed; all by default.

        Returns:
            How many events were taken; none for a user who is in no arm.

        Raises:
            EventError: for a position that the slate does not have.
        """
        return self.send(slate_events.impressions(slate, positions))

    def clicked(self, slate: ServedSlate, position: int, at: datetime | None = None) -> int:
        """Say that a title was clicked; a repetition with the same `at` is harmless.

        Returns:
            How many events were taken; none for a user who is in no arm.

        Raises:
            EventError: for a position that the slate does not have.
        """
        return self.send(slate_events.click(slate, position, at=at or self._clock()))

    def watched(self, slate: ServedSlate, position: int, seconds: float, at: datetime | None = None) -> int:
        """Say that a title was played, and for how long; a repetition with the same `at` is harmless.

        Returns:
            How many events were taken; none for a user who is in no arm.

        Raises:
            EventError: for a position that the slate does not have.
        """
        return self.send(slate_events.watch(slate, position, seconds, at=at or self._clock()))

    def exposed(self, experiment: str, user_id: str, surface: Surface, at: datetime | None = None) -> int:
        """Say that an assigned user was served on a surface by slates of your own; the earliest one counts.

        Raises:
            EventError: for an unknown surface, or a time without a zone.
        """
        return self.send([WireEvent("exposure", experiment, user_id, surface, at or self._clock())])

    def send(self, events: Iterable[Sendable]) -> int:
        """Take events to be sent; with an outbox they are on disk when it returns.

        Returns:
            How many were taken.

        Raises:
            EventError: for an event that breaks a rule; then none is taken.
            ServiceError: where the client is closed.
        """
        if self._closed:
            raise ServiceError("the client is closed and sends nothing any more; make another")
        lines = [outgoing(event).line() for event in events]
        if lines:
            self._here()
            self._sender.put(lines)
        return len(lines)

    def flush(self, timeout_seconds: float = CLOSE_SECONDS) -> bool:
        """Send what waits; return whether the service answered for all of it in time."""
        self._here()
        return self._sender.flush(timeout_seconds)

    def counts(self) -> Counts:
        """Return what became of the events so far."""
        self._here()
        return self._delivery.counts()

    def close(self, timeout_seconds: float = CLOSE_SECONDS) -> None:
        """Send what waits, and close. What is left then stays in the outbox, or is lost with a word in the log."""
        if self._closed or self._process != os.getpid():
            return
        self._closed = True
        atexit.unregister(self.close)
        if not self._sender.close(timeout_seconds):
            left = self._queue.waiting()
            kept = "wait in the outbox for the next start" if self._queue.on_disk else "are lost; an outbox keeps them"
            logger.warning("the service does not answer: %d events %s", left, kept)
        self._queue.close()
        self._http.close()

    def _open(self) -> None:
        """Make what belongs to one process: connections, queue, thread."""
        self._process = os.getpid()
        self._http = _opened(self._connection)
        self._queue = queue_in(self._outbox, most=self._most_waiting)
        self._delivery = Delivery(
            self._queue, batch_size=self._batch_size, on_rejected=self._on_rejected, rng=self._rng
        )
        self._sender = Sender(self._queue, self._delivery, self._sent, flush_seconds=self._flush_seconds)

    def _here(self) -> None:
        """Begin anew in a forked process: the thread stayed with its parent, and so do the parent's events."""
        if self._process == os.getpid():
            return
        with self._forking:
            if self._process != os.getpid():
                self._open()

    def _sent(self, batch: Batch) -> Reply | None:
        try:
            return self._reply(calls.events(batch.lines))
        except ServiceAwayError:
            return None

    def _ask(self, call: Call, read: Callable[[Any], Read]) -> Read:
        self._here()
        return calls.answer(call, self._reply(call), read)

    def _reply(self, call: Call) -> Reply:
        for tries_left in reversed(range(MOST_TRIES)):
            try:
                return reply_of(self._http.request(call.method, call.path, content=call.body))
            except httpx.HTTPError as error:
                if not (tries_left and may_repeat(error)):
                    raise away(call, self.url, error) from error
        raise AssertionError("the last try answers or raises")


def _opened(connected: Connection) -> httpx.Client:
    return httpx.Client(
        base_url=connected.url,
        headers=dict(connected.headers),
        timeout=connected.timeout_seconds,
        trust_env=connected.trust_env,
        limits=connected.limits,
    )
