"""What is measured: Metric and the catalogue, the six rows of Table 2 first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from pydantic import ConfigDict

from ab_platform.errors import ExperimentError, nearest
from ab_platform.events import SURFACES, Surface

Measure = Literal[
    "impressions",
    "slates",
    "visits",
    "clicks",
    "clicked_slates",
    "titles_watched",
    "watch_seconds",
    "first_click_seconds",
    "reciprocal_ranks",
    "fallback_slates",
    "timed_slates",
    "latency_ms",
]
"""What a user-day counts; a user's total over days is their sum."""

MEASURES: tuple[Measure, ...] = get_args(Measure)

STEPS: dict[Measure, int] = {
    "watch_seconds": 1_000,
    "first_click_seconds": 1_000,
    "reciprocal_ranks": 1_000_000,
    "latency_ms": 1_000,
}
"""Steps per unit of the measures that are not counts: they are added up as whole steps, alike on every engine."""

Column = str
"""A per-user column: a measure's total, `clicked` (1 for a user with any click), `returned_N` (1 for a user who was
served on the Nth day after the exposure's), or `due_N` (1 for a user whose Nth day is over)."""

RETENTION = re.compile(r"(returned|due)_([1-9]\d?)")

Role = Literal["primary", "secondary", "guardrail"]
Unit = Literal["seconds", "milliseconds", "fraction", "count"]
Statistic = Literal["mean", "winsorised", "quantile", "coverage"]


@dataclass(frozen=True)
class Metric:
    """A statistic of per-user columns on one surface.

    Attributes:
        name: the word used from the experiment file to the dashboard.
        label: how the table prints it.
        numerator: per-user column above the line.
        denominator: per-user column below it, or None for the constant 1, one per user exposed on the surface.
        unit: what the value is measured in; a fraction is printed as a percentage.
        increase_is_good: which direction is better.
        statistic: the ratio of the two means; or of the numerator alone, its mean with the largest values capped
            (`winsorised`), or its quantile; or the share of the catalogue that a group of users was shown (`coverage`).
        level: the quantile, or the share of users below the cap, in (0, 1); None for a mean.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    label: str
    numerator: Column
    denominator: Column | None = None
    unit: Unit = "count"
    increase_is_good: bool = True
    statistic: Statistic = "mean"
    level: float | None = None

    def __post_init__(self) -> None:
        """Check the rules.

        Raises:
            ExperimentError: naming the key, the value found and what is required.
        """
        if self.statistic == "coverage":
            self._require_titles()
            return
        for key, column in (("numerator", self.numerator), ("denominator", self.denominator)):
            if column is not None:
                _require_column(self.name, key, column)
        if self.statistic == "mean" and self.level is not None:
            raise ExperimentError(f"level is {self.level}; a mean takes none", ("metrics", self.name, "level"))
        if self.statistic != "mean":
            self._require_level()

    def _require_titles(self) -> None:
        found = (self.numerator, self.denominator, self.level)
        if found != ("titles_shown", None, None):
            raise ExperimentError(
                f"numerator, denominator and level are {found}; coverage is of 'titles_shown' alone",
                ("metrics", self.name, "numerator"),
            )

    def _require_level(self) -> None:
        if self.denominator is not None:
            raise ExperimentError(
                f"denominator is {self.denominator}; a {self.statistic} metric is of one column: leave it out",
                ("metrics", self.name, "denominator"),
            )
        if self.level is None or not 0.0 < self.level < 1.0:
            raise ExperimentError(
                f"level is {self.level}; a {self.statistic} metric needs one between 0 and 1, such as 0.99",
                ("metrics", self.name, "level"),
            )

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the per-user columns that it is made of."""
        return (self.numerator,) if self.denominator is None else (self.numerator, self.denominator)


def _require_column(name: str, key: str, column: Column) -> None:
    if column not in MEASURES and column != "clicked" and RETENTION.fullmatch(column) is None:
        known = (*MEASURES, "clicked", "returned_7", "due_7")
        raise ExperimentError(
            f"{key} is '{column}', which is not counted; {nearest(column, known)}", ("metrics", name, key)
        )


