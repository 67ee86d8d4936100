"""`abp looks`: what looking early would have said, on moments that someone published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ab_platform.cli.console import AsJson, out, print_json, print_table

if TYPE_CHECKING:
    from ab_platform.published import Comparison, MetricTally, Published, Verdict

TALLIES = (
    "metric",
    "comparisons",
    "fixed:\nlast look",
    "\nsome look",
    "\nof those gone",
    "sequential:\nlast look",
    "\nsome look",
    "\nof those gone",
    "\ndays later",
)
ROWS = (
    "experiment",
    "variant",
    "metric",
    "looks",
    "days",
    "users",
    "lift",
    "fixed:\nlast look",
    "\nfirst day",
    "sequential:\nlast look",
    "\nfirst day",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(looks)


def looks(
    file: Annotated[Path, typer.Argument(help="Cumulative moments, a row a look: CSV or Parquet.")],
    users: Annotated[int | None, typer.Option(help="Planned, both arms; those of the last look else.")] = None,
    alpha: Annotated[float, typer.Option(help="Two-sided error rate.")] = 0.05,
    rows: Annotated[bool, typer.Option("--rows", help="Every comparison too; in JSON, every look.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what peeking with a fixed test finds in published moments, and what a confidence sequence finds.

    Columns: experiment_id, variant_id, metric_id: names.
    time_since_start: days.
    count_c, count_t: users so far, of the control and of the treatment.
    mean_c, mean_t, variance_c, variance_t: of one user, over the users so far.
    Rows may come in any order; a look with an empty mean or variance has no verdict.

    A fixed test may be looked at once, a confidence sequence at any time.
    Significant at some look and not at the last: a win that peeking would have sold.

    Example: abp looks asos_digital_experiments_dataset.parquet --rows
    """
    from ab_platform.published import judge

    found = judge(file, alpha=alpha, users=users)
    if as_json:
        return print_json(found if rows else _without_looks(found))
    return _print(found, rows=rows)


def _without_looks(found: Published) -> Published:
    from dataclasses import replace

    return replace(found, comparisons=tuple(replace(each, looks=()) for each in found.comparisons))


def _print(found: Published, *, rows: bool) -> None:
    if rows:
        print_table(None, ROWS, [_row(each) for each in found.comparisons])
        out.print()
    print_table(
        f"significant at {found.alpha:g}, of the comparisons of each metric", TALLIES, list(map(_tally, found.metrics))
    )
    out.print()
    for sentence in (*map(_beside, found.metrics), *found.told):
        out.print(sentence, soft_wrap=True)


def _beside(each: MetricTally) -> str:
    """Say of a metric what has no column."""
    told = [f"days later: the mean of {each.both} found by both"] if each.both else []
    if each.moved:
        told.append(
            f"in {each.moved} the sequence's intervals have nothing in common: the effect was not the same throughout"
        )
    if each.without_numbers:
        told.append(f"{each.without_numbers} further comparisons have no number at any look")
    return f"Metric {each.metric}: {'; '.join(told) or 'no verdict differs'}."


def _tally(each: MetricTally) -> list[object]:
    fixed, sequential = each.fixed, each.sequential
    counts = (fixed.last, fixed.some, fixed.gone, sequential.last, sequential.some, sequential.gone)
    return [each.metric, each.comparisons, *counts, None if each.days_later is None else round(each.days_later, 1)]


def _row(each: Comparison) -> list[object]:
    last = each.looks[-1]
    lift = None if last.lift is None else f"{last.lift:+.2%}"
    named = [each.experiment, each.variant, each.metric, len(each.looks), f"{last.days:g}", last.users, lift]
    return [*named, *_shown(each.fixed), *_shown(each.sequential)]


def _shown(verdict: Verdict | None) -> tuple[str | None, str | None]:
    if verdict is None:
        return None, None
    p_value = "p < 0.0001" if verdict.p_value < 1e-4 else f"p = {verdict.p_value:.4f}"
    first = None if verdict.first_days is None else f"{verdict.first_days:g}{', gone' if verdict.gone else ''}"
    return f"{p_value}{' *' if verdict.significant else ''}", first
