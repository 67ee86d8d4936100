"""A store as it is after years: many experiments, each analysed on many days, and millions of exposed users.

What is analysed is written through the store, as an analysis does; the exposures in bulk, since nobody would wait for
them to be served. The pages read no exposures, so the figures need not come from these users: what the benchmark asks
is whether the pages stay away from them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

from ab_platform.events import AnyEvent, Click, Impression, event_id
from ab_platform.experiment import Arm, DataRule, Experiment
from ab_platform.lineage import Launch
from ab_platform.results import LiftRow, LiftView, Readout, SegmentRow
from ab_platform.serving import place
from ab_platform.storage.store import Store, open_store
from tests.dashboards import arms
from tests.dashboards.stored import STARTS_AT, analyse
from tests.dashboards.world import CHECKS
from tests.readouts import views_of
from tests.reporting.rich import OWN, rich

BUCKETS = 10_000
SPREAD = 0.02
"""Standard deviation of the true lifts over the experiments."""

SLATES, SLATE_SIZE = 60, 10
"""That the user whose page is opened was shown."""


@dataclass(frozen=True)
class Size:
    """How much is stored.

    Attributes:
        experiments: all on one data set, in one layer.
        days: that each was analysed on.
        users: exposed, over all experiments.
    """

    experiments: int = 100
    days: int = 14
    users: int = 25_000_000

    @property
    def users_each(self) -> int:
        """Return the users of one experiment."""
        return self.users // self.experiments


WHOLE, SMALL = Size(), Size(experiments=5, days=14, users=50_000)


def key_of(number: int) -> str:
    """Return the key of an experiment."""
    return f"experiment-{number:03d}"


def user_of(number: int) -> str:
    """Return the id of a user."""
    return f"user-{number:08d}"


def make(home: Path, size: Size) -> Size:
    """Write the store into a folder, as `ABP_HOME` names it; one that is there stays, whatever its size.

    Returns:
        How much is stored.
    """
    path, told = home / "abp.db", home / "size.json"
    if path.exists():
        return Size(**json.loads(told.read_text(encoding="utf-8")))
    home.mkdir(parents=True, exist_ok=True)
    made = home / "abp.db.part"
    with closing(open_store(f"sqlite:///{made}", migrate=True)) as store:
        _arms(store, size)
        rng = np.random.default_rng(0)
        for number in range(size.experiments):
            launched = _launch(store, number, size)
            for found in _analyses(launched, size, float(rng.normal(0.0, SPREAD))):
                analyse(store, found, key=launched.experiment.key, as_of=found.as_of)
        store.record(list(_visits(launched)))
    _expose(made, size)
    told.write_text(json.dumps(asdict(size)), encoding="utf-8")
    made.rename(path)
    return size


def _arms(store: Store, size: Size) -> None:
    """Write the data set, the trained arms, and what commands found about them."""
    users = [user_of(number) for number in range(min(size.users, 10_000))]
    with store.ingesting(arms.DATASET, "e" * 64, "made up", STARTS_AT) as writer:
        count = len(users)
        writer.write_interactions(users, ["t1"] * count, np.full(count, 5.0), np.arange(count, dtype=np.int64))
        writer.finish(0)
    for name in ("popularity", *arms.CONFIGS):
        arms.register(store, name)
    arms.train(store)
    arms.tune(store)
    arms.write_comparison(store)
    arms.write_latent(store)


def _launch(store: Store, number: int, size: Size) -> Launch:
    """Launch an experiment on its share of the layer; every second one was stopped."""
    width = BUCKETS // size.experiments
    served = tuple(
        Arm(name, name, 0.5, control=name == "multi_vae", config=config) for name, config in arms.CONFIGS.items()
    )
    experiment = Experiment(
        key_of(number),
        DataRule(arms.DATASET),
        served,
        hypothesis="Item anchors make slates that people play for longer.",
        layer_buckets=(number * width, (number + 1) * width),
        days=size.days,
        metrics=(OWN,),
        secondary=(f"home_card.{OWN.name}",),
    )
    launched = Launch(
        experiment,
        {name: arms.artifact_id(name) for name in arms.CONFIGS},
        "running",
        1.0,
        STARTS_AT + timedelta(seconds=number),
        STARTS_AT + timedelta(seconds=number),
        STARTS_AT + timedelta(days=size.days),
        fallback=arms.artifact_id("popularity"),
    )
    store.launch(launched)
    if number % 2:
        store.stop(experiment.key, at=launched.ends_at)
    return launched


def _analyses(launched: Launch, size: Size, lift: float) -> Iterator[Readout]:
    """Give the analysis of every day: ever more users, ever narrower intervals."""
    whole = rich()
    for day in range(1, size.days + 1):
        as_of = STARTS_AT.date() + timedelta(days=day - 1)
        share = day / size.days
        lifts = tuple(_as_of(row, as_of, share, lift) for row in whole.lifts)
        yield replace(
            whole,
            as_of=as_of,
            lifts=lifts,
            segments=tuple(_segment(row, share, lift) for row in whole.segments),
            sample_ratios=tuple(
                replace(row, watermark=_evening(as_of), counts=tuple(round(share * each) for each in row.counts))
                for row in whole.sample_ratios
            ),
            views=tuple(view for row in lifts for view in _views(row)),
            checks=CHECKS,
            look=None if whole.look is None else replace(whole.look, watermark=_evening(as_of)),
        )


def _as_of(row: LiftRow, as_of: date, share: float, lift: float) -> LiftRow:
    """Give a row as of a day on which so many of the users were there, its lift moved."""
    wider = share**-0.5

    def moved(value: float | None) -> float | None:
        if value is None or row.lift is None:
            return None
        return float(row.lift + lift + wider * (value - row.lift))

    return replace(
        row,
        watermark=_evening(as_of),
        users_control=round(share * row.users_control),
        users_treatment=round(share * row.users_treatment),
        lift=moved(row.lift),
        low=moved(row.low),
        high=moved(row.high),
    )


def _views(row: LiftRow) -> tuple[LiftView, ...]:
    return views_of(row, covariates=row.variance_saved is not None)


def _segment(row: SegmentRow, share: float, lift: float) -> SegmentRow:
    wider = share**-0.5
    if row.lift is None or row.low is None or row.high is None:
        return row
    low, high = (row.lift + lift + wider * (end - row.lift) for end in (row.low, row.high))
    return replace(row, lift=row.lift + lift, low=low, high=high)


def _evening(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 23, 58, 12, tzinfo=UTC)


def visitor(launched: Launch) -> tuple[str, str]:
    """Return the first user who is in an experiment, and their arm."""
    for number in range(BUCKETS * 10):
        index = place(launched, user_of(number)).arm_index
        if index is not None:
            return user_of(number), launched.experiment.arms[index].name
    raise AssertionError("nobody is in the experiment")


def _visits(launched: Launch) -> Iterator[AnyEvent]:
    """Give the slates of one user, whose page is opened."""
    user, arm = visitor(launched)
    key = launched.experiment.key
    for number in range(SLATES):
        at = launched.starts_at + timedelta(hours=5 * number)
        slate = event_id(at, f"{key}/{user}/{number}")
        shown = [
            Impression(
                event_id(at, f"{slate}/{each}"), key, user, arm, "home_card", f"t{each}", at, slate, each, arm, 20.0
            )
            for each in range(SLATE_SIZE)
        ]
        yield from shown
        seen = shown[number % SLATE_SIZE]
        clicked = at + timedelta(seconds=9)
        common = (key, user, arm, "home_card", seen.title_id, clicked, seen.event_id)
        yield Click(event_id(clicked, f"{seen.event_id}/click"), *common)  # type: ignore[arg-type]


def _expose(path: Path, size: Size) -> None:
    """Write a row a user into the exposures, in the order of their key; the database makes them by itself."""
    numbers = "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :users)"
    rows = (
        "SELECT :key, printf('user-%08d', n), 'home_card', CASE n % 2 WHEN 0 THEN 'multi_vae' ELSE 'pia' END, "
        "printf('2025-03-%02d 10:00:00.000000', 3 + n % :days) FROM numbers"
    )
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for number in range(size.experiments):
            values = {"users": size.users_each, "key": key_of(number), "days": size.days}
            connection.execute(f"INSERT OR IGNORE INTO exposures {numbers} {rows}", values)
            connection.commit()