TABLE_2: tuple[Metric, ...] = (
    Metric("play_duration", "Play duration per user (s)", "watch_seconds", unit="seconds"),
    Metric("click_rate_per_view", "Click-through rate (% of views)", "clicks", "impressions", "fraction"),
    Metric("click_rate_per_user", "Click-through rate (% of users who viewed)", "clicked", unit="fraction"),
)
"""The rows of the paper's Table 2, on each surface."""


def _retention(day: int) -> Metric:
    label = f"Retention on day {day} (% of users)"
    return Metric(f"retention_day_{day}", label, f"returned_{day}", f"due_{day}", "fraction")


CATALOGUE: tuple[Metric, ...] = (
    *TABLE_2,
    Metric(
        "play_duration_winsorised",
        "Play duration per user, winsorised (s)",
        "watch_seconds",
        unit="seconds",
        statistic="winsorised",
        level=0.99,
    ),
    Metric(
        "play_duration_median",
        "Play duration, median user (s)",
        "watch_seconds",
        unit="seconds",
        statistic="quantile",
        level=0.5,
    ),
    Metric(
        "play_duration_p90",
        "Play duration, 90th percentile user (s)",
        "watch_seconds",
        unit="seconds",
        statistic="quantile",
        level=0.9,
    ),
    Metric("visits", "Visits per user", "visits"),
    Metric("slates", "Slates per user", "slates"),
    Metric("titles_watched", "Titles watched per user", "titles_watched"),
    *(_retention(day) for day in (1, 2, 3, 7, 14, 28)),
    Metric("mean_reciprocal_rank", "Reciprocal rank of the clicked title", "reciprocal_ranks", "clicks"),
    Metric(
        "time_to_first_click",
        "Time to the first click in a slate (s)",
        "first_click_seconds",
        "clicked_slates",
        "seconds",
        increase_is_good=False,
    ),
    Metric(
        "fallback_rate",
        "Slates served by the fallback (%)",
        "fallback_slates",
        "slates",
        "fraction",
        increase_is_good=False,
    ),
    Metric(
        "catalogue_coverage",
        "Catalogue shown to a group of users (%)",
        "titles_shown",
        unit="fraction",
        statistic="coverage",
    ),
    Metric("latency", "Latency of a slate (ms)", "latency_ms", "timed_slates", "milliseconds", increase_is_good=False),
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


def metric(name: str, own: Sequence[Metric] = ()) -> Metric:
    """Look up a metric by its name.

    Args:
        name: of the metric.
        own: the experiment's own metrics, looked at first.

    Raises:
        ExperimentError: for a name that is neither there nor in the catalogue, with the nearest one.
    """
    known = (*own, *CATALOGUE)
    for each in known:
        if each.name == name:
            return each
    raise ExperimentError(f"metric '{name}' is not in the catalogue; {nearest(name, (m.name for m in known))}")


@dataclass(frozen=True)
class Row:
    """A metric on a surface, and what it is there for.

    Attributes:
        surface: where.
        metric: what.
        role: primary rows decide, guardrails must not get worse than their margin, secondary ones inform.
        margin: of a guardrail: the relative change for the worse that is tolerated, as a fraction.
    """

    surface: Surface
    metric: Metric
    role: Role = "secondary"
    margin: float | None = None

    @property
    def name(self) -> str:
        """Return the row as experiment files write it: `surface.metric`."""
        return f"{self.surface}.{self.metric.name}"

    @property
    def null(self) -> float:
        """Return the lift that the row's p-value tests: 0, or a guardrail's margin on its worse side."""
        if self.margin is None:
            return 0.0
        return -self.margin if self.metric.increase_is_good else self.margin


def table_2_rows(surfaces: tuple[Surface, ...] = SURFACES) -> tuple[tuple[Surface, Metric], ...]:
    """List the rows of Table 2: surface first."""
    return tuple((surface, each) for surface in surfaces for each in TABLE_2)
