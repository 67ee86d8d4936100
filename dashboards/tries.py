"""Guesses slowed down: nobody guesses 256 random bits, but trying costs the database a read each time."""

from __future__ import annotations

from ab_platform.access import RateLimit

PER_SECOND, AT_ONCE, MOST_ADDRESSES = 0.2, 5, 1_000


class Tries:
    """How often each address may try to sign in: a few times at once, then one in some seconds."""

    def __init__(self) -> None:
        self._limits: dict[str, RateLimit] = {}

    def take(self, address: str, now: float) -> float:
        """Count a try, unless it comes too early.

        Args:
            address: of who tries.
            now: seconds, by a clock that does not go back.

        Returns:
            0.0 where it may go on, else the seconds to wait.
        """
        if address not in self._limits and len(self._limits) >= MOST_ADDRESSES:
            # The longest known goes, so that a crowd of addresses takes no more room.
            self._limits.pop(next(iter(self._limits)), None)
        return self._limits.setdefault(address, RateLimit(PER_SECOND, AT_ONCE)).take(now)
