"""tea-tasting over an Ibis table on DuckDB, a row a user by a group of the archive's rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import ibis
import tea_tasting as tt  # type: ignore[import-untyped]
from ibis import _

from ab_platform.events import SURFACES
from benchmarks.analysis import files
from benchmarks.analysis.answers import Ask, Contender, Row
from benchmarks.analysis.world import ARMS, END, Data, keys

SUMMED = ("impressions", "clicks", "watch_seconds")
PLAIN = "_plain"
METRICS = {
    "play_duration": tt.Mean("watch_seconds", "before_watch_seconds"),
    "click_rate_per_view": tt.RatioOfMeans("clicks", "impressions", "before_clicks", "before_impressions"),
    "click_rate_per_user": tt.Mean("clicked", "before_clicked"),
}
WITHOUT = {
    f"play_duration{PLAIN}": tt.Mean("watch_seconds"),
    f"click_rate_per_view{PLAIN}": tt.RatioOfMeans("clicks", "impressions"),
    f"click_rate_per_user{PLAIN}": tt.Mean("clicked"),
}
"""Of the same columns, so that they cost nothing more."""
TEA = tt.Experiment({**METRICS, **WITHOUT}, variant="arm")


class TeaTasting(Contender):
    """tea-tasting."""

    name = f"tea-tasting {tt.__version__}, DuckDB"
    told = (
        "Its `Mean` and `RatioOfMeans` with a covariate, over an Ibis table on DuckDB that groups the same files by "
        "user; a surface at a time, since its table has a row a user."
    )

    @contextmanager
    def opened(self, data: Data) -> Iterator[Ask]:
        """Open the files."""
        with closing(files.connected(data)) as connection:
            backend = ibis.duckdb.from_connection(connection)

            def ask() -> Sequence[Row]:
                files.show(connection, data, data.days)
                return [row for key in keys(data) for surface in SURFACES for row in _rows(backend, key, surface)]

            yield ask


def _rows(backend: Any, key: str, surface: str) -> Iterator[Row]:
    found = TEA.analyze(users(backend, key, surface), control=ARMS[0])
    for metric in METRICS:
        each = found[metric]
        low, high = float(each.rel_effect_size_ci_lower), float(each.rel_effect_size_ci_upper)
        plain = float(found[f"{metric}{PLAIN}"].rel_effect_size)
        yield Row(surface, metric, float(each.rel_effect_size), low, high, plain)


def users(backend: Any, key: str, surface: str) -> Any:
    """Select a row a user of the surface: arm, totals of the week and of the week before."""
    exposed = backend.table("exposures").filter(_.experiment == key, _.surface == surface, _.at < ibis.literal(END))
    days = backend.table("user_days").filter(_.surface == surface)
    during = days.filter(_.experiment == key).group_by("user_id").agg(**{each: _[each].sum() for each in SUMMED})
    earlier = days.filter(_.experiment == f"{key}-before").group_by("user_id")
    before = earlier.agg(**{f"before_{each}": _[each].sum() for each in SUMMED})
    joined = exposed.left_join(during, "user_id").drop("user_id_right").left_join(before, "user_id")
    names = [f"{prefix}{each}" for prefix in ("", "before_") for each in SUMMED]
    totals = joined.select("arm", **{name: joined[name].fill_null(0) for name in names})
    return totals.mutate(clicked=(_.clicks > 0).ifelse(1, 0), before_clicked=(_.before_clicks > 0).ifelse(1, 0))


CONTENDER = TeaTasting()
