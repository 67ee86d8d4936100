"""Where users are missing: the split in each segment, whether segments differ, and which of them and which days do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ab_platform.diagnosis.expectation import Expectation
from ab_platform.diagnosis.found import DAY, SURFACE, Dimension, Loss, Segment
from ab_platform.diagnosis.rehashing import Counted, Counts
from ab_platform.statistics.sample_ratio import ALARM_BELOW
from ab_platform.statistics.split_diagnosis import Missing, homogeneity, loss_window

CARRIES = 4.0
"""Standard errors that an arm lacks in a segment that carries the loss: rarer than .001 among 30 segments."""

SEEN_LATER = 3.0
"""Standard errors of users too many, after days in which they were too few, that are worth a word."""

Days = slice


@dataclass(frozen=True, eq=False)
class _Where:
    """Where one arm's users are missing."""

    dimension: str | None
    segments: tuple[str, ...]
    cells: Counts
    arm: int


def segments_of(counted: Counted, name: str, expected: Expectation) -> Mapping[str, Counts]:
    """Return the users of each segment of a dimension, `(days, arms)` each; those of a surface may be on several."""
    if name == SURFACE:
        return dict(counted.surfaces.items())
    if name != DAY:
        return counted.placed[name]
    whole = counted.placed[DAY][""]
    alone = np.eye(len(whole), dtype=np.int64)
    return {str(day): whole * alone[place][:, None] for place, day in enumerate(expected.days)}


def dimension_of(counted: Counted, name: str, expected: Expectation, *, segments: int, dimensions: int) -> Dimension:
    """Test the split of one dimension.

    Args:
        counted: the users.
        name: of the dimension.
        expected: what was promised.
        segments: of all dimensions, each a test.
        dimensions: each a test of whether its segments differ.
    """
    cells = segments_of(counted, name, expected)
    # Who is on two surfaces would count twice; the sets of surfaces divide users.
    table = counted.surface_sets if name == SURFACE else np.array([each.sum(axis=0) for each in cells.values()])
    shared = homogeneity(table)
    return Dimension(
        dimension=name,
        segments=tuple(_segment(each, users, expected, tests=segments) for each, users in cells.items()),
        p_value=shared.p_value,
        differs=shared.p_value is not None and shared.p_value < ALARM_BELOW / dimensions,
        reason=shared.reason,
    )


def _segment(name: str, counts: Counts, expected: Expectation, *, tests: int) -> Segment:
    found = expected.tested(counts, tests=tests)
    short = expected.shortest(counts)
    return Segment(
        segment=name,
        counts=found.counts,
        expected=tuple(expected.expected(counts).sum(axis=0).tolist()),
        p_value=found.p_value,
        alarm=found.alarm,
        short_arm=None if short is None else expected.arms[short[0]],
        missing=None if short is None else short[1].users,
        standard_error=None if short is None else short[1].standard_error,
        reason=found.reason,
    )


def find_loss(counted: Counted, looked: Sequence[Dimension], expected: Expectation, *, even: bool) -> Loss | None:
    """Say which arm's users are missing, in which segments and on which days.

    First the days, of all users, then the dimension whose segments differ the most on them, and then the days again
    among the users of the segments that carry it.

    Args:
        counted: the users.
        looked: what the dimensions' tests found.
        expected: what was promised.
        even: whether the users of any surface, all days together, are evenly split.
    """
    whole = counted.placed[DAY][""]
    days = _days_of(whole, expected, None)
    where = _where(counted, looked, expected, days)
    own = _days_of(where.cells, expected, where.arm) or days or Days(0, len(whole))
    lack = expected.missing(_within(where.cells, own), where.arm)
    if lack is None:
        return None
    return Loss(
        arm=expected.arms[where.arm],
        dimension=where.dimension,
        segments=where.segments,
        since=expected.days[own.start] if (own.start, own.stop) != (0, len(whole)) else None,
        until=expected.days[own.stop - 1] if own.stop < len(whole) else None,
        missing=lack.users,
        standard_error=lack.standard_error,
        seen_later=_seen_later(_within(where.cells, Days(own.stop, len(whole))), where.arm, expected),
        only_surface=even
        and where.dimension == SURFACE
        and not any(each.alarm for each in looked if each.dimension != SURFACE),
    )


