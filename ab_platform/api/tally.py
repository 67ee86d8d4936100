"""What a worker counted and timed and has not told yet: in memory, so that a request pays next to nothing."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter

from prometheus_client import Histogram

from ab_platform.api import sent, wire
from ab_platform.service.worker import Served

SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
LAG_SECONDS = (0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 86_400.0)


_TYPE: Callable[[sent.Event], str] = attrgetter("type")
_STATUS: Callable[[wire.EventKept], str] = attrgetter("status")


class Times:
    """How often something took how long.

    Args:
        bounds: of the buckets, in seconds, ascending.
    """

    __slots__ = ("_bounds", "_counts", "_seconds")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one more."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._seconds += seconds

    @property
    def count(self) -> int:
        """Return how many there were."""
        return sum(self._counts)

    def add_to(self, histogram: Histogram) -> None:
        """Add all to a histogram of the same buckets, in one step for each of these."""
        histogram._sum.inc(self._seconds)
        for bucket, count in zip(histogram._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)


def _times() -> Times:
    return Times(SECONDS)


@dataclass
class Tally:
    """Counts and times of one worker, by what tells them apart; to be used by one thread.

    Attributes:
        answers: of replies, by route and status.
        slates: of slates, by experiment, assigned arm and how they were made.
        events: how many, by type and status.
        rejections: how many events, by code.
        lags: of batches, from when the first event happened until the batch was taken.
    """

    answers: defaultdict[tuple[str, int], Times] = field(default_factory=lambda: defaultdict(_times))
    slates: defaultdict[tuple[str, str | None, str], Times] = field(default_factory=lambda: defaultdict(_times))
    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    rejections: Counter[str] = field(default_factory=Counter)
    lags: Times = field(default_factory=lambda: Times(LAG_SECONDS))

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count and time a reply."""
        self.answers[route, status].add(seconds)

    def served(self, served: Served) -> None:
        """Count and time a slate."""
        made = served.made
        self.slates[served.standing.key, made.slate.arm, made.reason].add(made.seconds)

    def kept(self, asked: wire.EventsSent, kept: Sequence[wire.EventKept], *, at: datetime) -> None:
        """Count events by what became of them, and time how late the first of a batch came."""
        types: Iterator[str] = map(_TYPE, asked.fit)
        if asked.unfit:
            types = iter(["invalid" if place in asked.unfit else next(types) for place in range(len(kept))])
        self.events.update(zip(types, map(_STATUS, kept), strict=True))
        self.rejections.update(item.code for item in kept if item.code is not None)
        if asked.fit:
            # One time a batch: clients gather in order, so the first tells how far one is behind.
            self.lags.add(max(0.0, (at - asked.fit[0].at).total_seconds()))
