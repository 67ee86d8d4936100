"""One look at a running experiment: lifts, health, alerts, and the automatic stop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from ab_platform.alerts import Alert, AlertKind
from ab_platform.analysis import analyze
from ab_platform.conduct.gate import breached
from ab_platform.errors import NotFoundError
from ab_platform.lineage import Launch, own_time
from ab_platform.results import Readout
from ab_platform.storage.store import Store

if TYPE_CHECKING:
    from ab_platform.storage.warehouse.reads import UserReads

QUIET = timedelta(hours=24)
"""A running experiment without a new event for so long has lost its events, or its users."""


@dataclass(frozen=True)
class Guarded:
    """What a look did.

    Attributes:
        experiment: its key.
        as_of: last day that counted; None where no event was there.
        readout: the analysis; None where there was nothing to analyze.
        raised: alerts that are new.
        stopped: why the experiment was stopped by this look; None where it was not.
    """

    experiment: str
    as_of: date | None
    readout: Readout | None
    raised: tuple[Alert, ...]
    stopped: str | None


def running(store: Store, *, now: datetime) -> tuple[str, ...]:
    """List the experiments that a look is due at: begun, and not stopped."""
    return tuple(
        launch.experiment.key
        for launch in store.experiments()
        if launch.state == "running" and launch.starts_at <= max(now, _own_time(store, launch, now))
    )


def guard(store: Store, key: str, *, now: datetime, reads: UserReads | None = None) -> Guarded:
    """Analyze an experiment as of its own time, raise alerts on what a person must see, and stop where it says so.

    An alert that stands is not raised again; one whose cause is gone is cleared.

    Args:
        store: holds the experiment.
        key: of the experiment.
        now: the time; of a replay, its calendar is asked instead.
        reads: what reads the users; the store by default.

    Raises:
        NotFoundError: for an unknown experiment.
    """
    launch = store.experiment(key)
    at = _own_time(store, launch, now)
    readout = _looked(store, reads or store, launch, at)
    found = _alerts(launch, readout, at=at, now=now)
    store.clear_alerts(key, keep=[(alert.kind, alert.subject) for alert in found], at=now)
    raised = store.raise_alerts(found)
    stopped = _stop(store, launch, readout, at=at)
    return Guarded(key, readout.as_of if readout else None, readout, raised, stopped)


def _own_time(store: Store, launch: Launch, now: datetime) -> datetime:
    return own_time(launch, store.changes(launch.experiment.key), now)


def _looked(store: Store, reads: UserReads, launch: Launch, at: datetime) -> Readout | None:
    """Analyze as of the day that an event last came on, no later than the experiment's own time."""
    key = launch.experiment.key
    reads.roll_up()
    last = reads.watermark(key, _last_day(at))
    if last is None:
        return None
    try:
        return analyze(store, key, as_of=last.astimezone(UTC).date(), reads=reads)
    except NotFoundError:
        return None


def _last_day(at: datetime) -> date:
    return (at - timedelta(microseconds=1)).astimezone(UTC).date()


_Finding = tuple[AlertKind, str, str]
"""Kind, subject, and what to say."""


def _alerts(launch: Launch, readout: Readout | None, *, at: datetime, now: datetime) -> list[Alert]:
    found: list[_Finding] = [*_silent(launch, readout, at), *_ended(launch, at)]
    if readout is not None:
        found += [
            ("sample_ratio", split.scope, f"the split alarms: {split.reason}")
            for split in readout.sample_ratios
            if split.alarm
        ]
        found += [("guardrail", row, text) for row, text in breached(launch, readout, looks=1).items()]
    as_of = readout.as_of if readout else _last_day(at)
    return [
        Alert(launch.experiment.key, kind, subject, as_of, f"{launch.experiment.key}: {text}", now)
        for kind, subject, text in found
    ]


def _silent(launch: Launch, readout: Readout | None, at: datetime) -> list[_Finding]:
    """Tell when events stopped coming while the experiment runs."""
    last = readout.watermark if readout else launch.starts_at
    if launch.state == "stopped" or min(at, launch.ends_at) - last < QUIET:
        return []
    since = f"since {last:%Y-%m-%d %H:%M} UTC" if readout else f"since it began at {last:%Y-%m-%d %H:%M} UTC"
    return [("no_data", "events", f"no event came {since}; see that clients log what they show, and `abp status`")]


def _ended(launch: Launch, at: datetime) -> list[_Finding]:
    if launch.state == "stopped" or at < launch.ends_at:
        return []
    return [("end_reached", "decision", f"the planned end is reached; decide: `abp decide {launch.experiment.key}`")]


def _stop(store: Store, launch: Launch, readout: Readout | None, *, at: datetime) -> str | None:
    """Stop the experiment where a guardrail is breached and it says so; return why."""
    if readout is None or launch.state == "stopped" or not launch.experiment.stop_on_breach:
        return None
    reasons = breached(launch, readout, looks=1).values()
    if not reasons:
        return None
    reason = f"stopped automatically: {'; '.join(reasons)}"
    return reason if store.stop(launch.experiment.key, at=max(at, launch.launched_at), reason=reason) else None
