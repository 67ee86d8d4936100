"""`abp power`: how many users and days an experiment file needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ab_platform.cli.console import AsJson, out, print_json, print_table, say, store
from ab_platform.errors import DataError, ExperimentError

if TYPE_CHECKING:
    from ab_platform.power_plan import PowerPlan, RowPower
    from ab_platform.storage.store import Store

COLUMNS = ("row", "arm", "to show", "needs", "gets", "days", "can show")
PICTURES = (".svg", ".html")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(power)


def power(
    file: Annotated[Path, typer.Argument(help="Experiment file (TOML).")],
    lift: Annotated[float | None, typer.Option(help="To find, as a fraction: 0.03 is +3 %; the file's else.")] = None,
    users: Annotated[int | None, typer.Option(help="By the planned end, all arms; from past arrivals else.")] = None,
    users_per_day: Annotated[float | None, typer.Option(help="New ones a day, all arms, in their place.")] = None,
    variation: Annotated[
        list[str] | None,
        typer.Option(metavar="[ROW=]CV", help="A user's standard deviation over the mean, of all rows or one; repeat."),
    ] = None,
    variance_saved: Annotated[
        float | None, typer.Option(help="Share of the variance that covariates take away; as measured else.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write the curves as a picture: .svg or .html.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say how many users and days an experiment needs, and what lift the users it gets can show.

    How users vary and how fast they come is measured in past experiments on the same data set.

    Example: abp power experiments/pia-vs-multivae.toml --lift 0.03 --plot power.svg
    """
    from ab_platform import planning
    from ab_platform.experiment_file import load

    if plot is not None and plot.suffix not in PICTURES:
        raise ExperimentError(f"--plot {plot} is no picture that can be drawn; name it {' or '.join(PICTURES)}")
    every, by_row = _variations(variation or [])
    given = planning.Given(lift, users, users_per_day, every, by_row, variance_saved)
    experiment = load(file)
    opened = store()
    planned = planning.plan(opened, experiment, _population(opened, experiment.data.dataset), given=given)
    if plot is not None:
        _draw(planned, plot)
    return print_json(planned) if as_json else _print(planned)


def _variations(texts: Sequence[str]) -> tuple[float | None, dict[str, float]]:
    """Return what is given of all rows, and of single ones."""
    every, by_row = None, {}
    for text in texts:
        row, named, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            raise ExperimentError(
                f"--variation {text} is no number; write 1.5, or home_card.play_duration=1.5"
            ) from None
        if named:
            by_row[row] = value
        else:
            every = value
    return every, by_row


def _population(opened: Store, dataset: str) -> int:
    found = opened.dataset(dataset)
    if found is None:
        known = ", ".join(each.dataset for each in opened.datasets()) or "none"
        raise DataError(f"data set '{dataset}' is not ingested (there: {known}); run `abp ingest {dataset}`")
    return found.users


def _draw(planned: PowerPlan, plot: Path) -> None:
    from ab_platform.reporting import power_curve

    draw = power_curve.as_html if plot.suffix == ".html" else power_curve.as_svg
    plot.write_text(draw(planned), encoding="utf-8")
    say(f"wrote {plot}")


def _print(planned: PowerPlan) -> None:
    from ab_platform.reporting import power_curve

    days = "1 day" if planned.days == 1 else f"{planned.days} days"
    users = f"{planned.users_in:,} of {planned.population:,} users are in"
    title = f"{planned.experiment}: {days}, {users}; users needed, and had by its end"
    print_table(title, COLUMNS, [_row(row, days) for row in planned.rows])
    out.print()
    for row in planned.rows:
        if row.detectable is None:
            out.print(f"{row.row}, {row.arm}: {row.reason}.", soft_wrap=True)
    for sentence in planned.told:
        out.print(sentence, soft_wrap=True)
    drawn = next((row for row in planned.rows if row.curve), None)
    if drawn is not None:
        out.print(f"\nusers and the smallest lift they find: {drawn.row}, {drawn.arm}", soft_wrap=True)
        out.print(power_curve.as_bars(drawn), soft_wrap=True)
    say(f"\nnext: {planned.advice}")


def _row(row: RowPower, days: str) -> list[object]:
    what = "margin" if row.role == "guardrail" else "lift"
    asked = None if row.asked is None else f"{what} {100.0 * row.asked:+.3g} %"
    shown = None if row.detectable is None else f"{100.0 * row.detectable:.2f} %"
    return [row.row, row.arm, asked, row.users_needed, row.users, _days(row, days), shown]


def _days(row: RowPower, planned: str) -> str | None:
    if row.users_needed is None:
        return None
    if row.enough:
        return f"within the {planned}"
    return "never so many" if row.days_needed is None else f"needs {row.days_needed} days"
