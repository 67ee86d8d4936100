"""The whole course in this process: what is due now, or a replay from the first day to the last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ab_platform import launching
from ab_platform.conduct.gate import Gate, gate
from ab_platform.conduct.guard import Guarded, guard
from ab_platform.conduct.steps import Step, current_step, enter, next_step, step_of, steps_of
from ab_platform.datasets.catalog import NAMES
from ab_platform.experiment import Experiment
from ab_platform.lineage import own_time
from ab_platform.replay import REPLAYED, Replayed, replay
from ab_platform.storage.store import Store
from ab_platform.training import Workshop, snapshot
from ab_platform.viewer import Viewer

Visits = Literal["auto", "replay", "live"]


def resolved_visits(experiment: Experiment, visits: Visits) -> Visits:
    """Say where visits come from; `auto` replays a data set that is known by name: its users will never come by."""
    if visits != "auto":
        return visits
    return "replay" if experiment.data.dataset in NAMES else "live"


@dataclass(frozen=True)
class Advanced:
    """What was due.

    Attributes:
        step: that the experiment is in now.
        gate: asked for the step before; None where none was due.
        guarded: the look.
        stopped: why the experiment was stopped; None where it was not.
    """

    step: Step
    gate: Gate | None
    guarded: Guarded
    stopped: str | None


def advance(store: Store, key: str, *, now: datetime) -> Advanced:
    """Do what is due: look, and where a step has ended, ask its gate and let the next users in, or stop.

    However late it is called, it goes one step: users of a step are seen before those of the next come in.

    Raises:
        NotFoundError: for an unknown experiment.
    """
    guarded = guard(store, key, now=now)
    launch, changes = store.experiment(key), store.changes(key)
    at = own_time(launch, changes, now)
    step, asked = current_step(launch, at), None
    if launch.state == "running" and (due := next_step(launch, changes, at)) is not None:
        step, asked = due, pass_gate(store, key, due.number - 1, now=now)
        if asked.passes:
            enter(store, key, due.number, now=now)
    stopped = guarded.stopped or (asked.reason if asked and not asked.passes else None)
    return Advanced(step, asked, guarded, stopped)


def pass_gate(store: Store, key: str, number: int, *, now: datetime) -> Gate:
    """Ask the gate of a step; where it does not pass, stop the experiment: its users get the control again."""
    asked = gate(store, key, number, now=now)
    if not asked.passes:
        launch = store.experiment(key)
        at = max(own_time(launch, store.changes(key), now), launch.launched_at)
        store.stop(key, at=at, reason=f"gate of step {number}: {asked.reason}")
    return asked


HOURLY = "visits are replayed as the hours pass, not live"
"""What the change log says of a replay that stands in for live visits."""


def replayed_hourly(store: Store) -> tuple[str, ...]:
    """List the running experiments into which visits are replayed as the hours pass."""
    keys = [launch.experiment.key for launch in store.experiments() if launch.state == "running"]
    return tuple(key for key in keys if any(change.reason == HOURLY for change in store.changes(key)))


def replay_until(
    store: Store,
    workshop: Workshop,
    key: str,
    until: datetime,
    *,
    seed: int,
    now: datetime,
    reason: str = REPLAYED,
    progress: Callable[[int, int], None] | None = None,
) -> Replayed:
    """Replay the visits of an experiment up to a moment.

    Args:
        store: holds the experiment.
        workshop: where its arms lie.
        key: of the experiment.
        until: end, exclusive; no later than the planned one.
        seed: of every user's random stream.
        now: the time, for the change log.
        reason: what the change log says of it.
        progress: called with users done and users in all.

    Raises:
        NotFoundError: for an unknown experiment.
        ExperimentError: where it was replayed with another seed, or has visits of its own.
    """
    launch = store.experiment(key)
    snap = snapshot(store, launch.experiment.data)
    server = launching.server(store, workshop, launch, snap)
    within = min(max(until, launch.starts_at), launch.ends_at)
    return replay(
        store,
        server,
        snap.population(),
        viewer=Viewer(),
        seed=seed,
        at=now,
        until=within,
        reason=reason,
        progress=progress,
    )


def replay_step(
    store: Store,
    workshop: Workshop,
    key: str,
    number: int,
    *,
    seed: int,
    now: datetime,
    progress: Callable[[int, int], None] | None = None,
) -> Replayed:
    """Replay the visits up to the end of a step, in place of waiting for it; errors as in `replay_until`."""
    until = step_of(store.experiment(key), number).until
    return replay_until(store, workshop, key, until, seed=seed, now=now, progress=progress)


def replay_course(
    store: Store,
    workshop: Workshop,
    key: str,
    *,
    seed: int,
    now: datetime,
    progress: Callable[[Step, int, int], None] | None = None,
) -> tuple[Replayed, Gate | None]:
    """Replay an experiment from its first day to its last, through the gates of its ramp.

    Returns:
        What the last replay did, and the gate that did not pass, where one did not.
    """
    steps = steps_of(store.experiment(key))
    done = Replayed(0, 0, 0)
    for step in steps:
        if store.experiment(key).state == "running":
            enter(store, key, step.number, now=now)
        told = (lambda done, total, step=step: progress(step, done, total)) if progress else None
        part = replay_step(store, workshop, key, step.number, seed=seed, now=now, progress=told)
        done = Replayed(part.users, part.users_before, done.events_stored + part.events_stored)
        if step.number < step.of and not (asked := pass_gate(store, key, step.number, now=now)).passes:
            return done, asked
    return done, None
