"""Draw users and their visits, a batch of users at a time, and turn visits into events.

What is drawn does not depend on the arms: under another arm the same user comes at the same moments and has the same
luck, and only what the arm does to it differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ab_platform.events import LONGEST_WATCH_SECONDS, AnyEvent, Click, Surface, Watch, event_id
from ab_platform.serving import Request, Slate, impressions
from ab_platform.simulation.population import RETURN, SLATE_SIZE, Behaviour
from ab_platform.simulation.worlds import REACH, World

Vector = NDArray[np.float64]
Whole = NDArray[np.int64]

DEVICES = {"phone": 0.5, "tv": 0.3, "web": 0.2}
COUNTRIES = {"jp": 0.4, "us": 0.25, "de": 0.15, "br": 0.12, "fr": 0.08}
TITLES = 200

WATCH_SHAPE, SPREAD_SHAPE = 0.7, 2.0
"""Of the gamma distributions of a user's scale and of one watch around it: skewed, but never near the longest watch."""

INTERACTIONS_PER_SCALE = 25.0
MORNING, EVENING = 6 * 3600, 23 * 3600
"""When slates are shown, in seconds of the day: what follows one falls on the same day."""


@dataclass(frozen=True, eq=False)
class Users:
    """Users and what is their own, whatever the week and the arm.

    Attributes:
        ids: of the users.
        clicker: `(users,)` in (0, 1): who clicks at all, the lowest first.
        rate: `(users,)` in (0, 1): place of the user's click rate among the clickers'.
        watch: `(users,)` scale of the watches, of mean 1.
        astray: `(users,)` in (0, 1): whom a fault meets, the lowest first.
        device: `(users,)`.
        country: `(users,)`.
        interactions: `(users,)` how many there were before, more for who watches longer.
    """

    ids: tuple[str, ...]
    clicker: Vector
    rate: Vector
    watch: Vector
    astray: Vector
    device: NDArray[np.str_]
    country: NDArray[np.str_]
    interactions: Whole


@dataclass(frozen=True, eq=False)
class Slates:
    """What users are shown on one surface and do with it.

    Attributes:
        user: `(slates,)` place of the user.
        day: `(slates,)` from 0.
        second: `(slates,)` of the day.
        title: `(slates,)` first title; the others follow it.
        clicked: `(slates, titles)` whether each is clicked.
        watch_seconds: `(slates, titles)` how long each is watched, 0 without a click.
    """

    user: Whole
    day: Whole
    second: Whole
    title: Whole
    clicked: NDArray[np.bool_]
    watch_seconds: Vector


def draw_users(world: World, ids: Sequence[str], rng: np.random.Generator) -> Users:
    """Draw what is the users' own."""
    size = len(ids)
    clicker, rate, astray, place = rng.random((4, size))
    if world.heavy_share is None:
        watch = rng.gamma(WATCH_SHAPE, 1.0 / WATCH_SHAPE, size)
    else:
        share = world.heavy_share
        watch = np.where(place < share, 0.5 / share, 0.5 / (1.0 - share))
    return Users(
        tuple(ids),
        clicker,
        rate,
        watch,
        astray,
        device=rng.choice(list(DEVICES), size, p=list(DEVICES.values())),
        country=rng.choice(list(COUNTRIES), size, p=list(COUNTRIES.values())),
        interactions=rng.poisson(INTERACTIONS_PER_SCALE * watch),
    )


def draw_slates(
    users: Users, surface: Surface, behaviours: Sequence[Behaviour], arms: Whole, *, days: int, rng: np.random.Generator
) -> Slates:
    """Draw what users are shown and do on one surface.

    Args:
        users: the batch.
        surface: where.
        behaviours: under each arm.
        arms: `(users,)` place of each user's arm.
        days: that users come on.
        rng: source of randomness; how much is drawn from it does not depend on the arms.
    """
    size = len(users.ids)
    comes = rng.random(size) < REACH[surface]
    visits = 1 + rng.binomial(days - 1, RETURN, size)
    order = rng.random((size, days)).argsort(axis=1).argsort(axis=1)
    present = comes[:, None] & (order < visits[:, None])
    user, day = np.nonzero(present)
    shape = (len(user), SLATE_SIZE)
    second, title = rng.integers(MORNING, EVENING, len(user)), rng.integers(0, TITLES, len(user))
    luck, spread = rng.random(shape), rng.gamma(SPREAD_SHAPE, 1.0 / SPREAD_SHAPE, shape)
    rates = np.stack([click_rates(users, each) for each in behaviours])[arms, np.arange(size)]
    by_age = np.stack([each.watch_by_age(days) for each in behaviours])
    mean = by_age[arms[user], day - present.argmax(axis=1)[user]] * users.watch[user]
    clicked = luck < rates[user, None]
    seconds = np.minimum(mean[:, None] * spread, LONGEST_WATCH_SECONDS)
    return Slates(user, day, second, title, clicked, np.where(clicked, np.round(seconds, 3), 0.0))


def click_rates(users: Users, behaviour: Behaviour) -> Vector:
    """Return each user's clicks per title shown, (users,)."""
    clicks = users.clicker < behaviour.clickers
    rates = np.zeros(len(users.ids))
    rates[clicks] = special.betaincinv(*behaviour.beta, users.rate[clicks])
    return rates


def events(
    experiment: str, users: Users, arms: Sequence[str], surface: Surface, slates: Slates, *, starts_at: datetime
) -> Iterator[AnyEvent]:
    """Turn slates into what a client sends.

    Args:
        experiment: its key.
        users: the batch.
        arms: name of each user's arm.
        surface: where.
        slates: what was shown there.
        starts_at: start of the first day.
    """
    columns = (slates.user, slates.day, slates.second, slates.title, slates.clicked, slates.watch_seconds)
    for user, day, second, title, clicked, seconds in zip(*(column.tolist() for column in columns), strict=True):
        at = starts_at + timedelta(days=day, seconds=second)
        # A Movie Card stands beside a title, here the one before its own.
        beside = None if surface == "home_card" else title_id(title - 1)
        request = Request(users.ids[user], surface, at, beside)
        slate_id = event_id(at, f"{experiment}/{request.user_id}/{surface}/{day}")
        titles = tuple(title_id(title + place) for place in range(SLATE_SIZE))
        shown = impressions(Slate(slate_id, experiment, request, arms[user], arms[user], titles))
        yield from shown
        for place, impression in enumerate(shown):
            if clicked[place]:
                clicked_at = at + timedelta(seconds=2 + 3 * place)
                common = (experiment, request.user_id, impression.arm, surface, impression.title_id, clicked_at)
                key = str(impression.event_id)
                yield Click(event_id(clicked_at, f"{key}/click"), *common, impression.event_id)
                yield Watch(event_id(clicked_at, f"{key}/watch"), *common, impression.event_id, seconds[place])


def title_id(number: int) -> str:
    """Return the id of a title; past the last one comes the first again."""
    return f"t{number % TITLES + 1:03}"
