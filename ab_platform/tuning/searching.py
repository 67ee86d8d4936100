"""A search: trial after trial of a study, until its number is reached or the time is up.

A trial is claimed in the store before it is trained, its curve is written after each epoch, and while it trains its
lock is held. So a killed search takes up its own trial where it stood, and several at once, on one store and one
workshop, share the trials of a study. Without a common workshop they repeat one another's trials, to the same figures.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ab_platform.errors import DataError, ExperimentError, OutOfMemoryError
from ab_platform.lineage import Recipe, StudyTrial, Trial
from ab_platform.tuning.measuring import Bench, check, forget, measure, measured, under_way
from ab_platform.tuning.study import Study
from ab_platform.tuning.suggesting import hopeless, suggest
from models.recommender import EpochReport

Watch = Callable[[StudyTrial, EpochReport], None]


@dataclass(frozen=True)
class Budget:
    """How much a search may take.

    Attributes:
        trials: in all, those of earlier searches of the study and those that failed included.
        until: when it stops, after an epoch; None is when the trials are done.
    """

    trials: int
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ExperimentError(f"a search of {self.trials} trials tries nothing; ask for at least 1")


@dataclass(frozen=True, eq=False)
class Plan:
    """A search.

    Attributes:
        bench: all that a trial is made with; the locks lie among its checkpoints.
        study: what is looked for.
        budget: how much it may take.
        watch: called after each epoch with how far the trial came.
    """

    bench: Bench
    study: Study
    budget: Budget
    watch: Watch | None = None

    @property
    def wanted(self) -> int:
        """Return how many trials the study is to have; without a range one, since all would be the same."""
        return self.budget.trials if self.study.ranges else 1

    @property
    def time_is_up(self) -> bool:
        """Whether the search has to stop."""
        return self.budget.until is not None and self.bench.at() >= self.budget.until

    def trials(self) -> tuple[StudyTrial, ...]:
        """Return the trials of the study by number, those under way included."""
        return self.bench.store.study_trials(self.study.key)


def search(plan: Plan) -> Iterator[StudyTrial]:
    """Try settings until the study has its trials; what is under way elsewhere is left there.

    Yields:
        The trials that ended in this search.

    Raises:
        DataError: where no arm could be trained on these data or this machine.
    """
    check(plan.bench)
    with suppress(_TimeIsUpError):
        while not plan.time_is_up:
            known = plan.trials()
            with _held(plan, known) as trial:
                ended = None if trial is None else _ended(plan, trial.number)
            if ended is not None:
                yield ended
            elif trial is None and len(known) >= plan.wanted:
                return
            elif trial is None:
                plan.bench.store.claim(_proposed(plan, known))


def _proposed(plan: Plan, known: Sequence[StudyTrial]) -> StudyTrial:
    """Return the next trial of a study, whose trials are numbered without a gap."""
    number = len(known) + 1
    made = plan.study.recipe(suggest(plan.study, known, number))
    return StudyTrial(plan.study.key, number, made, "running", plan.bench.at())


@contextmanager
def _held(plan: Plan, known: Sequence[StudyTrial]) -> Iterator[StudyTrial | None]:
    """Hold the first trial under way that nobody else holds, for as long as the context lasts; None where none is."""
    for trial in known:
        if trial.state == "running":
            with _alone(_lock(plan.bench, trial)) as alone:
                if alone:
                    yield trial
                    return
    yield None


def _ended(plan: Plan, number: int) -> StudyTrial | None:
    """Train a trial that is held, and return how it ended; None where it had ended before it was held."""
    *before, trial = plan.trials()[:number]
    ended = None
    if trial.state == "running":
        ended = _outcome(plan, trial, before)
        plan.bench.store.advance(ended)
        forget(plan.bench.workshop, trial.recipe)
    # While the lock is held: who opened the file before, or makes it anew, finds that the trial has ended.
    _lock(plan.bench, trial).unlink(missing_ok=True)
    return ended


def _outcome(plan: Plan, trial: StudyTrial, before: Sequence[StudyTrial]) -> StudyTrial:
    bench, course = plan.bench, _Course(plan, trial, before)
    try:
        done = measured(bench.store, trial.recipe) or _trained(bench, trial.recipe, course)
    except _GivenUpError:
        return course.trial
    except (DataError, OutOfMemoryError) as error:
        return replace(course.trial, state="failed", at=bench.at(), reason=str(error))
    return replace(trial, state="complete", at=done.finished_at, curve=done.curve, validation_ndcg=done.validation_ndcg)


def _trained(bench: Bench, made: Recipe, course: _Course) -> Trial:
    """Train, from the checkpoint where there is one that can be taken up: that of another device cannot."""
    cut_short = under_way(bench.workshop, made)
    try:
        return measure(bench, made, course.follow)
    except DataError:
        if not cut_short:
            raise
        forget(bench.workshop, made)
        return measure(bench, made, course.follow)


class _Course:
    """How far a trial came: written after each epoch, and given up where it is hopeless."""

    def __init__(self, plan: Plan, trial: StudyTrial, before: Sequence[StudyTrial]) -> None:
        self.trial = trial
        self._plan = plan
        self._before = before

    def follow(self, report: EpochReport) -> None:
        """Write an epoch.

        Raises:
            _GivenUpError: where the trial need not go on.
            _TimeIsUpError: where the search may not.
        """
        plan, curve = self._plan, dict(self.trial.curve)
        if report.ndcg is not None:
            # A training that goes on from its checkpoint may take epochs again that were written.
            curve = {epoch: ndcg for epoch, ndcg in curve.items() if epoch < report.epoch} | {report.epoch: report.ndcg}
        given_up = report.epoch < report.epochs and hopeless(self._before, curve)
        self.trial = replace(self.trial, state="pruned" if given_up else "running", at=plan.bench.at(), curve=curve)
        plan.bench.store.advance(self.trial)
        if plan.watch is not None:
            plan.watch(self.trial, report)
        if given_up:
            raise _GivenUpError
        if plan.time_is_up:
            raise _TimeIsUpError


class _GivenUpError(Exception):
    """A trial need not go on."""


class _TimeIsUpError(Exception):
    """The search may not go on."""


def _lock(bench: Bench, trial: StudyTrial) -> Path:
    return bench.workshop.checkpoints / f"{trial.study}-{trial.number}.lock"


@contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    """Tell whether this is the only search that holds a lock; the end of a process, however it ends, frees it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
