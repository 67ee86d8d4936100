"""What users do on one surface under one arm, and the figures of Table 2 that this gives, in closed form.

A user who comes at all comes on V of the days, evenly chosen, V - 1 binomial over the further days, and is shown one
slate each time. A share of the users, the clickers, clicks each title shown with a rate of the user's own, from a beta
distribution; the others never click, so the clicks of a user come together. A click is followed by a watch: a mean,
times a scale of the user's own and a spread, both of mean 1. Visits, rate, scale and spread are independent, so that

    clicks per impression       clickers . E[rate]
    users who clicked           clickers . (1 - E[(1 - rate)^(titles . V)])
    seconds per user            titles . clickers . E[rate] . sum over ages of E[visits] . E[watch]

with E[(1 - rate)^n] = B(a, b + n) / B(a, b) of a beta distribution (Johnson, Kotz and Balakrishnan, "Continuous
univariate distributions" 2, 1995, chapter 25).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Vector = NDArray[np.float64]

SLATE_SIZE = 2
RETURN = 0.25
"""Chance to come on each day but one."""

FADING = 0.6
"""Share of a novelty that is left a day later."""


@dataclass(frozen=True)
class Behaviour:
    """What users do on one surface under one arm.

    Attributes:
        clickers: share of users who ever click.
        click_rate: mean over the clickers of their clicks per title shown.
        concentration: a + b of the beta distribution of that rate; the lower, the more clickers differ.
        watch_seconds: mean watch after a click, once nothing is new.
        novelty: share by which a watch is longer on the day of the exposure; a day later `FADING` of it is left.
    """

    clickers: float
    click_rate: float
    concentration: float
    watch_seconds: float
    novelty: float = 0.0

    @property
    def beta(self) -> tuple[float, float]:
        """Return a and b of the beta distribution."""
        return self.click_rate * self.concentration, (1.0 - self.click_rate) * self.concentration

    def watch_by_age(self, days: int) -> Vector:
        """Return the mean watch in seconds on each day since the exposure, (days,)."""
        mean: Vector = self.watch_seconds * (1.0 + self.novelty * FADING ** np.arange(days, dtype=np.float64))
        return mean


@dataclass(frozen=True)
class Figures:
    """What metrics are of a whole population; the attributes are named as the metrics are."""

    play_duration: float
    click_rate_per_view: float
    click_rate_per_user: float
    visits: float


def figures(behaviour: Behaviour, *, days: int) -> Figures:
    """Work out the figures of all users who come to the surface within the days."""
    by_age = visits_by_age(days)
    per_view = behaviour.clickers * behaviour.click_rate
    return Figures(
        play_duration=float(SLATE_SIZE * per_view * (by_age @ behaviour.watch_by_age(days))),
        click_rate_per_view=per_view,
        click_rate_per_user=behaviour.clickers * _clicked(*behaviour.beta, days),
        visits=float(by_age.sum()),
    )


def fitted(per_view: float, per_user: float, play_duration: float, *, days: int, concentration: float) -> Behaviour:
    """Find the behaviour that has three figures.

    Clicked users over clicks, among clickers, falls with their mean rate from the titles that a user is shown down to
    1, so one rate has the wanted ratio; the share of clickers and the watch follow.

    Args:
        per_view: clicks per impression.
        per_user: share of users who clicked.
        play_duration: seconds per user.
        days: that users come on.
        concentration: of the clickers' rates.

    Raises:
        ValueError: for two click rates that no behaviour has.
    """
    shown = SLATE_SIZE * float(visits_by_age(days).sum())
    wanted = per_user / per_view

    def beyond(rate: float) -> float:
        return _clicked(rate * concentration, (1.0 - rate) * concentration, days) / rate - wanted

    least, most = 1e-9, 1.0 - 1e-12
    if not beyond(most) < 0.0 < beyond(least):
        raise ValueError(f"{per_user} of users over {per_view} of views is {wanted:.4g}; it must be in (1, {shown:g})")
    rate = float(optimize.brentq(beyond, least, most, xtol=1e-15, rtol=1e-15))
    return Behaviour(per_view / rate, rate, concentration, play_duration / (shown * per_view))


def visit_chances(days: int) -> Vector:
    """Return the chance that a user who comes does so on 1, 2, ... of the days, (days,)."""
    further = np.arange(days)
    return np.array([math.comb(days - 1, each) for each in further]) * (
        RETURN**further * (1.0 - RETURN) ** (days - 1 - further)
    )


def visits_by_age(days: int) -> Vector:
    """Return the expected visits on each day since the first one, (days,); the first is 1.

    Of the C(n, v) sets of v days, C(n - 1, v - 1) - C(d - 1, v - 1) hold both their first day and the d-th after it.
    """
    expected = np.zeros(days)
    expected[0] = 1.0
    for visits, chance in enumerate(visit_chances(days), start=1):
        every = math.comb(days, visits)
        for age in range(1, days):
            sets = math.comb(days - 1, visits - 1) - math.comb(age - 1, visits - 1) if visits > 1 else 0
            expected[age] += chance * (sets / every)
    return expected


def _clicked(a: float, b: float, days: int) -> float:
    """Return the share of clickers who clicked at least once."""
    shown = SLATE_SIZE * np.arange(1, days + 1)
    never = np.exp(special.betaln(a, b + shown) - special.betaln(a, b))
    return float(visit_chances(days) @ (1.0 - never))
