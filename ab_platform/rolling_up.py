"""Events -> user-days, by the interval that a schedule is due: what is new, or an interval of the past anew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from ab_platform.errors import PlatformError
from ab_platform.storage.store import Store

DAYS_AHEAD = 7
"""Days to come that a roll-up makes room for, so that nothing that is recorded waits for it."""


@dataclass(frozen=True)
class RolledUpInterval:
    """What the roll-up of an interval did.

    Attributes:
        since: begin of the interval; None where none was given.
        until: its end, exclusive.
        user_days: user-days that were counted anew, in the interval or not.
        watermark: time of the newest event that counts, in any experiment; None while none does.
        experiments: keys, sorted, of those whose user-days were counted anew.
    """

    since: datetime | None
    until: datetime | None
    user_days: int
    watermark: datetime | None
    experiments: tuple[str, ...]


def roll_up(
    store: Store,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    recount: bool = False,
    at: datetime | None = None,
) -> RolledUpInterval:
    """Count the user-days with new events; with `recount`, also every user-day of an interval that was counted before.

    New events have opened their days as they came, late ones the day they belong to, so a run that is due needs no
    interval to find them. A back-fill, or a run of an interval once more, counts all of it from the events, so that
    user-days that were lost or damaged are as they were. Experiments whose raw events were deleted are left alone.
    Repeated, cut short, or beside another, it ends the same.

    Args:
        store: holds events and user-days.
        since: begin of the interval, with a time zone.
        until: its end, exclusive, with a time zone.
        recount: whether what was counted before is counted anew.
        at: now; with it, room is made for the events of today and the days to come.

    Raises:
        PlatformError: for an interval that is empty, without a time zone, or missing where it is needed.
    """
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and moment.tzinfo is None:
            raise PlatformError(f"{name} is {moment.isoformat()}, without a time zone; give it in UTC, with +00:00")
    if since is not None and until is not None and since >= until:
        raise PlatformError(
            f"the interval from {since.isoformat()} to {until.isoformat()} is empty; it must end after it begins"
        )
    if at is not None:
        store.make_partitions(since=at.astimezone(UTC).date(), days=DAYS_AHEAD + 1)
    if not recount:
        done = store.roll_up()
    elif since is None or until is None:
        raise PlatformError(f"the interval to recount is from {since} to {until}; give both its begin and its end")
    else:
        done = store.recount(since, until)
    return RolledUpInterval(since, until, done.user_days, done.watermark, done.experiments)
