"""What arrives of a batch of users: their arms by the real assignment, their events, and what the world does to these.

Each batch and purpose has a random stream of its own, so the same batch comes out the same however often it is asked
for: nothing is kept between passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ab_platform.events import AnyEvent, Impression
from ab_platform.experiment import Experiment
from ab_platform.lineage import Launch
from ab_platform.simulation.plan import Behaviours
from ab_platform.simulation.visits import Users, draw_slates, draw_users, events
from ab_platform.simulation.worlds import ASTRAY, FAULTY_DEVICE, World

LATE, TWICE = 0.4, 0.1
"""Shares of events that arrive after all that are in time, and a second time then, where delivery is late."""

OF_USERS, OF_DELIVERY = 0, 1

CONTROL_PLACE, TREATMENT_PLACE = 0, 1

Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Period:
    """A launched experiment and what its users do.

    Attributes:
        launch: of the experiment, its control first.
        world: the users, and what goes wrong.
        behaviours: under each arm, control first.
        seed: of everything that is drawn.
        stream: tells its visits from those of other periods; from 2 on.
    """

    launch: Launch
    world: World
    behaviours: tuple[Behaviours, Behaviours]
    seed: int
    stream: int

    @property
    def passes(self) -> int:
        """Return how often all users are gone through: what is late comes after everything else."""
        return 2 if self.world.delivery == "late" else 1


def batch_users(world: World, seed: int, batch: range) -> Users:
    """Draw a batch of users, the same in every period of a simulation."""
    return draw_users(world, [f"u{number:07}" for number in batch], _rng(world, seed, OF_USERS, batch))


def assigned(experiment: Experiment, users: Users) -> Whole:
    """Return the place of each user's arm by the experiment's salts, -1 when in no arm, (users,)."""
    return experiment.place_all(users.ids, experiment.ranges())


def arriving(period: Period, batch: range, *, number: int = 0) -> list[AnyEvent]:
    """Return the events of a batch of users that arrive in one pass over all users, in the order of arrival.

    Args:
        period: the experiment and what its users do.
        batch: numbers of the users.
        number: of the pass, from 0.
    """
    users = batch_users(period.world, period.seed, batch)
    arms = _served(period.world, users, assigned(period.launch.experiment, users))
    sent = _sent(period, users, arms, _rng(period.world, period.seed, period.stream, batch))
    if period.world.delivery == "punctual":
        return sent
    return _late(sent, number, _rng(period.world, period.seed, OF_DELIVERY, batch))


def _served(world: World, users: Users, arms: Whole) -> Whole:
    """Return the place of the arm that each user is served and logged with."""
    if world.fault != "wrong_arm":
        return arms
    strays = (arms == TREATMENT_PLACE) & (users.watch > 1.0) & (users.astray < ASTRAY)
    return np.where(strays, CONTROL_PLACE, arms)


def _sent(period: Period, users: Users, arms: Whole, rng: np.random.Generator) -> list[AnyEvent]:
    """Return what the clients send and the network does not lose, a surface at a time."""
    experiment = period.launch.experiment
    names = [experiment.arms[place].name for place in arms.tolist()]
    lost = _lost(period.world, users, arms)
    sent: list[AnyEvent] = []
    for surface in experiment.surfaces:
        behaviours = [each[surface] for each in period.behaviours]
        slates = draw_slates(users, surface, behaviours, arms, days=experiment.days, rng=rng)
        made = events(experiment.key, users, names, surface, slates, starts_at=period.launch.starts_at)
        sent += (event for event in made if event.user_id not in lost or type(event) is not Impression)
    return sent


def _lost(world: World, users: Users, arms: Whole) -> frozenset[str]:
    """Return whose impressions are lost."""
    if world.fault != "lost_impressions":
        return frozenset()
    lost = (arms == TREATMENT_PLACE) & (users.device == FAULTY_DEVICE) & (users.astray < ASTRAY)
    return frozenset(np.array(users.ids)[lost].tolist())


def _late(sent: Sequence[AnyEvent], number: int, rng: np.random.Generator) -> list[AnyEvent]:
    """Return what arrives in a pass, out of order: first what is in time, then what is late or comes again."""
    luck, again = rng.random((2, len(sent)))
    late = luck < LATE
    arrives = ~late if number == 0 else late | (again < TWICE)
    return [sent[place] for place in rng.permutation(np.flatnonzero(arrives)).tolist()]


def _rng(world: World, seed: int, purpose: int, batch: range) -> np.random.Generator:
    """Return a stream of its own for each world, purpose and batch, so that none shifts or resembles another."""
    return np.random.default_rng([seed, purpose, batch.start, *world.name.encode()])
