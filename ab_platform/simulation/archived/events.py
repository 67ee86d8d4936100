"""Slates of a day -> the events that a client would have sent of them, with their ids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ab_platform.simulation.archived.draws import Numbers, mixed, start_of
from ab_platform.simulation.archived.slates import Flags, Slates, Whole, slate_numbers
from ab_platform.simulation.archived.tables import (
    CLICK_AFTER,
    CLICK_STEP,
    SECOND_US,
    Day,
    moments,
    named,
    valid,
)
from ab_platform.simulation.population import SLATE_SIZE
from ab_platform.simulation.visits import TITLES, title_id

KINDS = ("impression", "click", "watch")
_IMPRESSION, _CLICK, _WATCH = range(3)

_SLATE_ID = 0
_KEYS = 1 + len(KINDS) * SLATE_SIZE
"""Ids of a slate: its own, and one for each title and kind of event."""

_TITLE_IDS = tuple(title_id(number) for number in range(TITLES))

_TIME_ORDERED, _RFC_9562 = np.uint64(0x7000), np.uint64(1 << 63)


@dataclass(frozen=True, eq=False)
class _Ids:
    """Time-ordered ids, as two numbers of 64 bits, (ids,) each."""

    high: Numbers
    low: Numbers

    def array(self, rows: Flags | None = None) -> pa.Array:
        """Return them as a column, null where `rows` is not set."""
        data = np.stack([self.high, self.low], axis=1).astype(">u8").tobytes()
        buffers = [None if rows is None else valid(rows), pa.py_buffer(data)]
        return pa.ExtensionArray.from_storage(
            pa.uuid(), pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(self.high), buffers)
        )


def events(day: Day, slates: Slates, number: Whole) -> pa.Table:
    """Return the events of the slates of a day, in the order of the archive's files.

    Args:
        day: what they share.
        slates: of the day.
        number: `(users,)` of the block's users.
    """
    visits = slate_numbers(number[slates.user], slates.surface, slates.day)
    slate, place, kind = _sent(slates)
    at = day.at(slates)[slate] + np.where(kind == _IMPRESSION, 0, (CLICK_AFTER + CLICK_STEP * place) * SECOND_US)
    ids = _ids(day.experiment, visits[slate], at, 1 + kind * SLATE_SIZE + place)
    order = np.lexsort((ids.low, ids.high, slates.user[slate]))
    slate, place, kind, at = slate[order], place[order], kind[order], at[order]
    who = day.who(slates.user[slate], slates.surface[slate])
    return pa.table(
        {
            "event_id": _Ids(ids.high[order], ids.low[order]).array(),
            "kind": named(KINDS, kind),
            **{name: who[name] for name in ("experiment", "user_id", "arm", "surface")},
            "title_id": named(_TITLE_IDS, (slates.title[slate] + place) % TITLES),
            "at": moments(at),
            **_own_values(day, slates, visits, (slate, place, kind), who["arm"]),
        }
    )


_Sent = tuple[Whole, Whole, Whole]
"""Of each event the place of its slate, the place of its title in it, and that of its kind, (events,) each."""


def _sent(slates: Slates) -> _Sent:
    """List the events of slates: an impression of each title, and a click and a watch of each that is clicked."""
    shown, shown_place = np.divmod(np.arange(slates.clicked.size), SLATE_SIZE)
    clicked, clicked_place = np.nonzero(slates.clicked)
    kinds = np.repeat([_IMPRESSION, _CLICK, _WATCH], [len(shown), len(clicked), len(clicked)])
    return (
        np.concatenate([shown, clicked, clicked]),
        np.concatenate([shown_place, clicked_place, clicked_place]),
        kinds,
    )


def _own_values(day: Day, slates: Slates, visits: Numbers, sent: _Sent, arm: pa.StringArray) -> dict[str, pa.Array]:
    """Return the columns that only some kinds of events have; nobody measured a latency."""
    slate, place, kind = sent
    impression = kind == _IMPRESSION
    visit, shown_at = visits[slate], day.at(slates)[slate]
    impression_ids = _ids(day.experiment, visit, shown_at, 1 + _IMPRESSION * SLATE_SIZE + place)
    watch_seconds = slates.watch_ms[slate, place] / 1_000.0
    return {
        "slate_id": _ids(day.experiment, visit, shown_at, np.full(len(visit), _SLATE_ID)).array(impression),
        "position": pa.array(place, mask=~impression),
        "served_by": pc.if_else(pa.array(impression), arm, pa.scalar(None, pa.string())),
        "impression_id": impression_ids.array(~impression),
        "watch_seconds": pa.array(watch_seconds, mask=kind != _WATCH),
        "latency_ms": pa.nulls(len(visit), pa.float64()),
    }


def _ids(experiment: str, visit: Numbers, at: Whole, key: Whole) -> _Ids:
    """Make time-ordered ids in the layout of `events.event_id`, no two of an experiment the same.

    Of the 74 bits that are free, 64 are a hash that no two visits and keys share, and 10 tell experiments apart.
    """
    hashed = mixed(visit * np.uint64(_KEYS) + key.astype(np.uint64) + start_of(f"events/{experiment}"))
    high = (at // 1_000).astype(np.uint64) << np.uint64(16) | _TIME_ORDERED | hashed >> np.uint64(52)
    own = (start_of(f"ids/{experiment}") & np.uint64(0x3FF)) << np.uint64(52)
    return _Ids(high, _RFC_9562 | own | hashed & np.uint64((1 << 52) - 1))
