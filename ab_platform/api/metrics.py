"""What is counted and timed, for Prometheus; the workers of one machine add up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from ab_platform import __version__
from ab_platform.api import wire
from ab_platform.api.process_meters import ProcessMeters
from ab_platform.api.tally import LAG_SECONDS, SECONDS, Tally
from ab_platform.errors import StoreAwayError
from ab_platform.service.rules import Code
from ab_platform.service.slates import Reason
from ab_platform.service.worker import Served, Worker

Mode = Literal["max", "mostrecent", "livemax", "livemin"]
"""How the workers' values of a gauge become one."""

TYPES = ("impression", "click", "watch", "exposure")
STATUSES = ("stored", "duplicate", "spooled", "rejected")
CODES = (*get_args(Code), "invalid", "too_late")
NO_ARM = "none"
"""Label of users who are in no arm."""

NO_ROUTE = "none"
"""Label of requests for a path or a method that there is not."""


class Meters:
    """The meters of one worker.

    Requests are counted in memory, and told every few seconds and when somebody asks: what a worker that is killed had
    counted since is not told.

    Args:
        folder: where the workers of one machine put theirs together; None for a single one.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._registry = CollectorRegistry()
        self._tally = Tally()
        self._requests = self._counter("abp_requests", "Requests by route and status.", "route", "status")
        self._seconds = self._histogram("abp_request_seconds", "Time to answer, by route.", "route")
        self._slates = self._counter(
            "abp_slates",
            "Slates by experiment, assigned arm (none: users outside), and what made them: the arm; or popularity, "
            "past the deadline or since the arm failed.",
            *("experiment", "arm", "made"),
        )
        self._slate_seconds = self._histogram(
            "abp_slate_seconds", "Time to make a slate, waiting included, by assigned arm.", "experiment", "arm"
        )
        self._histories = self._counter(
            "abp_histories_without_database",
            "Slates made while the database was away, from the history as it was (old) or from none (empty).",
            "history",
        )
        self._events = self._counter("abp_events", "Events by type and what became of them.", "type", "status")
        self._rejections = self._counter("abp_events_rejected", "Rejected events by the code of the reason.", "code")
        self._lag = Histogram(
            "abp_event_lag_seconds",
            "Time from when the first event of a batch happened until the batch was taken.",
            buckets=LAG_SECONDS,
            registry=self._registry,
        )
        self._commits = self._histogram("abp_commit_seconds", "Time of a transaction of events in the database.")
        self._committed = self._counter("abp_committed_events", "Events in those transactions.")
        # Made when they are first told: what is not known yet is not 0.
        self._standing: tuple[_State, ProcessMeters] | None = None
        self._served_old, self._served_empty = 0, 0
        self._begin_at_zero()

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count and time a reply."""
        self._tally.answered(route, status, seconds)

    def lost(self, status: int) -> None:
        """Count a request for a path or a method that there is not."""
        self._requests.labels(NO_ROUTE, str(status)).inc()

    def served(self, served: Served) -> None:
        """Count and time a slate."""
        self._tally.served(served)

    def kept(self, asked: wire.EventsSent, kept: Sequence[wire.EventKept], *, at: datetime) -> None:
        """Count events by what became of them, and time how late they came."""
        self._tally.kept(asked, kept, at=at)

    def committed(self, events: int, seconds: float) -> None:
        """Count and time a transaction of events; for the thread that writes them."""
        self._committed.inc(events)
        self._commits.observe(seconds)

    async def tell(self, worker: Worker) -> None:
        """Hand on what was counted, and note how the worker stands."""
        counted = self._taken()
        await asyncio.to_thread(self._tell, counted, worker)

    async def exposition(self) -> bytes:
        """Return everything in Prometheus' text format, without keeping other requests waiting."""
        counted = self._taken()
        return await asyncio.to_thread(self._exposition, counted)

    def _taken(self) -> Tally:
        """Return what was counted so far, and begin anew; only for the thread that counts."""
        taken, self._tally = self._tally, Tally()
        return taken

    def _tell(self, counted: Tally, worker: Worker) -> None:
        self._hand_on(counted)
        self._standing = self._standing or (_State(self._registry), ProcessMeters(self._registry))
        state, process = self._standing
        state.note(worker)
        process.note()
        old, empty = worker.histories.served_old, worker.histories.served_empty
        self._histories.labels("old").inc(old - self._served_old)
        self._histories.labels("empty").inc(empty - self._served_empty)
        self._served_old, self._served_empty = old, empty
        for experiment, arm in _arms(worker):
            self._slate_seconds.labels(experiment, arm)
            for made in get_args(Reason):
                self._slates.labels(experiment, arm, made)

    def _hand_on(self, counted: Tally) -> None:
        for (route, status), times in counted.answers.items():
            self._requests.labels(route, str(status)).inc(times.count)
            times.add_to(self._seconds.labels(route))
        for (experiment, arm, made), times in counted.slates.items():
            self._slates.labels(experiment, arm or NO_ARM, made).inc(times.count)
            times.add_to(self._slate_seconds.labels(experiment, arm or NO_ARM))
        for (kind, became), count in counted.events.items():
            self._events.labels(kind, became).inc(count)
        for code, count in counted.rejections.items():
            self._rejections.labels(code).inc(count)
        counted.lags.add_to(self._lag)

    def _exposition(self, counted: Tally) -> bytes:
        self._hand_on(counted)
        if self._folder is None:
            return generate_latest(self._registry)
        _forget_dead(self._folder)
        together = CollectorRegistry()
        MultiProcessCollector(together, path=str(self._folder))  # type: ignore[no-untyped-call]
        return generate_latest(together)

    def _begin_at_zero(self) -> None:
        """Tell of what never happened as 0: where a series only begins, the first time it happens is no rise."""
        for kind in TYPES:
            for status in STATUSES:
                self._events.labels(kind, status)
        for code in CODES:
            self._rejections.labels(code)
        for history in ("old", "empty"):
            self._histories.labels(history)

    def _counter(self, name: str, told: str, *labels: str) -> Counter:
        return Counter(name, told, labels, registry=self._registry)

    def _histogram(self, name: str, told: str, *labels: str) -> Histogram:
        return Histogram(name, told, labels, buckets=SECONDS, registry=self._registry)


