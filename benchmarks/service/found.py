"""What was measured, as it is kept and as the report reads it."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Pair:
    """One round of two sides, one after the other; rates of the same things.

    Attributes:
        ours: a second.
        other: of the other side, a second.
        ours_busy: a second of the serving processes' processor time; None where that was not measured.
        other_busy: the same of the other side.
    """

    ours: float
    other: float
    ours_busy: float | None = None
    other_busy: float | None = None


@dataclass(frozen=True)
class Ratio:
    """Rounds of two sides.

    Attributes:
        pairs: one a round.
    """

    pairs: tuple[Pair, ...]

    @property
    def ours(self) -> float:
        """Return our median rate."""
        return median(pair.ours for pair in self.pairs)

    @property
    def other(self) -> float:
        """Return the other side's median rate."""
        return median(pair.other for pair in self.pairs)

    @property
    def median(self) -> float:
        """Return the median, over rounds, of our rate as a multiple of the other's."""
        return median(self._ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """Return the lowest and the highest of these multiples."""
        return min(self._ratios), max(self._ratios)

    @property
    def busy(self) -> float | None:
        """Return the same median of rates a second of processor time, which other work on the machine disturbs less."""
        found = [pair.ours_busy / pair.other_busy for pair in self.pairs if pair.ours_busy and pair.other_busy]
        return median(found) if found else None

    @property
    def _ratios(self) -> list[float]:
        return [pair.ours / pair.other for pair in self.pairs]


@dataclass(frozen=True)
class Assigned:
    """Assignments beside the handler that does nothing.

    Attributes:
        at_once: users of a request.
        ratio: of requests.
        p50: milliseconds of ours.
        p99: milliseconds of ours.
        driver: the share of a core that the driver needed.
    """

    at_once: int
    ratio: Ratio
    p50: float
    p99: float
    driver: float


@dataclass(frozen=True)
class Slates:
    """Slates of one catalogue from so many connections.

    Attributes:
        titles: in the catalogue.
        connections: that ask at once.
        histories: where they were, `in memory` or `in the database`.
        together: whether requests that wait are scored together.
        per_second: slates.
        p50: milliseconds.
        p99: milliseconds.
        asked: how many.
        by_popularity: of them, served by popularity.
    """

    titles: int
    connections: int
    histories: str
    together: bool
    per_second: float
    p50: float
    p99: float
    asked: int
    by_popularity: int


@dataclass(frozen=True)
class Taken:
    """Events beside the store without the service.

    Attributes:
        size: events of a batch.
        connections: or threads, on the other side.
        ratio: of events.
        p99: milliseconds until a batch is acknowledged.
    """

    size: int
    connections: int
    ratio: Ratio
    p99: float


@dataclass(frozen=True)
class Grown:
    """The service with so many workers.

    Attributes:
        workers: how many.
        assignments: a second.
        slates: a second, of the largest catalogue.
        events: a second, in batches of 50.
        driver: the most of a core that the driver needed.
        memory: bytes of the supervisor and of each worker, arms loaded; only the worker's where it is alone.
        memory_after: the same after the load.
    """

    workers: int
    assignments: float
    slates: float
    events: float
    driver: float
    memory: tuple[int, ...]
    memory_after: tuple[int, ...]


@dataclass(frozen=True)
class Bulk:
    """Assignment without the service, beside GrowthBook's SDK.

    Attributes:
        users: distinct ids.
        one: seconds that one process takes.
        two: seconds that two take, each for half of the ids.
        single: users a second, one by one, beside the SDK.
        all_at_once: users a second, all at once, beside the SDK.
        compared: users whose arms were compared.
        different: of them, those to whom the SDK gives another arm.
        version: of the SDK.
    """

    users: int
    one: float
    two: float
    single: Ratio
    all_at_once: Ratio
    compared: int
    different: int
    version: str


@dataclass(frozen=True)
class Steady:
    """Memory under mixed load.

    Attributes:
        minutes: how long.
        requests: that were answered.
        per_second: requests.
        by_popularity: slates that popularity served.
        p99: milliseconds, over all requests.
        seconds: when memory was looked at.
        memory: bytes of all processes then.
    """

    minutes: float
    requests: int
    per_second: float
    by_popularity: int
    p99: float
    seconds: tuple[float, ...]
    memory: tuple[int, ...]
