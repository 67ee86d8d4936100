"""The replay through the online service: the same visits, but each slate is asked for, and each event sent, over HTTP.

A user visits under the arm that the service assigns, and under no other, so the true lift stays unknown; the lifts are
those of a replay in this process, to the digit.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from time import monotonic

from ab_platform.client import AsyncClient
from ab_platform.client.shapes import Counts
from ab_platform.client.shapes import ServedSlate as Served
from ab_platform.client.slate_events import click, impressions, watch
from ab_platform.client.wire_event import WireEvent
from ab_platform.errors import ServiceAwayError, ServiceError
from ab_platform.lineage import Launch
from ab_platform.replay import REPLAYED, Population, entering, note_reached, note_settings, reply, stream
from ab_platform.serving import Histories, Request, Slate
from ab_platform.storage.store import Store
from ab_platform.training import snapshot
from ab_platform.viewer import Play, Session, Viewer, week

USERS_AT_ONCE = 256
REQUESTS_AT_ONCE = 16
NOTICE_SECONDS = 30.0
"""How long the service may take to learn that visits are replayed."""

FLUSH_SECONDS = 300.0
TIMEOUT_SECONDS = 30.0
BATCH_SIZE = 500

OPEN = "none"
"""What is shown to a service that needs no token."""


@dataclass(frozen=True)
class ReplayedOverHttp:
    """What a replay through the service did.

    Attributes:
        users: who visited.
        slates: that were asked for.
        fallbacks: slates that popularity served since the arm failed or was late; with any, the lifts differ from those
            of a replay in this process.
        counts: what became of the events.
        seconds: it took.
    """

    users: int
    slates: int
    fallbacks: int
    counts: Counts
    seconds: float


@dataclass
class _Visitor:
    """One user between two requests."""

    session: Session
    visits: Generator[Request, Slate, None]
    request: Request


class Pace:
    """Lets so many through a second, evenly; everyone where there is no rate."""

    def __init__(self, per_second: float | None) -> None:
        self._gap = 0.0 if per_second is None else 1.0 / per_second
        self._next = monotonic()

    async def turn(self) -> None:
        """Wait for a turn."""
        if self._gap:
            self._next = max(self._next + self._gap, monotonic())
            await asyncio.sleep(self._next - monotonic())


async def replay_over_http(
    store: Store,
    client: AsyncClient,
    launch: Launch,
    population: Population,
    *,
    viewer: Viewer,
    seed: int,
    at: datetime,
    per_second: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ReplayedOverHttp:
    """Replay the planned days of an experiment through the service.

    What a user watched from a slate is stored before the user's next request, as when a client waits for its reply.
    Repeated, or cut short and repeated, it asks for the same slates and sends the same events: they are duplicates.

    Args:
        store: holds the experiment; takes a line in its change log.
        client: of the service.
        launch: the experiment.
        population: who visits.
        viewer: how they behave.
        seed: of every user's random stream.
        at: now, for the change log.
        per_second: slates to ask for in a second, at most; None for as many as it can.
        progress: called with users done and users in all.

    Raises:
        ExperimentError: where the experiment was replayed with another viewer or seed, or has visits of its own.
        ServiceError: where the service refuses what it is asked or sent.
        ServiceAwayError: where it does not answer.
    """
    started = monotonic()
    note_settings(store, launch, {"viewer": asdict(viewer), "seed": seed}, at, REPLAYED)
    await _noticed(client, launch.experiment.key)
    entries = entering(launch, store.changes(launch.experiment.key), sorted(population.histories))
    total, done, seen, pace = sum(map(len, entries.values())), 0, Counter[bool](), Pace(per_second)
    for enters_at, users in entries.items():
        for start in range(0, len(users), USERS_AT_ONCE):
            group = users[start : start + USERS_AT_ONCE]
            visitors = _visitors(launch, population, group, viewer=viewer, seed=seed, enters_at=enters_at)
            seen += await _live_through(client, launch.experiment.key, visitors, pace)
            done += len(group)
            if progress:
                progress(done, total)
    note_reached(store, launch.experiment.key, launch.ends_at, at)
    return ReplayedOverHttp(total, seen.total(), seen[True], client.counts(), monotonic() - started)


def replayed_over_http(
    store: Store,
    key: str,
    *,
    url: str,
    token: str | None,
    seed: int,
    at: datetime,
    per_second: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ReplayedOverHttp:
    """Replay an experiment of the store through the service at an address; the rest as in `replay_over_http`.

    Raises:
        NotFoundError: for an unknown experiment.
    """
    launch = store.experiment(key)
    population = snapshot(store, launch.experiment.data).population()

    async def run() -> ReplayedOverHttp:
        async with AsyncClient(url, token or OPEN, batch_size=BATCH_SIZE, timeout_seconds=TIMEOUT_SECONDS) as client:
            return await replay_over_http(
                store,
                client,
                launch,
                population,
                viewer=Viewer(),
                seed=seed,
                at=at,
                per_second=per_second,
                progress=progress,
            )

    return asyncio.run(run())


async def _noticed(client: AsyncClient, key: str) -> None:
    """Wait until the service knows that the experiment's visits are on its own calendar."""
    until = monotonic() + NOTICE_SECONDS
    while monotonic() < until:
        if any(each.experiment == key and each.clock == "replayed" for each in await client.experiments()):
            return
        await asyncio.sleep(0.2)
    raise ServiceError(
        f"the service at {client.url} does not know that '{key}' is replayed after {NOTICE_SECONDS:.0f} s; "
        "it must serve from the same database (ABP_DATABASE_URL)"
    )


