"""GrowthBook's way: one query of a fact table to sums a variation, then its statistics, `gbstats`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

from ab_platform.events import SURFACES
from ab_platform.settings import from_environment
from benchmarks.analysis import files
from benchmarks.analysis.answers import Ask, Contender, Row
from benchmarks.analysis.world import ARMS, END, LAST_DAY, START, Data, keys

NAME = "growthbook"
LOOK_BACK = 14
"""Days of the covariate before a user's first exposure: as many as hold the whole week before, whenever it was."""
STATISTICS = Path(__file__).with_name("growthbook_statistics.py")
PACKAGES = Path(__file__).with_name("requirements-gbstats.txt")
VALUES = {
    "play": "sum(watch_seconds)",
    "clicks": "sum(clicks)",
    "views": "sum(impressions)",
    "clicked": "max(CASE WHEN clicks > 0 THEN 1 ELSE 0 END)",
}
PRODUCTS = (
    ("play", "play"),
    ("play", "before_play"),
    ("before_play", "before_play"),
    ("clicks", "clicks"),
    ("clicks", "views"),
    ("views", "views"),
    ("clicked", "before_clicked"),
)


class GrowthBook(Contender):
    """GrowthBook."""

    name = "GrowthBook, DuckDB"
    told = (
        "A query in the manner of its fact-table experiments, written anew: exposures, a unit for each user from the "
        "first one on, metrics and covariates joined to the units and added up by user, then sums, squares and "
        "products by variation; `gbstats` 0.8.0, in an environment of its own, gives lift and interval. It has no "
        "CUPED for ratios, so that clicks per view are not adjusted."
    )

    def absent(self) -> str | None:
        """Say where its statistics are not installed."""
        if environment().exists():
            return None
        return f"gbstats is not installed; its packages could not be installed: {PACKAGES.name}"

    @contextmanager
    def opened(self, data: Data) -> Iterator[Ask]:
        """Open the files and its statistics."""
        with closing(files.connected(data)) as connection, _statistics() as (questions, answers):

            def ask() -> Sequence[Row]:
                files.show(connection, data, data.days)
                found = [(key, surface, sums(connection, key, surface)) for key in keys(data) for surface in SURFACES]
                return [row for key, surface, arms in found for row in _inferred(surface, arms, questions, answers)]

            yield ask


def environment() -> Path:
    """Return the interpreter that has `gbstats`, which wants a numpy below 2."""
    return _environments() / NAME / "bin" / "python"


def install() -> None:
    """Make the environment where it is not there; without a registry there is none, and this side is absent."""
    from benchmarks.arms import environments

    try:
        environments.made(NAME, _environments(), PACKAGES)
    except SystemExit as error:
        print(error, flush=True)


def _environments() -> Path:
    return from_environment().home / "benchmarks" / "environments"


def sums(connection: Any, key: str, surface: str) -> list[dict[str, float]]:
    """Return the sums of each variation, control first."""
    rows = connection.execute(query(key, surface))
    names = [each[0] for each in rows.description]
    found = {row["variation"]: row for row in (dict(zip(names, values, strict=True)) for values in rows.fetchall())}
    return [{name: float(found[arm][name]) for name in names if name != "variation"} for arm in ARMS]


def query(key: str, surface: str) -> str:
    """Write the query of one experiment's sums on one surface."""
    since = (START - timedelta(days=LOOK_BACK)).date()
    totals = ", ".join(f"{value} AS {name}" for name, value in VALUES.items())
    names = [name for prefix in ("", "before_") for name in (f"{prefix}{each}" for each in VALUES)]
    filled = ", ".join(f"coalesce({name}, 0) AS {name}" for name in names)
    before = ", ".join(f"{value} AS before_{name}" for name, value in VALUES.items())
    added = ", ".join(
        [f"sum({name}) AS {name}" for name in names]
        + [f"sum({one}::DOUBLE * {other}) AS {one}_x_{other}" for one, other in PRODUCTS]
    )
    return f"""
        WITH exposure_rows AS (
            SELECT user_id, arm, "at" FROM exposures
            WHERE experiment = '{key}' AND surface = '{surface}' AND "at" >= '{START}' AND "at" < '{END}'
        ), units AS (
            SELECT user_id,
                CASE WHEN count(DISTINCT arm) > 1 THEN '__multiple__' ELSE max(arm) END AS variation,
                min("at")::DATE AS exposed_on
            FROM exposure_rows GROUP BY user_id
        ), facts AS (
            SELECT user_id, day, watch_seconds, clicks, impressions FROM user_days
            WHERE surface = '{surface}' AND day >= '{since}' AND day <= '{LAST_DAY}'
        ), metrics AS (
            SELECT units.user_id, {totals} FROM units JOIN facts ON facts.user_id = units.user_id
            WHERE facts.day >= units.exposed_on GROUP BY units.user_id
        ), covariates AS (
            SELECT units.user_id, {before} FROM units JOIN facts ON facts.user_id = units.user_id
            WHERE facts.day < units.exposed_on AND facts.day >= units.exposed_on - {LOOK_BACK} GROUP BY units.user_id
        ), users AS (
            SELECT units.variation, {filled} FROM units
            LEFT JOIN metrics ON metrics.user_id = units.user_id
            LEFT JOIN covariates ON covariates.user_id = units.user_id
        )
        SELECT variation, count(*) AS users, {added} FROM users GROUP BY variation
    """


@contextmanager
def _statistics() -> Iterator[tuple[IO[str], IO[str]]]:
    """Start its statistics, which answer a line for each line."""
    command = [str(environment()), str(STATISTICS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process.stdin, process.stdout
        finally:
            process.stdin.close()


def _inferred(surface: str, arms: Sequence[dict[str, float]], questions: IO[str], answers: IO[str]) -> Iterator[Row]:
    questions.write(json.dumps(arms) + "\n")
    questions.flush()
    for metric, (lift, low, high, plain) in json.loads(answers.readline()).items():
        yield Row(surface, metric, lift, low, high, plain)


CONTENDER = GrowthBook()
