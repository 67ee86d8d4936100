"""Diagnose the split of one experiment: compute every assignment again, test, localise, conclude."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np

from ab_platform.analysis.readout import population_of
from ab_platform.analysis.segments import COHORT, INTERACTIONS, MOST_SEGMENTS
from ab_platform.diagnosis import words
from ab_platform.diagnosis.expectation import Expectation, expectation
from ab_platform.diagnosis.found import DAY, SURFACE, Diagnosis, Dimension, Exposure, Loss, Place, Split, Verdict
from ab_platform.diagnosis.localising import dimension_of, find_loss, segments_of
from ab_platform.diagnosis.rehashing import Counted, Known, OnUsers, count_known, rehash
from ab_platform.errors import ExperimentError, NotFoundError, nearest
from ab_platform.statistics.sample_ratio import ALARM_BELOW, SampleRatio
from ab_platform.statistics.split_diagnosis import detectable_loss, homogeneity, users_to_detect
from ab_platform.storage.store import Store

WORST_UNSEEN_LOSS = 0.5
"""A split in which an arm could have lost half of its users unseen is unknown, not sound."""

MORE_FREQUENT = 4.0
"""Standard errors above the average that make a segment one where wrong assignments are frequent."""


def diagnose(
    store: Store,
    key: str,
    *,
    as_of: date | None = None,
    by: Sequence[str] | None = None,
    on_users: OnUsers | None = None,
) -> Diagnosis:
    """Compute every exposed user's assignment again, and tell assignment trouble from logging trouble.

    Users are counted by the arm of their hash, so that a user in a wrong arm is no loss, and a loss no wrong arm.

    Args:
        store: holds events, and the users' attributes.
        key: the experiment.
        as_of: last day (UTC, inclusive) that counts; by default the day of the newest event.
        by: where to look: `day` (or `cohort`, the same), `surface` and user attributes; everywhere by default.
        on_users: told how many users are done.

    Raises:
        NotFoundError: for an unknown experiment, or one without a single event.
        ExperimentError: for a dimension that nothing is stored of, or that has too many values.
    """
    launch = store.experiment(key)
    store.roll_up(key)
    watermark = store.watermark(key, as_of)
    if watermark is None:
        raise NotFoundError(f"{key} has no events that count yet; replay visits: `abp replay {key}`")
    population = population_of(store, launch, as_of or watermark.astimezone(UTC).date())
    dimensions, left_out = _dimensions(store.attributes(population.dataset), by)
    attributes = [name for name in dimensions if name not in (DAY, SURFACE)]
    changes = store.changes(key)
    users = store.exposed_users(population, launch.experiment.surfaces, attributes)
    counted = rehash(launch, changes, users, attributes, as_of=population.as_of, on_users=on_users)
    known = count_known(launch, changes, store.known_users(population))
    expected = expectation(launch, changes, as_of=population.as_of)
    found = _found(key, watermark, counted, known, expected, dimensions)
    return _concluded(replace(found, left_out=left_out))


def _dimensions(attributes: Mapping[str, int], by: Sequence[str] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return where to look, and which attributes are left out and why."""
    few = {name for name, values in attributes.items() if values <= MOST_SEGMENTS or name == INTERACTIONS}
    if by is None:
        many = (f"{name} has {attributes[name]:,} values" for name in attributes if name not in few)
        return (DAY, SURFACE, *sorted(few)), tuple(f"{told}, more than {MOST_SEGMENTS}" for told in many)
    for name in by:
        if name not in (DAY, COHORT, SURFACE, *attributes):
            known = nearest(name, [DAY, SURFACE, *attributes])
            raise ExperimentError(f"'{name}' is neither day, surface nor a user attribute of the data set; {known}")
        if name in attributes and name not in few:
            raise ExperimentError(
                f"attribute '{name}' has {attributes[name]:,} values; at most {MOST_SEGMENTS} make segments: "
                "group them before they are loaded with `abp attributes`"
            )
    return tuple(dict.fromkeys(DAY if name == COHORT else name for name in by)), ()


