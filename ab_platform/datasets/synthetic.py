"""A seeded world of users with tastes, for a first look where there is no data and no network.

Users mix a few genres and a few finer traits; a title has genres, traits and an appeal with a long tail. Who watches
what follows both, so that popularity is a fair guess and a personalised arm a clearly better one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from ab_platform.datasets.source import BadRows, Batch, Tick, Unit
from ab_platform.errors import DataError
from ab_platform.lineage import Title

_VERSION = 1
"""Counts up whenever the same parameters give other rows."""

_GENRES = (
    "Action", "Adventure", "Animation", "Comedy", "Crime", "Documentary",
    "Drama", "Family", "Fantasy", "Horror", "Romance", "Science Fiction",
)  # fmt: skip
_FIRST = (
    "Amber", "Broken", "Crimson", "Distant", "Electric", "Fearless", "Gentle", "Hidden",
    "Iron", "Jade", "Kindred", "Last", "Midnight", "Northern", "Open", "Paper",
    "Quiet", "Restless", "Silver", "Tender", "Unseen", "Velvet", "Wild", "Winter",
)  # fmt: skip
_SECOND = (
    "Avenue", "Bridge", "Canyon", "Dream", "Echo", "Frontier", "Garden", "Harbor",
    "Island", "Journey", "Kingdom", "Letters", "Mirror", "Night", "Orchard", "Promise",
    "Quarry", "River", "Station", "Tide", "Upland", "Voyage", "Window", "Yard",
)  # fmt: skip
_THIRD = ("", " of Ash", " of Glass", " in Blue", " at Dawn", " by the Sea", " Rising", " Returns")
_DAY_SECONDS = 86_400
_USERS_AT_ONCE = 1_000


@dataclass(frozen=True)
class World:
    """What the generator is told.

    Attributes:
        users: how many.
        titles: how many.
        interactions: about how many; activity has a long tail, and each user has at least `least`.
        least: interactions of the least active user.
        traits: dimensions of taste beyond genres.
        taste: how much taste decides, beside appeal; 0 is popularity alone.
        starts_at: unix seconds of the first moment.
        days: how long it goes on.
        seed: of all randomness.
    """

    users: int = 2_000
    titles: int = 800
    interactions: int = 120_000
    least: int = 12
    traits: int = 6
    taste: float = 1.4
    starts_at: int = 1_735_689_600  # 2025-01-01
    days: int = 180
    seed: int = 0

    def __post_init__(self) -> None:
        """Check that the world can be.

        Raises:
            DataError: with the value found and what is required.
        """
        most = len(_FIRST) * len(_SECOND) * len(_THIRD)
        if not 1 <= self.titles <= most:
            raise DataError(f"titles is {self.titles}; it must be 1 to {most}, the names there are")
        if self.users < 1 or self.days < 1:
            raise DataError(f"users is {self.users} and days is {self.days}; both must be at least 1")
        if not 1 <= self.least <= self.interactions / self.users <= self.titles / 2:
            raise DataError(
                f"{self.interactions} interactions of {self.users} users are {self.interactions / self.users:g} each; "
                f"it must be {self.least} (least) to {self.titles / 2:g} (half the titles)"
            )


@dataclass(frozen=True)
class Synthetic:
    """A world as a source.

    Attributes:
        world: what the generator is told.
    """

    world: World

    @property
    def name(self) -> str:
        """Return `synthetic`."""
        return "synthetic"

    @property
    def place(self) -> str:
        """Return the generator and its seed."""
        return f"synthetic, seed {self.world.seed}"

    @property
    def unit(self) -> Unit:
        """Return rows."""
        return "rows"

    @property
    def size(self) -> int:
        """Return how many interactions there are."""
        return int(_activity(self.world).sum())

    def content_hash(self, tick: Tick) -> str:
        """Return the sha256 of the parameters, which decide all rows."""
        return hashlib.sha256(json.dumps([_VERSION, asdict(self.world)]).encode()).hexdigest()

    def titles(self, bad: BadRows) -> Iterator[Title]:
        """Yield the titles, with made-up names."""
        catalogue, rng = _catalogue(self.world), _rng(self.world, "names")
        names = rng.choice(len(_FIRST) * len(_SECOND) * len(_THIRD), self.world.titles, replace=False)
        years = rng.integers(1960, 2025, self.world.titles)
        for place, (name, year) in enumerate(zip(names.tolist(), years.tolist(), strict=True)):
            genres = tuple(genre for genre, has in zip(_GENRES, catalogue.genres[place], strict=True) if has)
            yield Title(_title_id(place), _name(name), genres, year)

    def batches(self, bad: BadRows) -> Iterator[Batch]:
        """Yield each user's interactions in the order of time."""
        catalogue, rng = _catalogue(self.world), _rng(self.world, "users")
        activity = _activity(self.world)
        done = 0
        for first in range(0, self.world.users, _USERS_AT_ONCE):
            counts = activity[first : first + _USERS_AT_ONCE]
            users = np.repeat(np.arange(first, first + len(counts)), counts)
            titles, ratings = _watched(self.world, catalogue, counts, rng)
            done += len(users)
            yield Batch(
                user_ids=[f"u{user + 1:05}" for user in users.tolist()],
                title_ids=[_title_id(place) for place in titles.tolist()],
                ratings=ratings,
                at=_times(self.world, counts, rng),
                done=done,
            )


