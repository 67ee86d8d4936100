"""What blocks of users are shown and do, drawn user by user: as in `visits`, and with the distributions named there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ab_platform.events import LONGEST_WATCH_SECONDS, Surface
from ab_platform.simulation.archived.draws import Numbers, Source, Vector, beta, binomial, gamma, gamma_of_shape_2
from ab_platform.simulation.population import RETURN, SLATE_SIZE, Behaviour
from ab_platform.simulation.visits import EVENING, MORNING, TITLES, WATCH_SHAPE
from ab_platform.simulation.worlds import REACH, World

Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]

DAYS_AT_MOST = 512
"""More than a simulation has, so that a user's number and a day make a number of their own."""


@dataclass(frozen=True, eq=False)
class Block:
    """Users and what is their own, whatever the week and the arm.

    Attributes:
        number: `(users,)` in order.
        clicker: `(users,)` in (0, 1): who clicks at all, the lowest first.
        rate: `(users,)` in (0, 1): place of the user's click rate among the clickers'.
        watch: `(users,)` scale of the watches, of mean 1.
    """

    number: Whole
    clicker: Vector
    rate: Vector
    watch: Vector


@dataclass(frozen=True, eq=False)
class Slates:
    """What users are shown and do, one slate at most a user, surface and day, in the order of these three.

    Attributes:
        user: `(slates,)` place of the user in the block.
        surface: `(slates,)` place of the surface among the sorted ones.
        day: `(slates,)` from 0.
        first: `(slates,)` whether it is the user's exposure on the surface.
        second: `(slates,)` of the day.
        title: `(slates,)` number of the first title; the others follow it.
        clicked: `(slates, titles)` whether each is clicked.
        watch_ms: `(slates, titles)` how long each is watched, in milliseconds, 0 without a click.
    """

    user: Whole
    surface: Whole
    day: Whole
    first: Flags
    second: Whole
    title: Whole
    clicked: Flags
    watch_ms: Whole

    def at(self, rows: Whole) -> Slates:
        """Select some by their places."""
        return Slates(
            user=self.user[rows],
            surface=self.surface[rows],
            day=self.day[rows],
            first=self.first[rows],
            second=self.second[rows],
            title=self.title[rows],
            clicked=self.clicked[rows],
            watch_ms=self.watch_ms[rows],
        )


def draw_block(world: World, source: Source, number: Whole) -> Block:
    """Draw what is the users' own."""
    counted = number.astype(np.uint64)
    clicker, rate, place = (source.uniforms(stream, counted) for stream in ("clicker", "rate", "watch"))
    if world.heavy_share is None:
        watch = gamma(place, WATCH_SHAPE)
    else:
        share = world.heavy_share
        watch = np.where(place < share, 0.5 / share, 0.5 / (1.0 - share))
    return Block(number, clicker, rate, watch)


def draw_slates(
    block: Block,
    surfaces: Sequence[Surface],
    behaviours: Sequence[Sequence[Behaviour]],
    arms: Whole,
    *,
    days: int,
    source: Source,
    period: str,
) -> Slates:
    """Draw what users are shown and do.

    Args:
        block: the users.
        surfaces: where, sorted.
        behaviours: on each surface, under each arm.
        arms: `(users,)` place of each user's arm; nothing else that is drawn depends on it.
        days: that users come on.
        source: of the draws.
        period: tells its visits from those of other periods.
    """
    counted = block.number.astype(np.uint64)
    present = np.stack([_present(counted, each, days, source, period) for each in surfaces], axis=1)
    user, surface, day = np.nonzero(present)
    since = day - present.argmax(axis=2)[user, surface]
    slate = slate_numbers(block.number[user], surface, day)
    shown = _title_numbers(slate)
    luck = source.uniforms(f"{period}/luck", shown)
    clicked = luck < _rates(block, behaviours, arms)[user, surface, None]
    place, title = np.nonzero(clicked)
    mean = _means(behaviours, days)[surface[place], arms[user[place]], since[place]] * block.watch[user[place]]
    spread = gamma_of_shape_2(*(source.uniforms(f"{period}/spread/{half}", shown[place, title]) for half in (0, 1)))
    watch_ms = np.zeros(clicked.shape, dtype=np.int64)
    watch_ms[place, title] = np.round(np.minimum(mean * spread, LONGEST_WATCH_SECONDS) * 1_000.0).astype(np.int64)
    second = MORNING + _up_to(EVENING - MORNING, source.uniforms(f"{period}/second", slate))
    return Slates(
        user,
        surface,
        day,
        since == 0,
        second,
        _up_to(TITLES, source.uniforms(f"{period}/title", slate)),
        clicked,
        watch_ms,
    )


def slate_numbers(number: Whole, surface: Whole, day: Whole) -> Numbers:
    """Return a number of each slate's own from those of its user, surface and day, (slates,)."""
    return np.asarray((number * len(REACH) + surface) * DAYS_AT_MOST + day, dtype=np.uint64)


def _title_numbers(slate: Numbers) -> Numbers:
    """Return a number of each title shown, (slates, titles)."""
    return np.stack([slate * np.uint64(SLATE_SIZE) + np.uint64(place) for place in range(SLATE_SIZE)], axis=1)


def _present(number: Numbers, surface: Surface, days: int, source: Source, period: str) -> Flags:
    """Return on which days users come to a surface, evenly chosen, (users, days).

    A day is chosen with the share of the visits left in the days left (Knuth, "The art of computer programming" 2,
    algorithm 3.4.2 S), which gives every set of as many days the same chance.
    """
    stream = f"{period}/{surface}"
    comes = np.flatnonzero(source.uniforms(f"{stream}/comes", number) < REACH[surface])
    left = 1 + binomial(source.uniforms(f"{stream}/visits", number[comes]), days - 1, RETURN)
    present = np.zeros((len(number), days), dtype=np.bool_)
    for day in range(days):
        chosen = source.uniforms(f"{stream}/day/{day}", number[comes]) * (days - day) < left
        present[comes, day] = chosen
        left -= chosen
    return present


def _rates(block: Block, behaviours: Sequence[Sequence[Behaviour]], arms: Whole) -> Vector:
    """Return each user's clicks per title shown, (users, surfaces)."""
    rates = np.zeros((len(block.number), len(behaviours)))
    for surface, by_arm in enumerate(behaviours):
        for arm, behaviour in enumerate(by_arm):
            clicks = np.flatnonzero((arms == arm) & (block.clicker < behaviour.clickers))
            rates[clicks, surface] = beta(block.rate[clicks], *behaviour.beta)
    return rates


def _means(behaviours: Sequence[Sequence[Behaviour]], days: int) -> Vector:
    """Return the mean watch in seconds, (surfaces, arms, days since the exposure)."""
    return np.array([[each.watch_by_age(days) for each in by_arm] for by_arm in behaviours])


def _up_to(end: int, uniforms: Vector) -> Whole:
    """Return whole numbers from 0, below the end."""
    return (uniforms * end).astype(np.int64)
