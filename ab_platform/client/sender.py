"""The thread that sends events: the caller only ever waits for the queue."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from ab_platform.client.calls import Reply
from ab_platform.client.delivery import PAUSE_SECONDS, Delivery
from ab_platform.client.pace import Pace
from ab_platform.client.queues import Batch, Queue

logger = logging.getLogger(__name__)


class Sender:
    """Sends what is put into a queue; its thread starts with the first event.

    Args:
        queue: of what waits, perhaps since an earlier start.
        delivery: the rules of repetition.
        send: sends a batch; None where no reply came.
        flush_seconds: how long an event waits for others, at most.
    """

    def __init__(
        self, queue: Queue, delivery: Delivery, send: Callable[[Batch], Reply | None], *, flush_seconds: float
    ) -> None:
        self._queue = queue
        self._delivery = delivery
        self._send = send
        self._pace = Pace(flush_seconds=flush_seconds)
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ended = False
        self._taken = 0
        if queue.waiting():
            self._arrived(0)

    def put(self, lines: Sequence[bytes]) -> None:
        """Take events; with an outbox they are on disk when it returns."""
        self._queue.put(lines)
        self._arrived(len(lines))

    def flush(self, timeout_seconds: float) -> bool:
        """Send what waits; return whether the service answered for all that was put before, in time.

        A pause that the service asked for, or that a failure made, is kept: where it is longer than the time there is,
        this returns at once.
        """
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            target = self._taken
            self._pace.hurry()
            self._changed.notify_all()
            while self._queue.waiting() > self._taken - target:
                now = time.monotonic()
                if now >= deadline or now + self._pace.paused(now) >= deadline or self._ended:
                    return False
                self._changed.wait(deadline - now)
        return True

    def close(self, timeout_seconds: float) -> bool:
        """Send what waits, as `flush` does, and end the thread; return whether nothing is left."""
        done = self.flush(timeout_seconds)
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        return done

    def _arrived(self, count: int) -> None:
        with self._changed:
            self._taken += count
            self._pace.arrived(time.monotonic())
            if self._thread is None and not self._ended:
                self._thread = threading.Thread(target=self._run, name="abp-client", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _run(self) -> None:
        while self._wait():
            try:
                pause = self._send_waiting()
            except Exception:  # or no event would ever leave again
                logger.exception("events could not be sent; they are tried again in %.0f seconds", PAUSE_SECONDS)
                pause = PAUSE_SECONDS
            with self._changed:
                self._pace.sent(time.monotonic(), waiting=self._queue.waiting(), pause_seconds=pause)
                self._changed.notify_all()

    def _wait(self) -> bool:
        """Wait until a batch is due; return False at the end."""
        with self._changed:
            while not self._ended:
                left = self._pace.seconds_left(
                    time.monotonic(), waiting=self._queue.waiting(), batch_size=self._delivery.batch_size
                )
                if left == 0.0:
                    return True
                self._changed.wait(left)
        return False

    def _send_waiting(self) -> float:
        """Send until nothing waits or a pause is due; return its seconds."""
        while not self._ended and (batch := self._delivery.next()) is not None:
            pause = self._delivery.replied(batch, self._send(batch))
            with self._changed:
                self._changed.notify_all()
            if pause > 0.0:
                return pause
        return 0.0
