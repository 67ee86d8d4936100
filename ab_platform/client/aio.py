"""A client of the online service for asyncio: the verbs of `Client`, awaited; events go by a task of their own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, TypeVar

import httpx

from ab_platform.client import calls, slate_events
from ab_platform.client.async_sender import AsyncSender
from ab_platform.client.calls import Call, Reply
from ab_platform.client.connecting import MOST_TRIES, away, connection, may_repeat, reply_of
from ab_platform.client.delivery import Delivery, OnRejected
from ab_platform.client.http import CLOSE_SECONDS, now
from ab_platform.client.queues import MOST_WAITING, Batch, queue_in
from ab_platform.client.shapes import Assigned, Counts, ExperimentShown, ServedSlate
from ab_platform.client.wire_event import Sendable, WireEvent, outgoing
from ab_platform.errors import ServiceAwayError, ServiceError
from ab_platform.events import Surface

logger = logging.getLogger(__name__)

Read = TypeVar("Read")


class AsyncClient:
    """Asks the service, and sends it what users saw and did, from one event loop.

    Arguments and promises are those of `Client`. With an outbox, the wait for the disk is a thread's, not the loop's.

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
        connected = connection(url, token, timeout_seconds=timeout_seconds)
        self._http = httpx.AsyncClient(
            base_url=connected.url,
            headers=dict(connected.headers),
            timeout=connected.timeout_seconds,
            trust_env=connected.trust_env,
            limits=connected.limits,
        )
        self._clock = clock
        self._queue = queue_in(outbox, most=most_waiting)
        self._delivery = Delivery(self._queue, batch_size=batch_size, on_rejected=on_rejected, rng=rng or Random())
        self._sender = AsyncSender(self._queue, self._delivery, self._sent, flush_seconds=flush_seconds)
        self._closed = False

    async def __aenter__(self) -> AsyncClient:
        """Take the client; what an earlier start left in the outbox begins to be sent."""
        self._sender.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send what waits, and close."""
        await self.close()

    async def assign(self, user_id: str, experiments: Sequence[str] | None = None) -> tuple[Assigned, ...]:
        """Return the user's arms, as `Client.assign` does."""
        return await self.assign_many([user_id], experiments)

    async def assign_many(
        self, user_ids: Sequence[str], experiments: Sequence[str] | None = None
    ) -> tuple[Assigned, ...]:
        """Return the arms of many users, as `Client.assign_many` does."""
        found: list[Assigned] = []
        for start in range(0, len(user_ids), calls.MOST_USERS):
            asked = calls.assignments(user_ids[start : start + calls.MOST_USERS], experiments)
            found += await self._ask(asked, calls.read_assignments)
        return tuple(found)

    async def recommend(
        self,
        user_id: str,
        surface: Surface,
        *,
        title_id: str | None = None,
        experiment: str | None = None,
        at: datetime | None = None,
    ) -> ServedSlate:
        """Return what to show, as `Client.recommend` does."""
        asked = calls.recommendation(user_id, surface, title_id=title_id, experiment=experiment, at=at)
        return await self._ask(asked, calls.read_slate)

    async def experiments(self) -> tuple[ExperimentShown, ...]:
        """Return the experiments that the token is for, as `Client.experiments` does."""
        return await self._ask(calls.experiments(), calls.read_experiments)

    async def ready(self) -> bool:
        """Tell whether the service is there and can answer."""
        try:
            return (await self._reply(calls.readiness())).status == 200
        except ServiceAwayError:
            return False

    async def shown(self, slate: ServedSlate, positions: Iterable[int] | None = None) -> int:
        """Say what was really displayed of a slate, as `Client.shown` does."""
        return await self.send(slate_events.impressions(slate, positions))

    async def clicked(self, slate: ServedSlate, position: int, at: datetime | None = None) -> int:
        """Say that a title was clicked, as `Client.clicked` does."""
        return await self.send(slate_events.click(slate, position, at=at or self._clock()))

    async def watched(self, slate: ServedSlate, position: int, seconds: float, at: datetime | None = None) -> int:
        """Say that a title was played, as `Client.watched` does."""
        return await self.send(slate_events.watch(slate, position, seconds, at=at or self._clock()))

    async def exposed(self, experiment: str, user_id: str, surface: Surface, at: datetime | None = None) -> int:
        """Say that an assigned user was served by slates of your own, as `Client.exposed` does."""
        return await self.send([WireEvent("exposure", experiment, user_id, surface, at or self._clock())])

    async def send(self, events: Iterable[Sendable]) -> int:
        """Take events to be sent, as `Client.send` does."""
        if self._closed:
            raise ServiceError("the client is closed and sends nothing any more; make another")
        lines = [outgoing(event).line() for event in events]
        if lines:
            await self._sender.put(lines)
        return len(lines)

    async def flush(self, timeout_seconds: float = CLOSE_SECONDS) -> bool:
        """Send what waits; return whether the service answered for all of it in time."""
        return await self._sender.flush(timeout_seconds)

    def counts(self) -> Counts:
        """Return what became of the events so far."""
        return self._delivery.counts()

    async def close(self, timeout_seconds: float = CLOSE_SECONDS) -> None:
        """Send what waits, and close, as `Client.close` does."""
        if self._closed:
            return
        self._closed = True
        if not await self._sender.close(timeout_seconds):
            left = self._queue.waiting()
            kept = "wait in the outbox for the next start" if self._queue.on_disk else "are lost; an outbox keeps them"
            logger.warning("the service does not answer: %d events %s", left, kept)
        self._queue.close()
        await self._http.aclose()

    async def _sent(self, batch: Batch) -> Reply | None:
        try:
            return await self._reply(calls.events(batch.lines))
        except ServiceAwayError:
            return None

    async def _ask(self, call: Call, read: Callable[[Any], Read]) -> Read:
        return calls.answer(call, await self._reply(call), read)

    async def _reply(self, call: Call) -> Reply:
        for tries_left in reversed(range(MOST_TRIES)):
            try:
                return reply_of(await self._http.request(call.method, call.path, content=call.body))
            except httpx.HTTPError as error:
                if not (tries_left and may_repeat(error)):
                    raise away(call, self.url, error) from error
        raise AssertionError("the last try answers or raises")
