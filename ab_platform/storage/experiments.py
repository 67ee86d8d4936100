"""Statements on experiments: launch, ramp, stop, and the log of what changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from ab_platform.assignment import BUCKETS
from ab_platform.errors import ExperimentError, NotFoundError, nearest
from ab_platform.experiment import Experiment
from ab_platform.experiment_file import from_values
from ab_platform.lineage import Change, Launch
from ab_platform.storage.connection import one_at_a_time
from ab_platform.storage.schema import arms, artifacts, experiment_changes, experiments

Slice = tuple[int, int]


def launch(connection: Connection, launched: Launch, *, reason: str | None) -> bool:
    """Write a launch, unless the very same stands already.

    Returns:
        Whether anything was written.

    Raises:
        ExperimentError: for a key that is taken, or buckets that a running experiment owns.
        NotFoundError: for an artifact that is not registered.
    """
    one_at_a_time(connection, "launch")
    earlier = find(connection, launched.experiment.key)
    if earlier is not None:
        _require_same(earlier, launched)
        return False
    _require_artifacts(connection, launched)
    _require_free(connection, launched.experiment)
    _write(connection, launched)
    after = {"state": launched.state, "traffic": launched.traffic, "artifacts": dict(launched.artifacts)}
    note(connection, Change(launched.experiment.key, launched.launched_at, "launch", None, after, reason))
    return True


def ramp(connection: Connection, key: str, *, traffic: float, at: datetime, reason: str | None) -> bool:
    """Change the share of owned users who are in; nobody changes arm.

    Returns:
        Whether it changed.

    Raises:
        ExperimentError: for a stopped experiment, or a traffic outside [0, 1].
        NotFoundError: for an unknown key.
    """
    standing = get(connection, key, lock=True)
    if not 0.0 <= traffic <= 1.0:
        raise ExperimentError(f"traffic is {traffic}; it must be a fraction in [0, 1]", ("traffic",))
    if standing.state == "stopped":
        raise ExperimentError(f"{_told_stopped(standing)}; only a running one can be ramped: launch it under a new key")
    if standing.traffic == traffic:
        return False
    connection.execute(update(experiments).where(experiments.c.experiment == key).values(traffic=traffic))
    note(connection, Change(key, at, "ramp", {"traffic": standing.traffic}, {"traffic": traffic}, reason))
    return True


def stop(connection: Connection, key: str, *, at: datetime, reason: str | None) -> bool:
    """Stop an experiment: its buckets are free again and events from now on do not count.

    Returns:
        Whether it was running.

    Raises:
        ExperimentError: for a moment before the launch, or one before the planned end where the raw events are gone,
            from which the days before it would have to be counted anew.
        NotFoundError: for an unknown key.
    """
    standing = get(connection, key, lock=True)
    if standing.state == "stopped":
        return False
    if at < standing.launched_at:
        raise ExperimentError(
            f"'{key}' cannot stop at {_told(at)}; it was launched at {_told(standing.launched_at)}: give a later moment"
        )
    if standing.events_deleted_at is not None and at < standing.ends_at:
        raise ExperimentError(
            f"'{key}' cannot stop at {_told(at)}; its raw events were deleted at {_told(standing.events_deleted_at)}, "
            f"so what came later cannot be taken back: give a moment from its end at {_told(standing.ends_at)} on"
        )
    stopped = update(experiments).where(experiments.c.experiment == key).values(state="stopped", stopped_at=at)
    connection.execute(stopped)
    note(connection, Change(key, at, "stop", {"state": "running"}, {"state": "stopped"}, reason))
    return True


def note(connection: Connection, change: Change) -> None:
    """Add a line to the change log."""
    values = {
        "experiment": change.experiment,
        "at": change.at,
        "action": change.action,
        "before": None if change.before is None else dict(change.before),
        "after": dict(change.after),
        "reason": change.reason,
    }
    connection.execute(insert(experiment_changes), values)


def find(connection: Connection, key: str, *, lock: bool = False) -> Launch | None:
    """Return a launch by its key.

    Args:
        connection: in a transaction.
        key: of the experiment.
        lock: keep others from changing it until the transaction ends.
    """
    query = select(experiments).where(experiments.c.experiment == key)
    rows = connection.execute(query.with_for_update() if lock else query).all()
    return next(iter(_launches(connection, rows)), None)


def get(connection: Connection, key: str, *, lock: bool = False) -> Launch:
    """Return a launch by its key.

    Raises:
        NotFoundError: with the nearest key.
    """
    found = find(connection, key, lock=lock)
    if found is None:
        known = connection.execute(select(experiments.c.experiment)).scalars()
        raise NotFoundError(f"experiment '{key}' is not launched; {nearest(key, known)}")
    return found


def every(connection: Connection) -> tuple[Launch, ...]:
    """List the launches, the oldest first."""
    rows = connection.execute(select(experiments).order_by(experiments.c.launched_at, experiments.c.experiment)).all()
    return _launches(connection, rows)


def changes(connection: Connection, key: str) -> tuple[Change, ...]:
    """List what changed, the oldest first."""
    query = select(experiment_changes).where(experiment_changes.c.experiment == key)
    return tuple(
        Change(row.experiment, row.at, row.action, row.before, row.after, row.reason)
        for row in connection.execute(query.order_by(experiment_changes.c.change_id))
    )


def changes_so_far(connection: Connection) -> int:
    """Return a number that grows with every launch, ramp, stop and note, of whatever experiment."""
    return connection.execute(select(func.max(experiment_changes.c.change_id))).scalar_one() or 0


def made_up(connection: Connection) -> frozenset[str]:
    """Return the experiments whose visits are not live: replayed or simulated, on their own calendar."""
    actions = experiment_changes.c.action.in_(("replay", "simulate"))
    return frozenset(connection.execute(select(experiment_changes.c.experiment).where(actions).distinct()).scalars())


def without_events() -> Select[str]:
    """Select the experiments whose raw events were deleted: nothing of them is stored or counted any more."""
    return select(experiments.c.experiment).where(experiments.c.events_deleted_at.is_not(None))


def free_slices(connection: Connection, layer: str) -> tuple[Slice, ...]:
    """List the bucket ranges of a layer that no running experiment owns, from the lowest."""
    return _gaps(slice_ for _, slice_ in _running(connection, layer))


def _running(connection: Connection, layer: str) -> list[tuple[str, Slice]]:
    query = select(experiments.c.experiment, experiments.c.layer_start, experiments.c.layer_end)
    found = connection.execute(
        query.where(experiments.c.layer == layer, experiments.c.state == "running").order_by(experiments.c.layer_start)
    )
    return [(key, (start, end)) for key, start, end in found]


def _gaps(taken: Iterable[Slice]) -> tuple[Slice, ...]:
    """Return what disjoint slices, sorted, leave free of the layer."""
    ordered = list(taken)
    starts = [0, *(end for _, end in ordered)]
    ends = [*(start for start, _ in ordered), BUCKETS]
    return tuple((start, end) for start, end in zip(starts, ends, strict=True) if start < end)


def _require_free(connection: Connection, experiment: Experiment) -> None:
    low, high = experiment.layer_buckets
    running = _running(connection, experiment.layer)
    for key, (start, end) in running:
        if start < high and low < end:
            raise ExperimentError(
                f"layer_buckets [{low}, {high}) overlap [{start}, {end}) of '{key}', which runs in layer "
                f"'{experiment.layer}'; {_next_step(_gaps(each for _, each in running), high - low)}",
                ("layer_buckets",),
            )


def _next_step(free: Sequence[Slice], length: int) -> str:
    fitting = next((start for start, end in free if end - start >= length), None)
    if fitting is not None:
        return f"[{fitting}, {fitting + length}) is free"
    largest = max((end - start for start, end in free), default=0)
    return f"no {length} buckets in a row are free (at most {largest}): take fewer, stop one, or use another layer"


def _require_same(standing: Launch, wanted: Launch) -> None:
    key = standing.experiment.key
    if standing.state == "stopped":
        raise ExperimentError(f"{_told_stopped(standing)}; a relaunch takes a new key", ("key",))
    if standing.experiment.document() != wanted.experiment.document():
        raise ExperimentError(f"'{key}' is launched with another definition; a relaunch takes a new key", ("key",))
    if (dict(standing.artifacts), standing.fallback) != (dict(wanted.artifacts), wanted.fallback):
        raise ExperimentError(f"'{key}' is launched with other artifacts; a relaunch takes a new key", ("key",))


def _require_artifacts(connection: Connection, launched: Launch) -> None:
    wanted = {f"arm '{arm.name}'": launched.artifacts.get(arm.name) for arm in launched.experiment.arms}
    if launched.fallback is not None:
        wanted["the fallback"] = launched.fallback
    query = select(artifacts.c.artifact_id).where(artifacts.c.artifact_id.in_(filter(None, wanted.values())))
    known = set(connection.execute(query).scalars())
    for of, artifact_id in wanted.items():
        if artifact_id not in known:
            raise NotFoundError(f"artifact {artifact_id!r} of {of} is not registered; train it first")


def _write(connection: Connection, launched: Launch) -> None:
    experiment = launched.experiment
    values = {
        "experiment": experiment.key,
        "layer": experiment.layer,
        "layer_start": experiment.layer_buckets[0],
        "layer_end": experiment.layer_buckets[1],
        "definition": experiment.document(),
        "state": launched.state,
        "traffic": launched.traffic,
        "launched_at": launched.launched_at,
        "starts_at": launched.starts_at,
        "ends_at": launched.ends_at,
        "stopped_at": launched.stopped_at,
        "fallback": launched.fallback,
    }
    connection.execute(insert(experiments), values)
    connection.execute(insert(arms), [_arm_values(launched, place) for place in range(len(experiment.arms))])


def _arm_values(launched: Launch, place: int) -> dict[str, object]:
    arm = launched.experiment.arms[place]
    return {
        "experiment": launched.experiment.key,
        "arm": arm.name,
        "place": place,
        "is_control": arm.control,
        "weight": arm.weight,
        "artifact_id": launched.artifacts[arm.name],
    }


def _launches(connection: Connection, rows: Sequence[Row[*tuple[object, ...]]]) -> tuple[Launch, ...]:
    keys = [row.experiment for row in rows]
    query = select(arms.c.experiment, arms.c.arm, arms.c.artifact_id).where(arms.c.experiment.in_(keys))
    frozen: dict[str, dict[str, str]] = {}
    for key, arm, artifact_id in connection.execute(query.order_by(arms.c.place)):
        frozen.setdefault(key, {})[arm] = artifact_id
    return tuple(_launch(row, frozen[row.experiment]) for row in rows)


def _launch(row: Row[*tuple[object, ...]], frozen: Mapping[str, str]) -> Launch:
    return Launch(
        experiment=from_values(row.definition),
        artifacts=frozen,
        state=row.state,
        traffic=row.traffic,
        launched_at=row.launched_at,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        stopped_at=row.stopped_at,
        events_deleted_at=row.events_deleted_at,
        fallback=row.fallback,
    )


def _told(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _told_stopped(standing: Launch) -> str:
    assert standing.stopped_at is not None
    return f"'{standing.experiment.key}' was stopped at {_told(standing.stopped_at)}"
