"""The worlds: what users do under each arm, and what goes wrong on the way to the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from ab_platform.errors import NotFoundError, nearest
from ab_platform.events import SURFACES, Surface
from ab_platform.metrics import PUBLISHED_TABLE_2
from ab_platform.simulation.population import Behaviour, fitted

Fault = Literal["none", "wrong_arm", "lost_impressions"]
Delivery = Literal["punctual", "late"]

REACH: Mapping[Surface, float] = {"home_card": 0.9, "movie_card": 0.6}
"""Share of users who come to a surface at all, whatever their arm: the arms' users stay comparable on each."""

FAULTY_DEVICE = "tv"
ASTRAY = 0.6
"""Share of the users whom a fault can meet that it does meet."""


@dataclass(frozen=True)
class World:
    """A population whose lifts are known.

    Attributes:
        name: what a person types.
        told: what it is, and what its table should say.
        control: what users do under the control, by surface.
        treatment: the same, treatment.
        weights: of the arms, control first.
        heavy_share: share of users who make half of the watch time; None for watches that are skewed moderately.
        fault: `wrong_arm` gives some of the treatment's heavier watchers the control, `lost_impressions` loses the
            treatment's impressions on some of the devices of one kind.
        delivery: `late` brings events out of order, many after the planned end, and some twice.
        segments: what the table is divided by unless it is asked for something else.
    """

    name: str
    told: str
    control: Mapping[Surface, Behaviour]
    treatment: Mapping[Surface, Behaviour]
    weights: tuple[float, float] = (0.5, 0.5)
    heavy_share: float | None = None
    fault: Fault = "none"
    delivery: Delivery = "punctual"
    segments: tuple[str, ...] = ()

    @property
    def alarms(self) -> bool:
        """Whether the split must alarm, so that nobody reads the lifts."""
        return self.fault != "none"


def world(name: str, *, days: int) -> World:
    """Make a world by its name.

    Args:
        name: one of `WORLDS`.
        days: length of the experiment; a world whose figures are given is fitted to them.

    Raises:
        NotFoundError: with the nearest name.
    """
    if name not in WORLDS:
        raise NotFoundError(f"world '{name}' is not there; {nearest(name, WORLDS)}")
    return WORLDS[name](days)


ORDINARY: Mapping[Surface, Behaviour] = {
    "home_card": Behaviour(clickers=0.30, click_rate=0.30, concentration=4.0, watch_seconds=240.0),
    "movie_card": Behaviour(clickers=0.35, click_rate=0.25, concentration=4.0, watch_seconds=300.0),
}

CONCENTRATION = 2.0
"""Of the clickers' rates where Table 2's figures are met: evenly spread, were their mean a half."""


def _changed(*, clicks: float = 0.0, play: float = 0.0, novelty: float = 0.0) -> Mapping[Surface, Behaviour]:
    """Return the ordinary behaviour with a lift of both click rates, one of the play duration, and a novelty."""
    return {
        surface: replace(
            each,
            # More clickers rather than higher rates: it lifts clicks per view and users who clicked alike.
            clickers=each.clickers * (1.0 + clicks),
            watch_seconds=each.watch_seconds * (1.0 + play) / (1.0 + clicks),
            novelty=novelty,
        )
        for surface, each in ORDINARY.items()
    }


def _no_effect(days: int) -> World:
    return World(
        "no-effect",
        "Both arms are the same, so every true lift is 0. About one interval in twenty leaves it out, by chance.",
        ORDINARY,
        ORDINARY,
    )


def _small_lift(days: int) -> World:
    return World(
        "small-lift",
        "The treatment plays 3 % longer per user and is clicked 2 % more. It takes very many users to show so little.",
        ORDINARY,
        _changed(clicks=0.02, play=0.03),
    )


def _table_2(days: int) -> World:
    arms: dict[str, dict[Surface, Behaviour]] = {"control": {}, "treatment": {}}
    for surface in SURFACES:
        rows = {row.metric: row for row in PUBLISHED_TABLE_2 if row.surface == surface}
        for arm, behaviours in arms.items():
            per_view, per_user, play = (
                getattr(rows[name], arm) for name in ("click_rate_per_view", "click_rate_per_user", "play_duration")
            )
            behaviours[surface] = fitted(per_view, per_user, play, days=days, concentration=CONCENTRATION)
    return World(
        "table2",
        "The truth is the paper's Table 2: all twelve published values hold exactly in the population. "
        "The table should find its large lifts on both surfaces.",
        arms["control"],
        arms["treatment"],
    )


def _broken_split(days: int) -> World:
    return World(
        "broken-split",
        "Some of the treatment's heavier watchers get the control and are logged so; else the arms are the same. "
        "The split must alarm: the lifts in the table are made by who is missing, not by the treatment.",
        ORDINARY,
        ORDINARY,
        fault="wrong_arm",
    )


def _lost_logging(days: int) -> World:
    return World(
        "lost-logging",
        f"Under the treatment, the impressions of some users of a {FAULTY_DEVICE} never arrive, though clicks do. "
        f"The split must alarm, and by device it must say where: on the {FAULTY_DEVICE}.",
        ORDINARY,
        ORDINARY,
        fault="lost_impressions",
        segments=("device",),
    )


def _fading_novelty(days: int) -> World:
    return World(
        "fading-novelty",
        "On the day of the exposure watches are half as long again, and each day later 60 % of that lift are left. "
        "The true lift of the whole time is the average; days since exposure show it fade.",
        ORDINARY,
        _changed(novelty=0.5),
    )


def _late_and_duplicated(days: int) -> World:
    return World(
        "late-and-duplicated",
        "Events arrive out of order, many after the planned end, some twice; the treatment plays 10 % longer. "
        "The table must be that of a world where each came once and in time, to the digit.",
        ORDINARY,
        _changed(clicks=0.05, play=0.10),
        delivery="late",
    )


def _few_heavy_users(days: int) -> World:
    return World(
        "few-heavy-users",
        "One user in a hundred makes half of the watch time; the treatment plays 10 % longer. "
        "The interval of the play duration is as wide as it must be, far wider than those of the clicks.",
        # Short watches: a heavy user's are 50 times as long, and none may pass the longest there is.
        {surface: replace(each, watch_seconds=each.watch_seconds / 4.0) for surface, each in ORDINARY.items()},
        {
            surface: replace(each, watch_seconds=each.watch_seconds / 4.0)
            for surface, each in _changed(clicks=0.05, play=0.10).items()
        },
        heavy_share=0.01,
    )


def _uneven_split(days: int) -> World:
    return World(
        "uneven-split",
        "The treatment gets one user in ten, plays 10 % longer and is clicked 5 % more. "
        "The split is as its weights promise, and must not alarm.",
        ORDINARY,
        _changed(clicks=0.05, play=0.10),
        weights=(0.9, 0.1),
    )


WORLDS: Mapping[str, Callable[[int], World]] = {
    "no-effect": _no_effect,
    "small-lift": _small_lift,
    "table2": _table_2,
    "broken-split": _broken_split,
    "lost-logging": _lost_logging,
    "fading-novelty": _fading_novelty,
    "late-and-duplicated": _late_and_duplicated,
    "few-heavy-users": _few_heavy_users,
    "uneven-split": _uneven_split,
}
"""What makes each world, by name."""