@dataclass(frozen=True, eq=False)
class _Catalogue:
    """What decides who watches a title.

    Attributes:
        genres: (titles, genres), whether a title is of a genre.
        traits: (titles, traits), its finer traits.
        appeal: (titles,), what everyone sees in it.
    """

    genres: NDArray[np.bool_]
    traits: NDArray[np.float64]
    appeal: NDArray[np.float64]


def _rng(world: World, purpose: str) -> np.random.Generator:
    """Return a stream of its own for each purpose, so that none shifts another."""
    return np.random.default_rng([world.seed, _VERSION, *purpose.encode()])


def _catalogue(world: World) -> _Catalogue:
    rng = _rng(world, "catalogue")
    shares = rng.dirichlet(np.full(len(_GENRES), 4.0))
    # The genres with the largest race times are a draw without replacement by share (Efraimidis and Spirakis, 2006).
    race = np.log(rng.random((world.titles, len(_GENRES)))) / shares
    rank = np.argsort(np.argsort(-race, axis=1), axis=1)
    genres = rank < rng.choice([1, 2, 3], p=[0.35, 0.45, 0.2], size=(world.titles, 1))
    appeal = -1.1 * np.log(10.0 + rng.permutation(world.titles))  # the law of Zipf and Mandelbrot
    return _Catalogue(genres, rng.normal(size=(world.titles, world.traits)), appeal)


def _activity(world: World) -> NDArray[np.int64]:
    """Return the interactions of each user, (users,): log-normal, from `least` to half the titles."""
    draws = _rng(world, "activity").lognormal(0.0, 1.0, world.users)
    spare = world.interactions - world.least * world.users
    counts: NDArray[np.int64] = world.least + np.floor(draws / draws.sum() * spare).astype(np.int64)
    return np.minimum(counts, world.titles // 2)


def _watched(
    world: World, catalogue: _Catalogue, counts: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Draw what each user watches and how they rate it.

    Args:
        world: the parameters.
        catalogue: the titles.
        counts: interactions of each user, (users,).
        rng: source of randomness.

    Returns:
        Places of titles and ratings from 1 to 5, (counts.sum(),) each, users one after the other.
    """
    fit = _fit(world, catalogue, len(counts), rng)
    # The largest sums with Gumbel noise are a draw without replacement (Kool, van Hoof and Welling, 2019).
    order = np.argsort(-(catalogue.appeal + world.taste * fit + rng.gumbel(size=fit.shape)), axis=1)
    # Not the best first: what is watched when is no matter of taste.
    picks = [rng.permutation(row[:count]) for row, count in zip(order, counts, strict=True)]
    titles = np.concatenate(picks)
    liked = fit[np.repeat(np.arange(len(counts)), counts), titles]
    ratings = np.clip(np.rint(3.1 + 0.7 * liked + rng.normal(0.0, 0.7, len(titles))), 1.0, 5.0)
    return titles, ratings


def _fit(world: World, catalogue: _Catalogue, users: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return how well each title fits each user, (users, titles), mean 0 and variance 1 for each user."""
    tastes = rng.dirichlet(np.full(len(_GENRES), 0.3), size=users)
    by_genre = np.log(0.03 + tastes @ (catalogue.genres / catalogue.genres.sum(axis=1, keepdims=True)).T)
    by_trait = rng.normal(size=(users, world.traits)) @ catalogue.traits.T
    return _standard(_standard(by_genre) + 0.7 * _standard(by_trait))


def _standard(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = scores - scores.mean(axis=1, keepdims=True)
    # A single title has no spread; its score is 0.
    standard: NDArray[np.float64] = centred / np.maximum(centred.std(axis=1, keepdims=True), 1e-12)
    return standard


def _times(world: World, counts: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw when each user watches: from the day they join, in their first two thirds of all days, to the end."""
    span = world.days * _DAY_SECONDS
    joined = np.repeat(rng.random(len(counts)) * span * 2 / 3, counts)
    seconds = (joined + rng.random(len(joined)) * (span - joined)).astype(np.int64)
    users = np.repeat(np.arange(len(counts)), counts)
    at: NDArray[np.int64] = world.starts_at + seconds[np.lexsort((seconds, users))]
    return at


def _title_id(place: int) -> str:
    return f"t{place + 1:04}"


def _name(number: int) -> str:
    rest, third = divmod(number, len(_THIRD))
    first, second = divmod(rest, len(_SECOND))
    return f"{_FIRST[first]} {_SECOND[second]}{_THIRD[third]}"
