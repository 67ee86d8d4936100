"""What people do to a running experiment by hand: stop it, or change its traffic."""

from __future__ import annotations

from datetime import datetime

from ab_platform.lineage import own_time
from ab_platform.storage.store import Store


def stop(store: Store, key: str, *, now: datetime, reason: str | None = None) -> bool:
    """Stop an experiment; one that is stopped stays as it is.

    Args:
        store: takes it into the change log.
        key: of the experiment.
        now: the time; of a replay, its calendar is asked instead.
        reason: why, for the change log.

    Returns:
        Whether it was running.

    Raises:
        ExperimentError: for a moment before the planned end where the raw events are gone.
        NotFoundError: for an unknown key.
    """
    return store.stop(key, at=moment(store, key, now), reason=reason)


def ramp(store: Store, key: str, traffic: float, *, now: datetime, reason: str | None = None) -> bool:
    """Change the share of an experiment's users who are in; nobody changes arm, and no gate is asked.

    Args:
        store: takes it into the change log.
        key: of the experiment.
        traffic: share, in [0, 1].
        now: as in `stop`.
        reason: why, for the change log.

    Returns:
        Whether it changed.

    Raises:
        ExperimentError: for a stopped experiment, or a traffic outside [0, 1].
        NotFoundError: for an unknown key.
    """
    return store.ramp(key, traffic, at=moment(store, key, now), reason=reason)


def moment(store: Store, key: str, now: datetime) -> datetime:
    """Return what time it is in an experiment: a replay has a calendar of its own.

    Raises:
        NotFoundError: for an unknown key.
    """
    launched = store.experiment(key)
    return max(own_time(launched, store.changes(key), now), launched.launched_at)
