"""Delete the raw events of experiments that ended long ago, once their user-days are proven to be all that is needed.

All of them are proven first, then go together: so on PostgreSQL a day on which no other experiment has events is
dropped as a whole, which is faster than to delete its rows.

User-days, exposures, mixed users and results stay, so an analysis comes out the same to the digit, but for metrics that
read raw events: coverage is absent from then on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from ab_platform.archiving import unarchived
from ab_platform.errors import PlatformError
from ab_platform.lineage import Launch
from ab_platform.storage.archive import Archive
from ab_platform.storage.store import EVENTS_AT_ONCE, Store

KEEP_DAYS = 90
"""Days after its end that the raw events of an experiment are kept by default."""

Outcome = Literal["deleted", "would_delete", "kept"]

Progress = Callable[[str, int, int], None]
"""Called with an experiment's key, events deleted and events in all."""


@dataclass(frozen=True)
class Retained:
    """What became of the raw events of one experiment that ended long ago.

    Attributes:
        experiment: its key.
        ended_at: when it ended.
        outcome: what was done, or in a dry run would be.
        events: raw events that were deleted now, would be, or stay.
        user_days: user-days that the events were compared with; 0 where that was done before.
        reason: why they stay; None where they do not.
    """

    experiment: str
    ended_at: datetime
    outcome: Outcome
    events: int
    user_days: int
    reason: str | None = None


def retain(
    store: Store,
    *,
    days: int = KEEP_DAYS,
    at: datetime,
    dry_run: bool = False,
    archive: Archive | None = None,
    progress: Progress | None = None,
) -> tuple[Retained, ...]:
    """Delete the raw events of experiments that ended more than some days ago and are rolled up to the last event.

    An experiment is left alone, with the reason, unless its user-days are the same, value by value, as a recount from
    its events; with an archive, also unless it holds every event, in whole files of days that are not stale. Cut short,
    the next run goes on with what is left; a repetition deletes nothing. On PostgreSQL, empty partitions of days past
    go too.

    Args:
        store: holds events and user-days.
        days: how long raw events are kept after the end.
        at: now.
        dry_run: say what would be deleted, and change nothing.
        archive: that the events must be in first; None where there is none.
        progress: called after each batch.

    Returns:
        What became of each experiment that still had raw events, the oldest first.

    Raises:
        PlatformError: for fewer than 0 days.
    """
    if days < 0:
        raise PlatformError(f"days are {days}; raw events are kept for 0 days or more after the end")
    old = [each for each in store.experiments() if ended_at(each) <= at - timedelta(days=days)]
    told = [_prove(store, each, days=days, at=at, dry_run=dry_run, archive=archive) for each in old]
    found = tuple(each for each in told if each is not None)
    if dry_run:
        return found
    deleted = _delete(
        store, {each.experiment: each.events for each in found if each.outcome == "deleted"}, at, progress
    )
    return tuple(replace(each, events=deleted.get(each.experiment, each.events)) for each in found)


def ended_at(launched: Launch) -> datetime:
    """Return when an experiment ended or will end; one of days gone by did not end before its launch."""
    end = min(launched.ends_at, launched.stopped_at or launched.ends_at)
    return max(end, launched.launched_at)


def _prove(
    store: Store, launched: Launch, *, days: int, at: datetime, dry_run: bool, archive: Archive | None
) -> Retained | None:
    """Give up the events of one experiment where they are not needed; None where it has nothing to speak of."""
    key = launched.experiment.key
    found = store.raw_events(key)
    if not found.stored and not found.open_days:
        return None
    deleted: Outcome = "would_delete" if dry_run else "deleted"

    def told(outcome: Outcome, user_days: int, reason: str | None = None) -> Retained:
        return Retained(key, ended_at(launched), outcome, found.stored, user_days, reason)

    if launched.events_deleted_at is not None:
        return told(deleted, 0)
    if found.open_days:
        return told("kept", 0, f"{found.open_days} user-days are not rolled up; run `abp roll-up`")
    compared = store.compare_with_recount(key)
    if compared.differing:
        return told("kept", compared.user_days, _told_differing(launched, compared.differing))
    missing = None if archive is None else unarchived(store, archive, key, events=found.stored)
    if missing is not None:
        return told("kept", compared.user_days, missing)
    reason = f"ended more than {days} days ago; {compared.user_days} user-days equal a recount from the events"
    if not dry_run and not store.give_up_events(key, stored=found.stored, at=at, reason=reason):
        return told("kept", compared.user_days, "events came in while they were compared; run it again")
    return told(deleted, compared.user_days)


def _told_differing(launched: Launch, differing: int) -> str:
    since, until = (moment.strftime("%Y-%m-%d") for moment in (launched.starts_at, launched.ends_at))
    return (
        f"{differing} user-days differ from a recount of their events; mend them with "
        f"`abp roll-up --since {since} --until {until}`, and find out what changed them"
    )


def _delete(store: Store, stored: Mapping[str, int], at: datetime, progress: Progress | None) -> Mapping[str, int]:
    """Drop the days that may go as a whole, then delete what is left of each experiment, batch by batch.

    Returns:
        How many events went, by experiment.
    """
    deleted = Counter(dict.fromkeys(stored, 0))
    for day in store.drop_days_of_events(at=at):
        deleted.update(day.events)
        for key in day.events.keys() & stored.keys():
            _tell(progress, key, deleted[key], stored[key])
    for key, events in stored.items():
        last = EVENTS_AT_ONCE
        while last == EVENTS_AT_ONCE:
            last = store.delete_events(key, batch=EVENTS_AT_ONCE)
            deleted[key] += last
            _tell(progress, key, deleted[key], events)
    return deleted


def _tell(progress: Progress | None, key: str, deleted: int, stored: int) -> None:
    if progress:
        progress(key, deleted, stored)
