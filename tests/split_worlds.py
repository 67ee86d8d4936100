"""Worlds whose split is sound until something is done to it: who comes when and on what device, and what is logged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

import numpy as np

from ab_platform.events import SURFACES, Impression, Surface, event_id
from ab_platform.experiment import Arm, Experiment
from ab_platform.lineage import Launch
from ab_platform.serving import place
from ab_platform.storage.store import Store
from tests.analysis.made import DATASET, KEY, START, definition, launched

FIRST = START.date()
DEVICES = ("phone", "tv", "web")


@dataclass(frozen=True)
class Visitor:
    """Someone who comes once: on a day of the week, on a device, to both surfaces an hour apart."""

    user: str
    arm: str
    day: int
    device: str
    number: int


Lost = Callable[[Visitor, Surface], bool]


def visitors(launch: Launch, count: int) -> list[Visitor]:
    """Return who comes, by a fixed stream; days and devices do not depend on the arm."""
    rng = np.random.default_rng(11)
    days, devices = rng.integers(0, 7, count), rng.choice(len(DEVICES), count, p=(0.5, 0.2, 0.3))
    found = []
    for number in range(count):
        index = place(launch, f"user-{number}").arm_index
        if index is not None:
            arm = launch.experiment.arms[index].name
            found.append(Visitor(f"user-{number}", arm, int(days[number]), DEVICES[devices[number]], number))
    return found


def shown(user: str, arm: str, at: datetime, surface: Surface = "home_card") -> Impression:
    return Impression(event_id(at, f"{user}/{arm}/{surface}"), KEY, user, arm, surface, "t1", at, UUID(int=7), 0, arm)


def record(store: Store, visits: Sequence[Visitor], *, lost: Lost = lambda visitor, surface: False) -> None:
    """Log the visits, but for those that get lost, and store the devices."""
    events = []
    for each in visits:
        at = START + timedelta(days=each.day, seconds=each.number % 80_000)
        for hour, surface in enumerate(SURFACES):
            if not lost(each, surface):
                events.append(shown(each.user, each.arm, at + timedelta(hours=hour / 10), surface))
    store.record(events)
    store.write_attributes(DATASET, "device", [(each.user, each.device) for each in visits])


def day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


def launch(store: Store, experiment: Experiment | None = None) -> Launch:
    return launched(store, experiment or definition())


def three_arms(*weights: float) -> Experiment:
    names = ("old", "new", "newer")
    arms = [
        Arm(name, "popularity", weight, control=name == "old", seed=seed)
        for seed, (name, weight) in enumerate(zip(names, weights, strict=True))
    ]
    return definition(arms=tuple(arms))


def lost_on_tv(came: Sequence[Visitor], days: Sequence[int], share: float) -> set[str]:
    """Choose users of the new arm on a TV, on some days of the week."""
    rng = np.random.default_rng(5)
    there = [each.user for each in came if (each.arm, each.device) == ("new", "tv") and each.day + 1 in days]
    return {user for user in there if rng.random() < share}


def ingested(store: Store, users: Sequence[str]) -> None:
    with store.ingesting(DATASET, "hash", "made", START) as writer:
        writer.write_interactions(list(users), ["t1"] * len(users), None, None)
        writer.finish(0)
