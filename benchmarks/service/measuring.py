"""The measurements on a home: each starts what it needs, sends, and returns what it found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import inf
from statistics import median
from time import perf_counter

from ab_platform.storage.store import Store, open_store
from benchmarks.service import asked, driver, sides
from benchmarks.service.asked import BY_POPULARITY, Batch, Batches
from benchmarks.service.driver import Load
from benchmarks.service.found import Assigned, Grown, Pair, Ratio, Slates, Taken
from benchmarks.service.sides import Running
from benchmarks.service.world import Catalogue, Home


@dataclass(frozen=True)
class Sizes:
    """How long and how much is measured.

    Attributes:
        rounds: of two sides.
        event_rounds: of events, on two sides.
        seconds: of one load.
        at_once: users of an assignment request, each in turn.
        connections: of slates.
        event_connections: of events.
        batches: sizes of batches.
        events: of one load.
        warm_users: whose histories are in memory.
        workers: numbers of them.
    """

    rounds: int = 15
    event_rounds: int = 5
    seconds: float = 2.0
    at_once: tuple[int, ...] = (1, 100)
    connections: tuple[int, ...] = (1, 4, 16, 64)
    event_connections: tuple[int, ...] = (1, 4, 16)
    batches: tuple[int, ...] = (50, 500)
    events: int = 24_000
    warm_users: int = 200
    workers: tuple[int, ...] = (1, 2, 4)


CONNECTIONS = 16
"""Of assignments, and where workers are compared."""
COLD_CONNECTIONS = (1, 16)


def assignments(home: Home, sizes: Sizes) -> list[Assigned]:
    """Measure assignments beside the handler that does nothing; both are up all the time, and work in turns."""
    catalogue = _largest(home)
    with sides.service(home) as ours, sides.bare(home.folder) as bare:
        return [
            _assigned(ours, bare, asked.assignments(catalogue, home.token, at_once=users), users, sizes)
            for users in sizes.at_once
        ]


def slates(home: Home, sizes: Sizes, *, by_themselves: bool) -> list[Slates]:
    """Measure slates with histories in memory and not; with `by_themselves` also without micro-batching."""
    with sides.service(home) as ours:
        found = [each for catalogue in home.catalogues.values() for each in _warm(ours, home, catalogue, sizes)]
        found += [each for catalogue in home.catalogues.values() for each in _cold(ours, home, catalogue, sizes)]
    if by_themselves:
        with sides.alone(home) as alone:
            for catalogue in home.catalogues.values():
                found += _warm(alone, home, catalogue, sizes, together=False)
    return found


def events(home: Home, sizes: Sizes) -> list[Taken]:
    """Measure events beside the same batches, decoded beforehand, that threads commit through the store."""
    made = Batches(_largest(home), home.token)
    with sides.service(home) as ours:
        return [
            _taken(home, ours, made, size, connections, sizes)
            for size in sizes.batches
            for connections in sizes.event_connections
        ]


def growth(home: Home, sizes: Sizes) -> list[Grown]:
    """Measure the three with several workers, and the memory of each process before and after."""
    made = Batches(_largest(home), home.token)
    return [_grown(home, made, workers, sizes) for workers in sizes.workers]


def send(
    running: Running,
    requests: Sequence[bytes],
    *,
    connections: int,
    seconds: float = inf,
    mark: bytes = BY_POPULARITY,
) -> Load:
    """Send requests, each once or for some seconds; replies with the mark are counted.

    Raises:
        SystemExit: a request was not answered by 200.
    """
    load = driver.run(running.port, requests, connections=connections, seconds=seconds, mark=mark)
    if load.failed:
        raise SystemExit(f"{load.failed} of {load.requests} requests failed; the service's log says why")
    return load


def _assigned(ours: Running, bare: Running, requests: Sequence[bytes], users: int, sizes: Sizes) -> Assigned:
    for each in (bare, ours):
        send(each, requests, connections=CONNECTIONS, seconds=sizes.seconds / 4)
    loads, pairs = list[Load](), list[Pair]()
    for _ in range(sizes.rounds):
        other, other_busy, _ = _timed(bare, requests, sizes.seconds)
        own, own_busy, load = _timed(ours, requests, sizes.seconds)
        pairs.append(Pair(own, other, own_busy, other_busy))
        loads.append(load)
    p50, p99 = (median(load.quantile(share) for load in loads) for share in (0.5, 0.99))
    return Assigned(users, Ratio(tuple(pairs)), p50, p99, max(load.busy for load in loads))


def _timed(running: Running, requests: Sequence[bytes], seconds: float) -> tuple[float, float, Load]:
    """Return the requests a second, those a second of processor time, and the load."""
    worked = running.cpu_seconds()
    load = send(running, requests, connections=CONNECTIONS, seconds=seconds)
    return load.per_second, load.requests / max(running.cpu_seconds() - worked, 0.01), load


def _warm(
    running: Running, home: Home, catalogue: Catalogue, sizes: Sizes, *, together: bool = True
) -> Iterator[Slates]:
    requests = asked.slates(catalogue, home.token, catalogue.users[: sizes.warm_users])
    for connections in sizes.connections:
        send(running, requests, connections=4)  # reads the histories
        load = send(running, requests, connections=connections, seconds=sizes.seconds)
        yield _slates(load, catalogue, connections, "in memory", together=together)


def _cold(running: Running, home: Home, catalogue: Catalogue, sizes: Sizes) -> Iterator[Slates]:
    users = catalogue.users[sizes.warm_users :]
    few = len(users) // 4
    for connections, others in zip(COLD_CONNECTIONS, (users[:few], users[few:]), strict=True):
        load = send(running, asked.slates(catalogue, home.token, others), connections=connections)
        yield _slates(load, catalogue, connections, "in the database", together=True)


def _slates(load: Load, catalogue: Catalogue, connections: int, histories: str, *, together: bool) -> Slates:
    quantiles = load.quantile(0.5), load.quantile(0.99)
    return Slates(
        len(catalogue.titles),
        connections,
        histories,
        together,
        load.per_second,
        *quantiles,
        load.requests,
        load.marked,
    )


def _taken(home: Home, ours: Running, made: Batches, size: int, connections: int, sizes: Sizes) -> Taken:
    pairs, p99 = list[Pair](), list[float]()
    with_threads = open_store(home.url, migrate=False, connections=connections)
    for _ in range(sizes.event_rounds):
        theirs, own = (made.make(sizes.events, size=size) for _ in range(2))
        other = _committed(with_threads, theirs, connections)
        load = _sent(ours, own, connections)
        pairs.append(Pair(load.requests * size / load.seconds, other))
        p99.append(load.quantile(0.99))
    with_threads.close()
    return Taken(size, connections, Ratio(tuple(pairs)), median(p99))


def _sent(running: Running, batches: Sequence[Batch], connections: int) -> Load:
    """Send every batch once; all events must be stored."""
    stored = b'"stored":%d,"duplicates":0,"spooled":0,"rejected":0' % len(batches[0].events)
    load = send(running, [batch.request for batch in batches], connections=connections, mark=stored)
    if load.marked != load.requests:
        raise SystemExit(f"{load.requests - load.marked} of {load.requests} batches were not stored as a whole")
    return load


def _committed(store: Store, batches: Sequence[Batch], threads: int) -> float:
    """Return the events a second that threads commit."""
    with ThreadPoolExecutor(threads) as pool:
        began = perf_counter()
        statuses = list(pool.map(store.record_each, [batch.events for batch in batches]))
        took = perf_counter() - began
    stored = sum(each.count("stored") for each in statuses)
    assert stored == sum(len(batch.events) for batch in batches), "an event was there already"
    return stored / took


def _grown(home: Home, made: Batches, workers: int, sizes: Sizes) -> Grown:
    catalogue = _largest(home)
    ask = asked.assignments(catalogue, home.token, at_once=1)
    warm = asked.slates(catalogue, home.token, catalogue.users[: sizes.warm_users])
    size = sizes.batches[0]
    with sides.service(home, workers=workers) as running:
        memory = tuple(running.memory())
        for requests in (ask, warm):
            send(running, requests, connections=CONNECTIONS, seconds=sizes.seconds / 2)
        batches = made.make(sizes.events, size=size)
        loads = [
            send(running, ask, connections=CONNECTIONS, seconds=sizes.seconds),
            send(running, warm, connections=CONNECTIONS, seconds=sizes.seconds),
            _sent(running, batches, CONNECTIONS),
        ]
        rates = [load.per_second for load in loads]
        driver_share = max(load.busy for load in loads)
        return Grown(workers, rates[0], rates[1], rates[2] * size, driver_share, memory, tuple(running.memory()))


def _largest(home: Home) -> Catalogue:
    return home.catalogues[max(home.catalogues)]
