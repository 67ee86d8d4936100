"""The task that sends events: `Sender`, in one event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from ab_platform.client.calls import Reply
from ab_platform.client.delivery import PAUSE_SECONDS, Delivery
from ab_platform.client.pace import Pace
from ab_platform.client.queues import Batch, Queue

logger = logging.getLogger(__name__)


class AsyncSender:
    """Sends what is put into a queue; its task starts with the first event, or by `start`.

    Args:
        queue: of what waits, perhaps since an earlier start.
        delivery: the rules of repetition.
        send: sends a batch; None where no reply came.
        flush_seconds: how long an event waits for others, at most.
    """

    def __init__(
        self,
        queue: Queue,
        delivery: Delivery,
        send: Callable[[Batch], Awaitable[Reply | None]],
        *,
        flush_seconds: float,
    ) -> None:
        self._queue = queue
        self._delivery = delivery
        self._send = send
        self._pace = Pace(flush_seconds=flush_seconds)
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        self._taken = 0

    def start(self) -> None:
        """Begin to send."""
        if self._task is None and not self._ended:
            self._pace.arrived(time.monotonic())
            self._task = asyncio.create_task(self._run(), name="abp-client")

    async def put(self, lines: Sequence[bytes]) -> None:
        """Take events; with an outbox they are on disk when it returns."""
        if self._queue.on_disk:
            await asyncio.to_thread(self._queue.put, lines)
        else:
            self._queue.put(lines)
        async with self._changed:
            self._taken += len(lines)
            self._pace.arrived(time.monotonic())
            self.start()
            self._changed.notify_all()

    async def flush(self, timeout_seconds: float) -> bool:
        """Send what waits; return whether the service answered for all that was put before, in time."""
        deadline = time.monotonic() + timeout_seconds
        async with self._changed:
            target = self._taken
            self._pace.hurry()
            self.start()
            self._changed.notify_all()
            while self._queue.waiting() > self._taken - target:
                now = time.monotonic()
                if now >= deadline or now + self._pace.paused(now) >= deadline or self._ended:
                    return False
                await self._news(deadline - now)
        return True

    async def close(self, timeout_seconds: float) -> bool:
        """Send what waits, as `flush` does, and end the task; return whether nothing is left."""
        done = await self.flush(timeout_seconds)
        async with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._task is not None:
            await self._task
        return done

    async def _run(self) -> None:
        while await self._wait():
            try:
                pause = await self._send_waiting()
            except Exception:  # or no event would ever leave again
                logger.exception("events could not be sent; they are tried again in %.0f seconds", PAUSE_SECONDS)
                pause = PAUSE_SECONDS
            async with self._changed:
                self._pace.sent(time.monotonic(), waiting=self._queue.waiting(), pause_seconds=pause)
                self._changed.notify_all()

    async def _wait(self) -> bool:
        """Wait until a batch is due; return False at the end."""
        async with self._changed:
            while not self._ended:
                left = self._pace.seconds_left(
                    time.monotonic(), waiting=self._queue.waiting(), batch_size=self._delivery.batch_size
                )
                if left == 0.0:
                    return True
                await self._news(left)
        return False

    async def _send_waiting(self) -> float:
        """Send until nothing waits or a pause is due; return its seconds."""
        while not self._ended and (batch := self._delivery.next()) is not None:
            pause = self._delivery.replied(batch, await self._send(batch))
            async with self._changed:
                self._changed.notify_all()
            if pause > 0.0:
                return pause
        return 0.0

    async def _news(self, seconds: float | None) -> None:
        """Wait until something changed, or time is up."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass
