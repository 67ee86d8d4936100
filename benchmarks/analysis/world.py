"""What is analysed: the world whose truth is Table 2, a week before and a week of experiment, for so many users."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from ab_platform.experiment import DataRule, Experiment
from ab_platform.lineage import Artifact, Launch, Recipe
from ab_platform.simulation.plan import BEFORE_DAYS, CONTROL, TREATMENT, Plan
from ab_platform.storage.archive import Archive, ArchivedDay
from ab_platform.storage.archive.archive import SHARDS
from ab_platform.storage.store import Store

WORLD = "table2"
DAYS = 7
KEY = "scale"
ARMS = (CONTROL, TREATMENT)
START = datetime(2026, 3, 9, tzinfo=UTC)
END = START + timedelta(days=DAYS)
LAST_DAY = (END - timedelta(days=1)).date()
FIRST_DAY_BEFORE = (START - timedelta(days=BEFORE_DAYS)).date()
PLAN = Plan(WORLD, days=DAYS, key=KEY)


@dataclass(frozen=True)
class Data:
    """Users in an archive, and where each contender may keep what it loads.

    Attributes:
        folder: of it all.
        users: in all experiments.
        experiments: that the users are divided among.
        seed: of what is drawn.
        threads: that an engine in the contender's process may use.
        shards: that the archive divides users into.
    """

    folder: Path
    users: int
    experiments: int = 1
    seed: int = 0
    threads: int = 2
    shards: int = SHARDS

    @property
    def archive(self) -> Archive:
        """Open the archive."""
        return Archive(self.folder / "archive", shards=self.shards)

    @property
    def launches(self) -> str:
        """Return the address of the database that knows the experiments, and nothing of the users."""
        return f"sqlite:///{self.folder / 'launches.db'}"

    @property
    def days(self) -> tuple[ArchivedDay, ...]:
        """Return the days of both weeks."""
        return self.archive.days(since=FIRST_DAY_BEFORE, until=LAST_DAY)


@dataclass(frozen=True)
class Week:
    """One experiment's week before, or its own.

    Attributes:
        experiment: its definition.
        starts_at: first moment.
        days: how many.
        numbers: of the users who may come.
        before: whether both arms are the control.
    """

    experiment: Experiment
    starts_at: datetime
    days: int
    numbers: range
    before: bool

    @property
    def dates(self) -> tuple[date, ...]:
        """Return the days."""
        return tuple((self.starts_at + timedelta(days=number)).date() for number in range(self.days))


def keys(data: Data) -> tuple[str, ...]:
    """Return the keys of the experiments, in the order of their users."""
    if data.experiments == 1:
        return (KEY,)
    return tuple(f"{KEY}-{place:04d}" for place in range(data.experiments))


def weeks(data: Data, *, before: bool) -> tuple[Week, ...]:
    """List the weeks of every experiment, before it or its own, each with a block of the users."""
    return tuple(_weeks(data, before=before))


def _weeks(data: Data, *, before: bool) -> Iterator[Week]:
    defined = PLAN.experiment_before if before else replace(PLAN.experiment, guardrails=())
    starts_at, days = (START - timedelta(days=BEFORE_DAYS), BEFORE_DAYS) if before else (START, DAYS)
    for place, key in enumerate(keys(data)):
        named = f"{key}-before" if before else key
        # Users and layer of its own, or each experiment would look for its users in all the others.
        experiment = replace(defined, key=named, salt=named, layer=f"layer-{key}", data=DataRule(f"users-{key}"))
        first, end = (data.users * number // data.experiments for number in (place, place + 1))
        yield Week(experiment, starts_at, days, range(first, end), before)


def launch(store: Store, data: Data) -> None:
    """Launch every experiment, and the one of the week before it, which is over."""
    for week in (*weeks(data, before=True), *weeks(data, before=False)):
        key, ends_at = week.experiment.key, week.starts_at + timedelta(days=week.days)
        artifacts = {arm.name: f"{key}-{arm.name}" for arm in week.experiment.arms}
        for arm in week.experiment.arms:
            recipe = Recipe(arm.recommender, {}, arm.seed, week.experiment.data.dataset, "drawn", "drawn")
            store.register(Artifact(artifacts[arm.name], recipe, {}, week.starts_at))
        made = Launch(week.experiment, artifacts, "running", 1.0, week.starts_at, week.starts_at, ends_at)
        store.launch(made, reason="its visits are drawn")
        if week.before:
            store.stop(key, at=ends_at, reason="the week before is over")
