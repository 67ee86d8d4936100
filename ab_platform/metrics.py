"""What is measured: Metric and the catalogue, the six rows of Table 2 first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ab_platform.errors import ExperimentError, nearest
from ab_platform.events import SURFACES, Surface

Column = Literal["impressions", "clicks", "clicked", "watch_seconds"]
"""A per-user total over the user-days that count; `clicked` is 1 for a user with any click, else 0."""

COLUMNS: tuple[Column, ...] = ("impressions", "clicks", "clicked", "watch_seconds")

Role = Literal["primary", "secondary", "guardrail"]
Unit = Literal["seconds", "fraction"]


@dataclass(frozen=True)
class Metric:
    """A ratio of two per-user means on one surface; no denominator means the constant 1, one per exposed user.

    Attributes:
        name: the word used from the experiment file to the dashboard.
        label: how Table 2 prints it.
        numerator: per-user column summed above the line.
        denominator: per-user column summed below it, or None for users exposed on the surface.
        unit: what the value is measured in; a fraction is printed as a percentage.
        increase_is_good: which direction is better.
    """

    name: str
    label: str
    numerator: Column
    denominator: Column | None
    unit: Unit
    increase_is_good: bool = True


CATALOGUE: tuple[Metric, ...] = (
    Metric("play_duration", "Play duration per user (s)", "watch_seconds", None, "seconds"),
    Metric("click_rate_per_view", "Click-through rate (% of views)", "clicks", "impressions", "fraction"),
    Metric("click_rate_per_user", "Click-through rate (% of users who viewed)", "clicked", None, "fraction"),
)

SURFACE_LABELS: dict[Surface, str] = {"home_card": "Home Card", "movie_card": "Movie Card"}


@dataclass(frozen=True)
class PublishedRow:
    """One row of the paper's Table 2 (arXiv 2511.06781), for print beside one's own.

    Its control was a statistical baseline, not Multi-VAE.
    """

    surface: Surface
    metric: str
    control: float
    treatment: float
    lift: float


PUBLISHED_TABLE_2: tuple[PublishedRow, ...] = (
    PublishedRow("home_card", "play_duration", 27.7, 74.6, 1.69),
    PublishedRow("home_card", "click_rate_per_view", 0.044, 0.095, 1.17),
    PublishedRow("home_card", "click_rate_per_user", 0.053, 0.120, 1.23),
    PublishedRow("movie_card", "play_duration", 16.8, 102.6, 5.09),
    PublishedRow("movie_card", "click_rate_per_view", 0.034, 0.125, 2.67),
    PublishedRow("movie_card", "click_rate_per_user", 0.042, 0.162, 2.83),
)


def metric(name: str) -> Metric:
    """Look up a metric by its name.

    Raises:
        ExperimentError: for a name the catalogue does not have, with the nearest one.
    """
    for each in CATALOGUE:
        if each.name == name:
            return each
    raise ExperimentError(f"metric '{name}' is not in the catalogue; {nearest(name, (m.name for m in CATALOGUE))}")


def column_index(column: Column) -> int:
    """Return where a column stands in the per-user moments."""
    return COLUMNS.index(column)


def rows(surfaces: tuple[Surface, ...] = SURFACES) -> tuple[tuple[Surface, Metric], ...]:
    """List the rows of the table: every metric on every surface, surface first."""
    return tuple((surface, each) for surface in surfaces for each in CATALOGUE)