class _State:
    """How a worker stands.

    What all workers see alike is told by the one who looked last, the rest by the worst of those that live.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, told: str, mode: Mode) -> Gauge:
            return Gauge(name, told, multiprocess_mode=mode, registry=registry)

        self._spooled = gauge("abp_spooled_events", "Events on disk that wait for the database.", "mostrecent")
        self._spool = gauge("abp_spool_bytes", "Disk that the events that wait take.", "mostrecent")
        self._limit = gauge("abp_spool_limit_bytes", "Disk that they may take; beyond it events are refused.", "max")
        self._spoiled = gauge("abp_spool_spoiled_files", "Files that nobody could read, set aside.", "mostrecent")
        self._away = gauge("abp_database_away", "1 while the database does not answer a worker.", "livemax")
        self._read_at = gauge(
            "abp_roster_read_timestamp_seconds", "When experiments and tokens were last read, unix time.", "livemin"
        )
        self._running = gauge("abp_experiments_running", "Experiments that a worker serves.", "livemin")
        self._missing = gauge("abp_arms_missing", "Arms that a worker cannot load: popularity serves.", "livemax")
        self._build = Gauge(
            "abp_build_info",
            "1, by the version that runs.",
            ["version"],
            multiprocess_mode="livemax",
            registry=registry,
        )

    def note(self, worker: Worker) -> None:
        """Note how the worker stands."""
        pending = worker.spooled()
        self._spooled.set(pending.events)
        self._spool.set(pending.bytes)
        self._limit.set(worker.options.spool_bytes)
        self._spoiled.set(pending.spoiled)
        self._away.set(float(worker.away))
        self._missing.set(len(worker.arms.missing))
        self._build.labels(__version__).set(1.0)
        try:
            self._read_at.set(worker.roster.read_at.timestamp())
            self._running.set(len(worker.roster.running))
        except StoreAwayError:  # nothing was read yet
            self._running.set(0.0)


def _arms(worker: Worker) -> list[tuple[str, str]]:
    """Return every arm that may serve, and those outside, by experiment."""
    try:
        running = worker.roster.running
    except StoreAwayError:
        return []
    return [
        (key, arm)
        for key, standing in running.items()
        for arm in (*(each.name for each in standing.launch.experiment.arms), NO_ARM)
    ]


def _forget_dead(folder: Path) -> None:
    """Remove what dead workers say of themselves as if they lived; what they counted stays counted."""
    for path in folder.glob("gauge_live*.db"):
        try:
            os.kill(int(path.stem.rpartition("_")[2]), 0)
        except ProcessLookupError:
            path.unlink(missing_ok=True)
