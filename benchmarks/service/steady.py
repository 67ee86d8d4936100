"""Mixed load for minutes, with an eye on the memory of every process of the service."""

from __future__ import annotations

from itertools import chain, cycle, islice
from threading import Event, Thread
from time import perf_counter

from benchmarks.service import asked, driver, sides
from benchmarks.service.asked import BY_POPULARITY, Batches
from benchmarks.service.found import Steady
from benchmarks.service.measuring import send
from benchmarks.service.sides import Running
from benchmarks.service.world import Home

ASSIGNMENTS, SLATES, BATCHES = 100, 30, 5
"""A second."""
BATCH = 20
CONNECTIONS = 8
WORKERS = 2


def measure(home: Home, minutes: float, *, look_seconds: float = 10.0) -> Steady:
    """Send assignments, slates and events at a moderate rate, and look at the memory again and again."""
    catalogue = home.catalogues[max(home.catalogues)]
    everyone = asked.slates(catalogue, home.token, catalogue.users)
    others = asked.assignments(catalogue, home.token, at_once=1)
    a_second = ASSIGNMENTS + SLATES + BATCHES
    seconds = round(minutes * 60)
    batches = Batches(catalogue, home.token).make(seconds * BATCHES * BATCH, size=BATCH)
    turns = iter(cycle(others)), iter(cycle(everyone)), (batch.request for batch in batches)
    mixed = list(
        chain.from_iterable(
            chain.from_iterable(islice(turn, count) for turn, count in zip(turns, (20, 6, 1), strict=True))
            for _ in range(len(batches))
        )
    )
    with sides.service(home, workers=WORKERS) as running:
        for _ in range(WORKERS):
            send(running, everyone, connections=CONNECTIONS)  # every history is read before the first look
        looks = _Looks(running, look_seconds)
        load = driver.run(
            running.port, mixed, connections=CONNECTIONS, seconds=seconds, per_second=a_second, mark=BY_POPULARITY
        )
        looks.stop()
    if load.failed:
        raise SystemExit(f"{load.failed} of {load.requests} requests failed; the service's log says why")
    times, memory = zip(*looks.found, strict=True)
    return Steady(minutes, load.requests, load.per_second, load.marked, load.quantile(0.99), times, memory)


class _Looks:
    """Looks at the memory of all processes until it is stopped."""

    def __init__(self, running: Running, seconds: float) -> None:
        self.found: list[tuple[float, int]] = []
        self._running = running
        self._seconds = seconds
        self._stop = Event()
        self._thread = Thread(target=self._look)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        began = perf_counter()
        self.found.append((0.0, sum(self._running.memory())))
        while not self._stop.wait(self._seconds):
            self.found.append((perf_counter() - began, sum(self._running.memory())))
