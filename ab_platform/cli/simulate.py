"""`abp simulate`: a world whose lifts are known, through the path that real events take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ab_platform.cli.console import (
    AsJson,
    bar,
    choice,
    now,
    out,
    print_json,
    print_table,
    say,
    settings,
    store,
    user_reads,
)

if TYPE_CHECKING:
    from ab_platform.results import Readout
    from ab_platform.simulation import Plan, World
    from ab_platform.simulation.plan import Archived

MONITORING = ("fixed", "sequential", "group_sequential")

LISTED_DAYS = 7


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(simulate)


def simulate(
    world: Annotated[str | None, typer.Argument(metavar="WORLD", help="Which; `--list` lists them.")] = None,
    users: Annotated[int, typer.Option(help="Users in all arms.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
    days: Annotated[int, typer.Option(help="Length of the experiment.")] = 7,
    monitoring: Annotated[str, typer.Option(help="fixed, sequential or group_sequential.")] = "fixed",
    covariates: Annotated[
        str, typer.Option(help="What variance is taken out with, by commas; '' for none.")
    ] = "before",
    segments: Annotated[
        str | None, typer.Option(help="What the table is divided by, such as device,interactions.")
    ] = None,
    before: Annotated[bool, typer.Option(help="First a week in which both arms are the control.")] = True,
    key: Annotated[str, typer.Option(help="Key of the experiment; simulate-WORLD by default.")] = "",
    archive: Annotated[
        bool, typer.Option("--archive", help="Straight into the archive, past the database: for millions of users.")
    ] = False,
    with_events: Annotated[
        bool, typer.Option("--events/--no-events", help="With --archive: the events too, not only what they count to.")
    ] = True,
    processes: Annotated[int | None, typer.Option(help="With --archive: at once; one a core by default.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the worlds and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Simulate a world whose true lifts are known, and see whether the table finds them.

    Users are assigned, their events recorded, rolled up and analyzed as real ones are. A second run with the same
    settings changes nothing.

    With --archive the rows go straight into the archive's files, on all cores: 25 million users in minutes
    on two. One that was cut short goes on where it stopped when the same is run again.

    Example: abp simulate table2 --users 5000

    Example: abp simulate table2 --users 25_000_000 --archive
    """
    from ab_platform import simulation

    if listed or world is None:
        return _list(as_json)
    plan = simulation.Plan(
        world=world,
        users=users,
        seed=seed,
        days=days,
        monitoring=choice(monitoring, MONITORING, "--monitoring"),
        covariates=_names(covariates),
        segments=None if segments is None else _names(segments),
        before=before,
        key=key,
        archived=_archived(archive, with_events),
    )
    if archive:
        return _simulate_into_archive(plan, processes, as_json)
    opened = store(migrate=True)
    reads = user_reads(opened)
    with bar("simulate visits") as advance:
        done = simulation.simulate(opened, plan, at=now(), progress=advance, reads=reads)
    say(f"{done.events_stored:,} new events")
    return _print(plan.made, plan.settings(), done.readout, as_json)


def _archived(archive: bool, with_events: bool) -> Archived | None:
    if not archive:
        return None
    return "events" if with_events else "user_days"


def _simulate_into_archive(plan: Plan, processes: int | None, as_json: bool) -> None:
    from ab_platform.simulation.archived import simulate_into
    from ab_platform.storage.archive import TABLES, Archive

    folder = settings().archive
    with bar("simulate users") as advance:
        done = simulate_into(
            Archive(folder), store(migrate=True), plan, at=now(), processes=processes, progress=advance
        )
    rows = {table: done.rows(table) for table in TABLES}
    if as_json:
        days = [day.day for day in done.days]
        return print_json(plan.settings() | {"days": days, "made": done.made, "rows": rows, "size": done.size})
    say(f"{done.made:,} users simulated into {folder}, {len(done.days)} days, {done.size / 1e9:.2f} GB")
    print_table(None, ["table", "rows"], [[table, count] for table, count in rows.items()])
    return say(f"\nnext: ABP_WAREHOUSE=duckdb abp analyze {plan.key}")


def _list(as_json: bool) -> None:
    from ab_platform.simulation import WORLDS

    worlds = [make(LISTED_DAYS) for make in WORLDS.values()]
    if as_json:
        return print_json([{"world": each.name, "told": each.told} for each in worlds])
    print_table(None, ["world", "why"], [[each.name, each.told] for each in worlds])
    return say("\nnext: abp simulate table2")


def _print(world: World, settings: dict[str, object], readout: Readout, as_json: bool) -> None:
    from ab_platform import reporting

    alarmed = [row.scope for row in readout.sample_ratios if row.alarm]
    if as_json:
        inside, known = _coverage(readout)
        return print_json(
            settings
            | {
                "told": world.told,
                "intervals": known,
                "inside": inside,
                "alarms": alarmed,
                "alarm_expected": world.alarms,
                "readout": reporting.as_json(readout),
            }
        )
    out.print(world.told)
    out.print()
    typer.echo(reporting.as_text(readout))
    out.print(_split(world, alarmed))
    return say(f"\nnext: abp dashboard | abp report {readout.experiment} --format html -o report.html | abp status")


def _coverage(readout: Readout) -> tuple[int, int]:
    """Count intervals that hold the true lift, and those of whose lift the truth is known."""
    from ab_platform.reporting.verdict import coverage

    found = [coverage(row, truth) for row in readout.lifts if (truth := readout.truth(row)) is not None]
    return found.count("inside"), len(found) - found.count("unknown")


def _split(world: World, alarmed: list[str]) -> str:
    where = f"The split check alarms on {', '.join(alarmed)}" if alarmed else "The split check does not alarm"
    match (bool(alarmed), world.alarms):
        case (True, True):
            return f"{where}: that is the right answer in this world, and the lifts must not be read."
        case (False, True):
            return f"{where}, though it should in this world: with more users it will."
        case (True, False):
            return (
                f"{where}, though nothing is wrong in this world: chance alone does that in a few of a thousand seeds."
            )
        case _:
            return f"{where}, and nothing is wrong in this world."


def _names(listed: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in listed.split(",") if name.strip())
