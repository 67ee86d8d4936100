"""What a client shows of a slate, and what is done with it, as events; none for a user who is in no arm."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from ab_platform.client.shapes import Place, ServedSlate
from ab_platform.client.wire_event import WireEvent, zoned
from ab_platform.errors import EventError
from ab_platform.events import event_id


def impressions(slate: ServedSlate, positions: Iterable[int] | None = None) -> list[WireEvent]:
    """Turn what was really displayed of a slate into impressions; none for a user who is in no arm.

    Args:
        slate: as it was served.
        positions: that were displayed; all by default.

    Raises:
        EventError: for a position that the slate does not have.
    """
    shown = range(len(slate.places)) if positions is None else positions
    return [_impression(slate, position) for position in shown] if slate.arm is not None else []


def click(slate: ServedSlate, position: int, *, at: datetime) -> list[WireEvent]:
    """Turn a click on a slate's title into an event; none for a user who is in no arm.

    Raises:
        EventError: for a position that the slate does not have.
    """
    return _outcome("click", slate, position, at=at, watch_seconds=None)


def watch(slate: ServedSlate, position: int, seconds: float, *, at: datetime) -> list[WireEvent]:
    """Turn a watch of a slate's title into an event; none for a user who is in no arm.

    Raises:
        EventError: for a position that the slate does not have.
    """
    return _outcome("watch", slate, position, at=at, watch_seconds=seconds)


def _impression(slate: ServedSlate, position: int) -> WireEvent:
    place = _place(slate, position)
    return WireEvent(
        "impression",
        slate.experiment,
        slate.user_id,
        slate.surface,
        slate.at,
        title_id=place.title_id,
        event_id=place.impression_id,
        arm=slate.arm,
        request_id=slate.request_id,
        position=position,
        served_by=slate.served_by,
        latency_ms=slate.latency_ms,
    )


def _outcome(
    kind: Literal["click", "watch"], slate: ServedSlate, position: int, *, at: datetime, watch_seconds: float | None
) -> list[WireEvent]:
    place = _place(slate, position)
    if slate.arm is None:
        return []
    # A client's clock may run behind the service's, and what comes before the exposure does not count.
    happened = max(zoned(at), slate.at)
    return [
        WireEvent(
            kind,
            slate.experiment,
            slate.user_id,
            slate.surface,
            happened,
            title_id=place.title_id,
            event_id=event_id(happened, f"{place.impression_id}/{kind}"),
            arm=slate.arm,
            impression_id=place.impression_id,
            watch_seconds=watch_seconds,
        )
    ]


def _place(slate: ServedSlate, position: int) -> Place:
    if not 0 <= position < len(slate.places):
        raise EventError(
            f"position {position} is not in slate {slate.request_id}; it must be from 0 to {len(slate.places) - 1}"
        )
    return slate.places[position]