def _days_of(cells: Counts, expected: Expectation, arm: int | None) -> Days | None:
    """Return the days in which an arm lacks users the most, if the days differ; any arm where none is given."""
    shared = homogeneity(cells)
    if shared.p_value is None or shared.p_value >= ALARM_BELOW:
        return None
    promised, totals = expected.expected(cells), cells.sum(axis=1)
    arms = [place for place in range(len(expected.arms)) if arm in (None, place) and promised[:, place].any()]
    windows = [window for each in arms if (window := loss_window(cells[:, each], promised[:, each], totals))]
    best = max(windows, key=lambda window: window.likelihood_ratio, default=None)
    return None if best is None else Days(best.start, best.end)


def _where(counted: Counted, looked: Sequence[Dimension], expected: Expectation, days: Days | None) -> _Where:
    """Return the segments that carry the loss, of the dimension whose segments differ the most."""
    whole = counted.placed[DAY][""]
    level = ALARM_BELOW / max(len(looked), 1)
    found: list[tuple[float, float, str, Days]] = []
    for dimension in looked:
        name = dimension.dimension
        for within in (days, None) if name not in (DAY, SURFACE) else ():
            span = within or Days(0, len(whole))
            users = segments_of(counted, name, expected).values()
            shared = homogeneity([_within(each, span).sum(axis=0) for each in users])
            if shared.p_value is not None and shared.chi2 is not None and shared.p_value < level:
                found.append((shared.p_value, -shared.chi2, name, span))
        if name == SURFACE and dimension.p_value is not None and dimension.differs:
            found.append((dimension.p_value, 0.0, name, Days(0, len(whole))))
    if not found:
        uneven = _uneven_surface(looked)
        if uneven is None:
            return _Where(None, (), whole, _shortest_arm(_within(whole, days or Days(0, len(whole))), expected))
        found.append((0.0, 0.0, SURFACE, Days(0, len(whole))))
    _, _, name, span = min(found)
    return _carrying(name, segments_of(counted, name, expected), expected, span)


def _uneven_surface(looked: Sequence[Dimension]) -> str | None:
    """Return a surface that is uneven while some other is not; None where there is none."""
    for dimension in looked:
        alarms = [each.segment for each in dimension.segments if each.alarm]
        if dimension.dimension == SURFACE and 0 < len(alarms) < len(dimension.segments):
            return alarms[0]
    return None


def _carrying(name: str, cells: Mapping[str, Counts], expected: Expectation, days: Days) -> _Where:
    lacks = {
        (segment, arm): lack
        for segment, users in cells.items()
        for arm in range(len(expected.arms))
        if (lack := expected.missing(_within(users, days), arm))
    }
    first = max(lacks, key=lambda key: lacks[key].z)
    arm = first[1]
    carry = [key[0] for key, lack in lacks.items() if key[1] == arm and (lack.z > CARRIES or key == first)]
    total: Counts = np.sum([cells[segment] for segment in carry], axis=0)
    return _Where(name, tuple(carry), total, arm)


def _shortest_arm(cells: Counts, expected: Expectation) -> int:
    found = expected.shortest(cells)
    return 0 if found is None else found[0]


def _seen_later(cells: Counts, arm: int, expected: Expectation) -> float | None:
    lack: Missing | None = expected.missing(cells, arm) if cells.any() else None
    return -lack.users if lack is not None and lack.z < -SEEN_LATER else None


def _within(cells: Counts, days: Days) -> Counts:
    """Keep the users of some days."""
    kept = np.zeros_like(cells)
    kept[days] = cells[days]
    return kept
