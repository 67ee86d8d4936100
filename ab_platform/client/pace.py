"""When the next batch is due: full, old enough, asked for, and not before the end of a pause. Time is an argument."""

from __future__ import annotations


class Pace:
    """Tells a sender how long to wait.

    Args:
        flush_seconds: how long an event waits for others to go with it, at most.
    """

    def __init__(self, *, flush_seconds: float) -> None:
        self._flush_seconds = flush_seconds
        self._since: float | None = None  # when the oldest that waits came
        self._paused_until = 0.0
        self._hurried = False

    def arrived(self, now: float) -> None:
        """Say that events came."""
        if self._since is None:
            self._since = now

    def hurry(self) -> None:
        """Send what waits without waiting for more."""
        self._hurried = True

    def sent(self, now: float, *, waiting: int, pause_seconds: float) -> None:
        """Say that batches went, until none waited or a pause was due."""
        self._since = now if waiting else None
        self._hurried = self._hurried and waiting > 0
        self._paused_until = now + pause_seconds

    def paused(self, now: float) -> float:
        """Return the seconds that a pause still takes; 0.0 where there is none."""
        return max(0.0, self._paused_until - now)

    def seconds_left(self, now: float, *, waiting: int, batch_size: int) -> float | None:
        """Return the seconds until a batch is due, 0.0 where it is; None where none waits."""
        if not waiting:
            return None
        full = self._hurried or waiting >= batch_size
        gathered = now if full or self._since is None else self._since + self._flush_seconds
        return max(0.0, gathered - now, self._paused_until - now)