def _visitors(
    launch: Launch, population: Population, users: Sequence[str], *, viewer: Viewer, seed: int, enters_at: datetime
) -> list[_Visitor]:
    """Return the users who visit at all, each with the first request."""
    found = []
    for user in users:
        session = Session(user, set(population.likes.get(user, ())), Histories())
        days = launch.experiment.days
        visits = week(
            session, viewer, starts_at=launch.starts_at, days=days, enters_at=enters_at, rng=stream(seed, user)
        )
        if (request := next(visits, None)) is not None:
            found.append(_Visitor(session, visits, request))
    return found


async def _live_through(client: AsyncClient, key: str, visitors: Sequence[_Visitor], pace: Pace) -> Counter[bool]:
    """Take users through their visits, one request of each at a time; count their slates by whether popularity's."""
    waiting, seen = list(visitors), Counter[bool]()
    together = asyncio.Semaphore(REQUESTS_AT_ONCE)
    while waiting:
        served = await asyncio.gather(*(_asked(client, key, each.request, pace, together) for each in waiting))
        seen.update(each.arm is not None and each.served_by != each.arm for each in served)
        events, still = [], []
        for visitor, answer in zip(waiting, served, strict=True):
            before = len(visitor.session.plays)
            following = reply(visitor.visits, _slate(visitor.request, answer))
            events += _events(answer, visitor.session.plays[before:])
            if following is not None:
                still.append(_Visitor(visitor.session, visitor.visits, following))
        await _sent(client, events)
        waiting = still
    return seen


async def _asked(client: AsyncClient, key: str, request: Request, pace: Pace, together: asyncio.Semaphore) -> Served:
    async with together:
        await pace.turn()
        return await client.recommend(
            request.user_id, request.surface, title_id=request.title_id, experiment=key, at=request.at
        )


async def _sent(client: AsyncClient, events: Sequence[WireEvent]) -> None:
    """Send events, and wait until the service has them all."""
    rejected = client.counts().rejected
    await client.send(events)
    if not await client.flush(FLUSH_SECONDS):
        raise ServiceAwayError(f"the service at {client.url} did not take {client.counts().waiting} events; repeat it")
    if client.counts().rejected > rejected:
        raise ServiceError(
            f"the service rejected {client.counts().rejected - rejected} events of the replay; its reply is in the log"
        )


def _slate(request: Request, served: Served) -> Slate:
    titles = tuple(place.title_id for place in served.places)
    return Slate(served.request_id, served.experiment, request, served.arm, served.served_by, titles)


def _events(served: Served, plays: Sequence[Play]) -> list[WireEvent]:
    """Return what was shown, and what was clicked and watched."""
    events = impressions(served)
    for play in plays:
        events += click(served, play.position, at=play.at)
        events += watch(served, play.position, play.watch_seconds, at=play.at)
    return events
