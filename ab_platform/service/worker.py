"""One worker of the online service: it assigns, makes slates and takes events; the web is somebody else's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic, time_ns

from ab_platform.access import Token
from ab_platform.erasing import erase
from ab_platform.errors import EventError, NotFoundError, StoreAwayError
from ab_platform.events import Surface
from ab_platform.pseudonym import Pseudonyms
from ab_platform.service.arms import Arms
from ab_platform.service.codec import Item
from ab_platform.service.histories import HistoryCache
from ab_platform.service.marks import Marks
from ab_platform.service.recording import Clocks, Kept, Recorder
from ab_platform.service.roster import Roster, Standing
from ab_platform.service.rules import Rules, Titles, forgotten, place, untimely
from ab_platform.service.slates import Made, Slates
from ab_platform.service.spool import Pending, Spool
from ab_platform.serving import Request
from ab_platform.storage.store import Store
from ab_platform.training import Workshop

logger = logging.getLogger(__name__)

READERS = 2
"""Threads that read histories."""

WRITERS = 2
"""Transactions of events at once, where the database takes several: while one waits for it, the other is made."""

FEW_USERS = 24
"""Who are assigned one by one; from here on, all at once is faster."""

AGAIN = timedelta(seconds=0.5)
"""How old a roster must be to be read again for a request that it refuses."""


@dataclass(frozen=True)
class Options:
    """How a worker serves.

    Attributes:
        folder: of the roster, the spool and the marks, shared by the workers of one machine.
        deadline_ms: after which popularity serves.
        history_users: users whose histories are kept in memory.
        spool_bytes: disk that events may take while the database is away.
        refresh_seconds: how soon a launch, a ramp, a stop or a token counts.
    """

    folder: Path
    deadline_ms: float = 100.0
    history_users: int = 100_000
    spool_bytes: int = 10 * 2**30
    refresh_seconds: float = 2.0


@dataclass(frozen=True)
class Served:
    """A slate with what its reply tells.

    Attributes:
        standing: the experiment.
        made: the slate, and by what it came.
        model_version: artifact that made it; None where popularity stood in.
    """

    standing: Standing
    made: Made
    model_version: str | None


class Worker:
    """Answers requests from memory, and keeps what it holds fresh by a task of its own.

    Args:
        options: how it serves.
        store: holds experiments, histories and events; it may be away.
        workshop: where the arms lie.
        pseudonyms: how the platform knows users.
    """

    def __init__(self, options: Options, store: Store, workshop: Workshop, pseudonyms: Pseudonyms) -> None:
        self.options = options
        self.pseudonyms = pseudonyms
        self._store = store
        self._marks = Marks(options.folder / "marks")
        self._spool = Spool(options.folder / "spool", limit_bytes=options.spool_bytes)
        self.histories = HistoryCache(store, users=options.history_users, marks=self._marks)
        self.arms = Arms(store, workshop, options.folder / "roster.json")
        self.recorder = Recorder(
            store,
            self._spool,
            self._marks,
            clocks=Clocks(monotonic, time_ns),
            forgotten=self._forgotten,
            writers=WRITERS if store.writes_side_by_side else 1,
        )
        self.slates = Slates(deadline_ms=options.deadline_ms)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="histories")

    @property
    def roster(self) -> Roster:
        """Return who is served now.

        Raises:
            StoreAwayError: before the first roster was read.
        """
        return self.arms.roster

    @property
    def away(self) -> bool:
        """Tell whether the database did not answer the last time."""
        return self.arms.database_away or self.recorder.away

    @property
    def titles(self) -> Titles:
        """Return the names of titles by data set."""
        return self.arms.titles

    def start(self) -> None:
        """Load what is served, and begin to write events."""
        self.recorder.start()
        self.slates.start()
        self.refresh()

    def stop(self) -> None:
        """Finish what was accepted, then end."""
        self.slates.stop()
        self.recorder.stop()
        self._readers.shutdown(cancel_futures=True)
        self._spool.close()
        self._marks.close()
        self._store.close()

    def refresh(self) -> None:
        """Read the roster and load its arms; what is there stays where the database is away."""
        self.arms.refresh()

    async def look_again(self, at: datetime) -> bool:
        """Read the roster again for a request that it refuses: what was launched a moment ago may not be in it yet.

        Args:
            at: now.

        Returns:
            Whether it was read; not where that was done just before.
        """
        if at - self.roster.read_at < AGAIN:
            return False
        await asyncio.to_thread(self.arms.refresh, at=at)
        return True

    def catch_up(self, *, stopping: asyncio.Event) -> int:
        """Move what the spool holds to the database, unless that is away; return how many events."""
        if self.recorder.away or not self._spool.pending().segments:
            return 0
        try:
            return self.recorder.drain(stop=stopping.is_set)
        except StoreAwayError as error:
            logger.warning("the spool keeps its events: %s", error)
            return 0

    def spooled(self) -> Pending:
        """Say what the spool holds."""
        return self._spool.pending()

    def assign(self, user_ids: Sequence[str], standing: Standing) -> list[int]:
        """Return the place of each user's arm, -1 where in none."""
        if not standing.running:
            return [-1] * len(user_ids)
        if len(user_ids) <= FEW_USERS:
            found = [place(standing, self.pseudonyms.of(user_id)) for user_id in user_ids]
            return [-1 if index is None else index for index in found]
        experiment = standing.launch.experiment
        places: list[int] = experiment.place_all(self.pseudonyms.of_all(user_ids), standing.ranges).tolist()
        return places

    async def recommend(self, asked: Request, *, experiment: str | None, token: Token | None, now: datetime) -> Served:
        """Make a slate within the deadline.

        Args:
            asked: the request, its user as the client names them.
            experiment: its key, or None where only one runs on the surface.
            token: of the client.
            now: the time.

        Raises:
            NotFoundError: for an experiment that is unknown, stopped, or has to be named.
            EventError: for a moment at which nothing can happen in it.
        """
        standing = self._standing(asked.surface, experiment, token)
        if (refused := untimely(asked.at, standing, now=now)) is not None:
            raise EventError(refused.reason)
        request = Request(self.pseudonyms.of(asked.user_id), asked.surface, asked.at, asked.title_id)
        arm = standing.arm(place(standing, request.user_id))
        server = self.arms.server(standing.key)
        until = asked.at if standing.clock == "replayed" else None
        history = self.histories.cached(standing.launch, request.user_id, until=until)
        started = monotonic()
        late = False
        if history is None:
            history, late = await self._read(standing, request.user_id, until)
        name = None if arm is None else arm.name
        if late:
            made = self.slates.fallback(server, request, name, history)
        else:
            spent = monotonic() - started
            made = await self.slates.recommend(server, request, name, history, spent_seconds=spent)
        version = standing.launch.artifacts[made.slate.served_by] if made.reason == "arm" else None
        return Served(standing, made, version)

    def record(self, events: Sequence[Item]) -> asyncio.Future[Sequence[Kept]]:
        """Keep events; the answer comes when they are safe."""
        return asyncio.wrap_future(self.recorder.record(events))

    def rules(self, *, token: Token | None, at: datetime) -> Rules:
        """Return the rules for the events of one request."""
        return Rules(self.roster, self.titles, token=token, at=at)

    async def erase(self, user_id: str, *, at: datetime) -> int:
        """Delete every row of a user; return how many."""
        erased = await asyncio.to_thread(erase, self._store, self.pseudonyms.of(user_id), at=at)
        self._marks.touch(self.pseudonyms.of(user_id), now_ns=time_ns())
        return sum(erased.rows.values())

    def _standing(self, surface: Surface, experiment: str | None, token: Token | None) -> Standing:
        if experiment is None:
            return self.roster.serving(surface, token=token)
        standing = self.roster.standing(experiment, token=token)
        if not standing.running:
            raise NotFoundError(f"experiment '{experiment}' is stopped; serve your default, or name one that runs")
        return standing

    async def _read(self, standing: Standing, user_id: str, until: datetime | None) -> tuple[tuple[str, ...], bool]:
        """Read a history; what is not there by the deadline is late, and the user is served as a new one."""
        context = copy_context()  # by which the log knows the request
        reading = asyncio.get_running_loop().run_in_executor(
            self._readers, lambda: context.run(self.histories.read, standing.launch, user_id, until=until)
        )
        try:
            return await asyncio.wait_for(asyncio.shield(reading), self.options.deadline_ms / 1000.0), False
        except TimeoutError:
            return (), True

    def _forgotten(self, event: Item) -> bool:
        return forgotten(self.roster, event.user_id, event.at)
