"""Train every arm from every seed and judge it on the test users; what was done before is only read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from ab_platform.errors import DataError
from ab_platform.lineage import Recipe
from ab_platform.offline import evaluation
from ab_platform.offline.arms import Run
from ab_platform.offline.evaluation import Evaluation
from ab_platform.offline.protocol import OfflineSplit
from ab_platform.training import OnEpoch, Workshop, fit
from models.errors import ModelError
from models.ranking import evaluate


@dataclass(frozen=True)
class Setup:
    """Where and how arms are trained and judged.

    Attributes:
        workshop: device, precision, and where checkpoints of trainings under way lie.
        evaluations: folder of what is finished.
        jobs: trainings at a time, each in a process of its own on one thread; with 1, one after the other on all.
    """

    workshop: Workshop
    evaluations: Path
    jobs: int = 1

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise DataError(f"the number of jobs is {self.jobs}; it must be at least 1")


OnRun = Callable[[Run], OnEpoch]
"""Makes the callback of a training's epochs."""

OnDone = Callable[[Run, int, int], None]
"""Told of each training that is finished, how many are, and of how many."""


def evaluate_runs(
    setup: Setup,
    offline: OfflineSplit,
    runs: Sequence[Run],
    *,
    on_run: OnRun | None = None,
    on_done: OnDone | None = None,
) -> tuple[Evaluation, ...]:
    """Train and judge; interrupted, a second call goes on where this one stopped.

    Args:
        setup: where and how.
        offline: on what.
        runs: what; the results come in this order.
        on_run: makes the callback of a training's epochs; not called where there are several jobs.
        on_done: told of each finished training.

    Raises:
        DataError: a training diverges, or a score is not finite.
        OutOfMemoryError: a training does not fit.
    """
    done = _Done(runs, on_done)
    # Once, so that a run is kept under what it was looked for, even where the code changes meanwhile.
    recipes = [run.arm.recipe(offline, run.seed) for run in runs]
    for place, recipe in enumerate(recipes):
        found = evaluation.read(setup.evaluations, recipe, users=len(offline.split.test.users))
        if found is not None:
            done.take(place, found)
    if setup.jobs > 1:
        _at_once(setup, offline, recipes, done)
    else:
        for place in done.left():
            on_epoch = on_run(runs[place]) if on_run else None
            done.take(place, evaluated(setup, offline, runs[place], recipes[place], on_epoch=on_epoch))
    return done.in_order()


def evaluated(
    setup: Setup, offline: OfflineSplit, run: Run, recipe: Recipe, *, on_epoch: OnEpoch | None = None
) -> Evaluation:
    """Train one arm from one seed, from its checkpoint where there is one, judge it, and keep what it came to."""
    try:
        fitted, report = fit(setup.workshop, recipe, offline.split, on_epoch)
        found = evaluation.judged(recipe, report, evaluate(fitted, offline.split.test, train=offline.split.train))
    except (DataError, ModelError) as error:
        raise DataError(f"arm {run.arm.label}, seed {run.seed}: {error}") from error
    evaluation.write(setup.evaluations, found)
    (setup.workshop.checkpoints / recipe.recipe_hash).unlink(missing_ok=True)
    return found


class _Done:
    """What is finished, in the place of its run."""

    def __init__(self, runs: Sequence[Run], tell: OnDone | None) -> None:
        self.runs = runs
        self._tell = tell
        self._found: dict[int, Evaluation] = {}

    def take(self, place: int, found: Evaluation) -> None:
        self._found[place] = found
        if self._tell is not None:
            self._tell(self.runs[place], len(self._found), len(self.runs))

    def left(self) -> list[int]:
        return [place for place in range(len(self.runs)) if place not in self._found]

    def in_order(self) -> tuple[Evaluation, ...]:
        return tuple(self._found[place] for place in range(len(self.runs)))


def _at_once(setup: Setup, offline: OfflineSplit, recipes: Sequence[Recipe], done: _Done) -> None:
    # Not forked: a forked child may inherit locks that the parent's threads held.
    with ProcessPoolExecutor(setup.jobs, mp_context=get_context("spawn")) as pool:
        running: dict[Future[Evaluation], int] = {
            pool.submit(_on_one_thread, setup, offline, done.runs[place], recipes[place]): place
            for place in done.left()
        }
        try:
            for future in as_completed(running):
                done.take(running[future], future.result())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _on_one_thread(setup: Setup, offline: OfflineSplit, run: Run, recipe: Recipe) -> Evaluation:
    from models.training import threads

    with threads(1):
        return evaluated(setup, offline, run, recipe)
