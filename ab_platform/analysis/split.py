"""Did the arms get their users: overall, per surface, per phase of one traffic, and per segment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

from ab_platform.experiment import Experiment
from ab_platform.lineage import Change, Launch, Phase, phases
from ab_platform.results import SampleRatioRow
from ab_platform.statistics.sample_ratio import SampleRatio, sample_ratio, stratified
from ab_platform.storage.store import ExposedOn, FirstExposed

Counts = Mapping[str, int]


def split_rows(
    launch: Launch,
    changes: Sequence[Change],
    exposed: Sequence[ExposedOn],
    first: Sequence[FirstExposed],
    dimensions: Sequence[str],
    *,
    as_of: date,
    watermark: datetime,
) -> tuple[SampleRatioRow, ...]:
    """Check the split in every scope.

    Args:
        launch: the experiment.
        changes: its log, for the phases.
        exposed: users by surface and day.
        first: users by the day of their first exposure on any surface, and by segment.
        dimensions: of the segments.
        as_of: last day that counts.
        watermark: time of the newest event that counts.
    """
    experiment = launch.experiment
    spans = phases(launch, changes)
    found = {"all": _checked(experiment, spans, [(each.day, each.arm, each.users) for each in first])}
    for surface in experiment.surfaces:
        counted = [(each.day, each.arm, each.users) for each in exposed if each.surface == surface]
        found[surface] = _checked(experiment, spans, counted, tests=len(experiment.surfaces))
    if len(spans) > 1:
        found |= _by_phase(experiment, spans, first)
    for place, dimension in enumerate(dimensions):
        found |= _by_segment(experiment, spans, first, place, dimension)
    arms = tuple(arm.name for arm in (experiment.control, *experiment.treatments))
    return tuple(
        SampleRatioRow(
            experiment=experiment.key,
            as_of=as_of,
            scope=scope,
            watermark=watermark,
            arms=arms,
            counts=tuple(check.counts),
            expected=tuple(check.expected),
            chi2=check.chi2,
            p_value=check.p_value,
            e_value=check.e_value,
            alarm=check.alarm,
            reason=check.reason,
        )
        for scope, check in found.items()
    )


Counted = Sequence[tuple[date, str, int]]
"""Users by day and arm."""


def _checked(experiment: Experiment, spans: Sequence[Phase], counted: Counted, *, tests: int = 1) -> SampleRatio:
    """Test users against the buckets that each arm had in the phase of their exposure."""
    strata = []
    for place, phase in enumerate(spans):
        until = spans[place + 1].since if place + 1 < len(spans) else date.max
        begun = date.min if place == 0 else phase.since
        within = [(arm, users) for day, arm, users in counted if begun <= day < until]
        strata.append((_counts(experiment, within), _weights(experiment, phase)))
    used = [(counts, weights) for counts, weights in strata if any(weights)] or strata[-1:]
    if len(used) == 1:
        counts, weights = used[0]
        return sample_ratio(counts, weights if any(weights) else _full(experiment), tests=tests)
    return stratified([counts for counts, _ in used], [weights for _, weights in used], tests=tests)


def _by_phase(experiment: Experiment, spans: Sequence[Phase], first: Sequence[FirstExposed]) -> dict[str, SampleRatio]:
    found = {}
    for place, phase in enumerate(spans):
        until = spans[place + 1].since if place + 1 < len(spans) else date.max
        within = [(each.day, each.arm, each.users) for each in first if phase.since <= each.day < until]
        scope = f"phase {place + 1}, traffic {100 * phase.traffic:g} %"
        found[scope] = _checked(experiment, [phase], within, tests=len(spans))
    return found


def _by_segment(
    experiment: Experiment, spans: Sequence[Phase], first: Sequence[FirstExposed], place: int, dimension: str
) -> dict[str, SampleRatio]:
    segments = sorted({each.segments[place] for each in first})
    return {
        f"{dimension} {segment}": _checked(
            experiment,
            spans,
            [(each.day, each.arm, each.users) for each in first if each.segments[place] == segment],
            tests=len(segments),
        )
        for segment in segments
    }


def _counts(experiment: Experiment, within: Iterable[tuple[str, int]]) -> list[int]:
    """Return users per arm, control first."""
    users = dict.fromkeys((arm.name for arm in (experiment.control, *experiment.treatments)), 0)
    for arm, count in within:
        users[arm] += count
    return list(users.values())


def _weights(experiment: Experiment, phase: Phase) -> list[int]:
    """Return the buckets of each arm at a traffic, control first: rounding included, they are what is expected."""
    sizes = {
        arm.name: end - start
        for arm, (start, end) in zip(experiment.arms, experiment.ranges(phase.traffic), strict=True)
    }
    return [sizes[arm.name] for arm in (experiment.control, *experiment.treatments)]


def _full(experiment: Experiment) -> list[int]:
    return _weights(experiment, Phase(date.min, 1.0))
