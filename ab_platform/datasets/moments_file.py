"""A file of cumulative moments look by look, CSV or Parquet, as the ASOS Digital Experiments Dataset lays them out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

from ab_platform.errors import DataError, nearest
from ab_platform.statistics.lift import Estimate

NAMES = ("experiment_id", "variant_id", "metric_id")
"""Columns that say which comparison a row is of."""

TIME = "time_since_start"

COUNTS, MEANS, VARIANCES = ("count_c", "count_t"), ("mean_c", "mean_t"), ("variance_c", "variance_t")
"""Columns of what is known of the users so far, control first."""


@dataclass(frozen=True)
class PublishedLook:
    """What was known at one look.

    Attributes:
        days: since the start.
        users_control: so far.
        users_treatment: so far.
        control: None where a number of it is missing.
        treatment: None where a number of it is missing.
        missing: the columns that hold no number.
    """

    days: float
    users_control: int
    users_treatment: int
    control: Estimate | None
    treatment: Estimate | None
    missing: tuple[str, ...] = ()

    @property
    def users(self) -> int:
        """Return the users of both arms."""
        return self.users_control + self.users_treatment


@dataclass(frozen=True)
class PublishedSeries:
    """The looks at one treatment of one experiment by one metric, in order of time."""

    experiment: str
    variant: str
    metric: str
    looks: tuple[PublishedLook, ...]


class _Row(NamedTuple):
    metric: str
    experiment: str
    variant: str
    look: PublishedLook


def read(path: Path) -> tuple[PublishedSeries, ...]:
    """Read a file of moments, sorted by metric, experiment and variant.

    A missing mean or variance leaves a look without numbers; the rows may come in any order.

    Args:
        path: with the columns `NAMES`, `TIME` (days), `COUNTS` (users so far), `MEANS` and `VARIANCES` (of one user).

    Raises:
        DataError: not such a file, a column is missing, or a row whose numbers no users could have.
    """
    rows = sorted(_rows(_table(path), path.name), key=_place)
    if not rows:
        raise DataError(f"{path.name} has no rows; it must have one a look: write it again")
    series = []
    for (metric, experiment, variant), group in groupby(rows, key=lambda row: row[:3]):
        looks = tuple(row.look for row in group)
        twice = [look.days for look, following in pairwise(looks) if look.days == following.days]
        if twice:
            raise DataError(
                f"{path.name}: experiment {experiment}, variant {variant}, metric {metric} has two rows at {TIME} "
                f"{twice[0]:g}; a look must be one row: leave one out"
            )
        series.append(PublishedSeries(experiment, variant, metric, looks))
    return tuple(series)


def _table(path: Path) -> pa.Table:
    columns = [*NAMES, TIME, *COUNTS, *MEANS, *VARIANCES]
    if not path.is_file():
        raise DataError(f"'{path}' is no file; give a CSV or Parquet file of moments")
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            table = pq.read_table(path)
        else:
            texts = csv.ConvertOptions(column_types=dict.fromkeys(NAMES, pa.string()))
            table = csv.read_csv(path, convert_options=texts)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} cannot be read ({error}); give a CSV or Parquet file of moments") from error
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise DataError(
            f"{path.name} has no column {', '.join(missing)}; {nearest(missing[0], table.column_names)} "
            f"It must have {', '.join(columns)}: rename its columns"
        )
    return table.select(columns)


def _rows(table: pa.Table, file: str) -> Iterator[_Row]:
    experiments, variants, metrics = (pc.cast(table[name], pa.string()).to_pylist() for name in NAMES)
    numbers = [_numbers(table, name, file) for name in (TIME, *COUNTS, *MEANS, *VARIANCES)]
    for number, (experiment, variant, metric, *row) in enumerate(
        zip(experiments, variants, metrics, *numbers, strict=True), start=1
    ):
        place = f"{file}, row {number}"
        if None in (experiment, variant, metric):
            raise DataError(f"{place}: {', '.join(NAMES)} must all be there, and one is empty; fill it in")
        yield _Row(str(metric), str(experiment), str(variant), _look(row, place))


def _numbers(table: pa.Table, name: str, file: str) -> list[float | None]:
    try:
        numbers = pc.cast(table[name], pa.float64()).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"{file}: column '{name}' holds {table[name].type}; it must hold numbers ({error})") from error
    return [None if value is None or math.isnan(value) else value for value in numbers]


def _look(row: Sequence[float | None], place: str) -> PublishedLook:
    days, count_c, count_t, mean_c, mean_t, variance_c, variance_t = row
    if days is None or not 0.0 <= days < math.inf:
        raise DataError(f"{place}: {TIME} is {_shown(days)}; it must be days since the start, at least 0")
    users_c, users_t = (
        _users(count, f"{place}: {name}") for name, count in zip(COUNTS, (count_c, count_t), strict=True)
    )
    for name, variance in zip(VARIANCES, (variance_c, variance_t), strict=True):
        if variance is not None and not 0.0 <= variance < math.inf:
            raise DataError(f"{place}: {name} is {variance:g}; a variance must be at least 0: mend it or leave it out")
    for name, mean in zip(MEANS, (mean_c, mean_t), strict=True):
        if mean is not None and math.isinf(mean):
            raise DataError(f"{place}: {name} is {mean:g}; it must be finite: mend it or leave it out")
    named = zip((*MEANS, *VARIANCES), (mean_c, mean_t, variance_c, variance_t), strict=True)
    return PublishedLook(
        days,
        users_c,
        users_t,
        _estimate(users_c, mean_c, variance_c),
        _estimate(users_t, mean_t, variance_t),
        tuple(name for name, value in named if value is None),
    )


def _users(count: float | None, place: str) -> int:
    if count is None or not 0.0 <= count < math.inf or count != int(count):
        raise DataError(f"{place} is {_shown(count)}; it must be a whole number of users, at least 0")
    return int(count)


def _estimate(users: int, mean: float | None, variance: float | None) -> Estimate | None:
    """Return the mean with the variance of a mean; None where a number is missing."""
    if mean is None or variance is None:
        return None
    if users == 0:
        return Estimate(None, None, 0)
    return Estimate(mean, variance / users if users >= 2 else None, users)


def _shown(number: float | None) -> str:
    return "empty" if number is None else f"{number:g}"


def _place(row: _Row) -> tuple[tuple[int, int | str], str, tuple[int, int | str], float]:
    return _natural(row.metric), row.experiment, _natural(row.variant), row.look.days


def _natural(name: str) -> tuple[int, int | str]:
    """Sort whole numbers by their size, before other names."""
    return (0, int(name)) if name.isdecimal() else (1, name)
