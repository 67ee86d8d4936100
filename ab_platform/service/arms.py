"""The arms that serve: loaded once each, swapped when an experiment changes, kept while the database is away."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ab_platform.errors import DataError, NotFoundError, PlatformError, StoreAwayError, StoreError
from ab_platform.lineage import Launch
from ab_platform.service import roster_file
from ab_platform.service.roster import Roster, read
from ab_platform.service.rules import Titles
from ab_platform.serving import Histories, Server
from ab_platform.storage.store import Store
from ab_platform.training import Workshop, load_arm, popularity_of, snapshot
from models.interactions import HeldOut, Interactions
from models.popularity import PopularityConfig
from models.recommender import FitOptions, FitReport, Recommender

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_TRIES = 30.0
"""How long an artifact that cannot be loaded is left alone: it may be on its way."""


class Missing:
    """Stands in for an arm that cannot be loaded: it fails, so that popularity serves and the failure is counted.

    Args:
        reason: why it cannot.
    """

    name = "missing"
    deterministic = True
    config = PopularityConfig()
    items: tuple[str, ...] = ()

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def fit(self, train: Interactions, validation: HeldOut | None, options: FitOptions) -> FitReport:
        """Refuse."""
        raise DataError(self.reason)

    def score(self, histories: csr_matrix) -> NDArray[np.float32]:
        """Refuse."""
        raise DataError(self.reason)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return nothing."""
        return {}

    def restore(self, items: Sequence[str], arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Refuse."""
        raise DataError(self.reason)


class Arms:
    """Roster, servers and titles of one worker; each is replaced as a whole, so a request sees one state.

    Args:
        store: holds the experiments; it may be away.
        workshop: where the arms lie.
        file: keeps the last roster.
    """

    def __init__(self, store: Store, workshop: Workshop, file: Path) -> None:
        self._store = store
        self._workshop = workshop
        self._file = file
        self._roster: Roster | None = None
        self._loaded: dict[str, Recommender] = {}
        self._servers: Mapping[str, Server] = {}
        self._titles: Titles = {}
        self._ingested: dict[str, datetime] = {}
        self._tried_at: dict[str, datetime] = {}
        self._refreshing = Lock()
        self.database_away = True

    @property
    def roster(self) -> Roster:
        """Return who is served now.

        Raises:
            StoreAwayError: before the first roster was read.
        """
        if self._roster is None:
            raise StoreAwayError("no experiment is known yet: the database did not answer since the start; start it")
        return self._roster

    @property
    def titles(self) -> Titles:
        """Return the names of titles by data set; nothing of a data set that could not be read yet."""
        return self._titles

    @property
    def missing(self) -> list[str]:
        """List the arms that cannot be loaded, as `experiment/arm`."""
        return [
            f"{key}/{arm}"
            for key, server in sorted(self._servers.items())
            for arm, artifact in sorted(server.launch.artifacts.items())
            if isinstance(self._loaded.get(artifact), Missing)
        ]

    def server(self, key: str) -> Server:
        """Return the server of a running experiment.

        Raises:
            NotFoundError: where it was launched a moment ago, and its arms are not loaded yet.
        """
        found = self._servers.get(key)
        if found is None:
            raise NotFoundError(f"the arms of '{key}' are not loaded yet; ask again in a moment")
        return found

    def refresh(self, *, at: datetime | None = None) -> None:
        """Read the roster, load what is new, let go of what is over; where the database is away, what stands stays.

        Args:
            at: now; a roster that another thread read since is left as it is.
        """
        moment = at or datetime.now(UTC)
        with self._refreshing:
            if self._roster is not None and self._roster.read_at > moment:
                return
            fresh = self._read(moment)
            if fresh is not None:
                self._load(fresh, moment)
                self._roster = fresh

    def _read(self, at: datetime) -> Roster | None:
        """Return the roster of the store; without it, at the start, that of the file."""
        try:
            fresh = read(self._store, at=at, earlier=self._roster)
        except StoreError as error:
            if not self.database_away or self._roster is None:
                logger.warning("the roster stays as it was: %s", error)
            self.database_away = True
            return roster_file.load(self._file) if self._roster is None else None
        self.database_away = False
        if self._roster is None or _kept(fresh) != _kept(self._roster):
            roster_file.save(fresh, self._file)
        return fresh

    def _load(self, fresh: Roster, at: datetime) -> None:
        launches = [each.launch for each in fresh.running.values()]
        wanted = {artifact for launch in launches for artifact in _artifacts(launch)}
        loaded = {artifact: self._recommender(artifact, at) for artifact in sorted(wanted)}
        changed = {artifact for artifact in wanted if self._loaded.get(artifact) is not loaded[artifact]}
        self._loaded = loaded
        self._servers = {each.experiment.key: self._served(each, changed) for each in launches}
        datasets = {each.experiment.data.dataset for each in launches}
        self._titles = {name: self._titles_of(name, bool(changed)) for name in datasets}

    def _recommender(self, artifact: str, at: datetime) -> Recommender:
        """Return an arm, loaded before or now; what cannot be loaded is tried again after a while."""
        earlier = self._loaded.get(artifact)
        tried_at = self._tried_at.get(artifact)
        if earlier is not None and not isinstance(earlier, Missing):
            return earlier
        if earlier is not None and tried_at is not None and (at - tried_at).total_seconds() < SECONDS_BETWEEN_TRIES:
            return earlier
        self._tried_at[artifact] = at
        try:
            return load_arm(self._workshop, artifact)
        except PlatformError as error:
            logger.error("popularity serves for artifact %s: %s", artifact, error)
            return Missing(str(error))

    def _served(self, launch: Launch, changed: set[str]) -> Server:
        """Return the server of an experiment, the same one where nothing about it changed."""
        earlier = self._servers.get(launch.experiment.key)
        same = earlier is not None and earlier.launch == launch and not changed.intersection(_artifacts(launch))
        if earlier is not None and same and not isinstance(earlier.fallback, Missing):
            return earlier
        recommenders = {arm: self._loaded[artifact] for arm, artifact in launch.artifacts.items()}
        return Server(launch, recommenders, fallback=self._fallback(launch, earlier), histories=Histories())

    def _fallback(self, launch: Launch, earlier: Server | None) -> Recommender:
        """Return popularity: that which was frozen at the launch, or for older launches one made from the data."""
        if launch.fallback is not None:
            return self._loaded[launch.fallback]
        if earlier is not None and not isinstance(earlier.fallback, Missing):
            return earlier.fallback
        try:
            return popularity_of(snapshot(self._store, launch.experiment.data))
        except PlatformError as error:
            logger.error("%s has no fallback: %s", launch.experiment.key, error)
            return Missing(str(error))

    def _titles_of(self, dataset: str, changed: bool) -> Mapping[str, str | None]:
        """Return what can be watched: the titles of a data set, and those that an arm knows besides, without a name.

        Read anew only when the data set was ingested anew, or an arm is another.
        """
        before = self._titles.get(dataset, {})
        try:
            found = self._store.dataset(dataset)
            if found is None or (self._ingested.get(dataset) == found.ingested_at and not changed):
                return before
            named = {each.title_id: each.title for each in self._store.titles(dataset).values()}
            self._ingested[dataset] = found.ingested_at
        except StoreError as error:
            logger.warning("the titles of %s stay as they were: %s", dataset, error)
            return before
        of_arms = {title for server in self._servers_on(dataset) for title in server.known_titles}
        return {**dict.fromkeys(of_arms), **named}

    def _servers_on(self, dataset: str) -> list[Server]:
        return [each for each in self._servers.values() if each.launch.experiment.data.dataset == dataset]


def _artifacts(launch: Launch) -> set[str]:
    return {*launch.artifacts.values(), *(() if launch.fallback is None else (launch.fallback,))}


def _kept(roster: Roster) -> tuple[object, ...]:
    """Return what the file keeps of a roster, apart from when it was read."""
    return roster.version, dict(roster.tokens), dict(roster.erased)