def _found(
    key: str, watermark: datetime, counted: Counted, known: Known, expected: Expectation, dimensions: Sequence[str]
) -> Diagnosis:
    """Put together all but the verdict and its words."""
    whole = counted.placed[DAY][""]
    overall = expected.tested(whole)
    surfaces = counted.surfaces.items()
    splits = [_split(name, expected.tested(users, tests=len(surfaces))) for name, users in surfaces]
    looked = _looked(counted, expected, dimensions)
    exposure = _exposure(known)
    shares = expected.shares(whole)
    promised = shares[shares > 0.0]
    least, arms = float(promised.min()), len(promised)
    return Diagnosis(
        experiment=key,
        as_of=expected.days[-1],
        watermark=watermark,
        verdict="unknown",
        conclusion="",
        next_step="",
        users=counted.users,
        arms=expected.arms,
        recorded=tuple(counted.recorded.tolist()),
        splits=(_split("all", overall), *splits),
        wrong_users=sum(each.users for each in counted.moved),
        moved=counted.moved,
        places=_places(counted, dimensions),
        by_chance=float(1.0 - np.sum(shares**2)),
        mixed_users=counted.mixed,
        loss=_loss(counted, looked, expected, (overall, *splits), exposure),
        dimensions=looked,
        exposure=exposure,
        detectable_loss=detectable_loss(int(whole.sum()), least, arms=arms) if arms > 1 else None,
        users_needed=users_to_detect(WORST_UNSEEN_LOSS, least, arms=arms) if arms > 1 else None,
        left_out=(),
    )


def _split(scope: str, found: SampleRatio) -> Split:
    return Split(scope, found.counts, found.expected, found.p_value, found.e_value, found.alarm, found.reason)


def _looked(counted: Counted, expected: Expectation, dimensions: Sequence[str]) -> tuple[Dimension, ...]:
    segments = sum(len(segments_of(counted, name, expected)) for name in dimensions)
    return tuple(
        dimension_of(counted, name, expected, segments=max(segments, 1), dimensions=len(dimensions))
        for name in dimensions
    )


def _exposure(known: Known) -> Exposure | None:
    """Test whether the users whom the hash has in each arm were exposed at one rate."""
    if not known.assigned.any():
        return None
    found = homogeneity(np.column_stack([known.exposed, known.assigned - known.exposed]).T)
    nobody_left = not (known.assigned - known.exposed).any()
    return Exposure(
        assigned=tuple(known.assigned.tolist()),
        exposed=tuple(known.exposed.tolist()),
        p_value=found.p_value,
        alarm=found.p_value is not None and found.p_value < ALARM_BELOW,
        reason="every one of them was exposed" if nobody_left else found.reason,
    )


def _places(counted: Counted, dimensions: Sequence[str]) -> tuple[Place, ...]:
    """Return the segments where wrong assignments are more frequent than elsewhere, the most frequent first."""
    wrong_users = sum(each.users for each in counted.moved)
    rate = wrong_users / counted.users if counted.users else 0.0
    found = [
        Place(name, segment, users, wrong)
        for name in dimensions
        for segment, (users, wrong) in counted.wrong[name].items()
        if wrong - users * rate > MORE_FREQUENT * (users * rate * (1.0 - rate)) ** 0.5
    ]
    return tuple(sorted(found, key=lambda place: place.wrong / place.users, reverse=True))


def _loss(
    counted: Counted,
    looked: Sequence[Dimension],
    expected: Expectation,
    splits: Sequence[Split | SampleRatio],
    exposure: Exposure | None,
) -> Loss | None:
    if any(split.alarm for split in splits) or any(each.alarm for each in looked):
        return find_loss(counted, looked, expected, even=not splits[0].alarm)
    return _unexposed(exposure, expected.arms) if exposure is not None and exposure.alarm else None


def _unexposed(exposure: Exposure, arms: Sequence[str]) -> Loss:
    """Say which arm's known users are exposed less than those of the others."""
    assigned, exposed = np.array(exposure.assigned), np.array(exposure.exposed)
    arm = int(np.argmin(np.where(assigned > 0, exposed / np.maximum(assigned, 1), np.inf)))
    rate = (exposed.sum() - exposed[arm]) / (assigned.sum() - assigned[arm])
    # Both what the arm would have had and the others' rate are uncertain.
    variance = assigned[arm] * rate * (1.0 - rate) * (1.0 + assigned[arm] / (assigned.sum() - assigned[arm]))
    lack = float(assigned[arm] * rate - exposed[arm])
    return Loss(arms[arm], None, (), None, None, lack, float(variance**0.5), None, only_surface=False)


def _concluded(found: Diagnosis) -> Diagnosis:
    judged = replace(found, verdict=_verdict(found))
    return replace(judged, conclusion=words.conclusion(judged), next_step=words.next_step(judged))


def _verdict(found: Diagnosis) -> Verdict:
    if found.wrong_users or found.mixed_users:
        return "wrong assignment"
    if found.loss is not None:
        return "lost logging"
    unseen = found.detectable_loss is None or found.detectable_loss > WORST_UNSEEN_LOSS
    return "unknown" if unseen or found.splits[0].p_value is None else "sound"
