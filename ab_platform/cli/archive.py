"""`abp archive`."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from ab_platform.cli.console import AsJson, bar, now, print_json, print_table, say, settings, store

if TYPE_CHECKING:
    from ab_platform.archiving import Damaged, DayDone
    from ab_platform.storage.archive import Archive

Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only this day, in UTC.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(archive)


def archive(
    day: Day = None,
    again: Annotated[bool, typer.Option("--again", help="Also days that did not change.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Check every file, and make damaged days again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the days whose rows changed into the archive, as Parquet files for engines that scan many users.

    Example: abp archive

    Example: abp archive --verify
    """
    from ab_platform.storage.archive import Archive

    if verify and (day is not None or again):
        raise typer.BadParameter("it checks all days; leave --day and --again out", param_hint="--verify")
    into = Archive(settings().archive)
    if verify:
        return _verify(into, as_json=as_json)
    return _archive(into, None if day is None else day.date(), again=again, as_json=as_json)


def _archive(into: Archive, day: date | None, *, again: bool, as_json: bool) -> None:
    from ab_platform import archiving

    with bar("archive") as advance:
        days = None if day is None else [day]
        done = archiving.archive(store(), into, at=now(), days=days, again=again, progress=advance)
    if as_json:
        return print_json(done)
    if not done:
        of = "no day changed" if day is None else f"{day} did not change"
        return say(f"{of} since it was archived in {into.folder}; --again writes it anew")
    print_table(None, ["day", "events", "exposures", "user-days", "size", "state"], [_row(each) for each in done])
    return say(f"{len(done)} days lie in {into.folder}")


def _row(done: DayDone) -> list[object]:
    return [done.day, done.events, done.exposures, done.user_days, f"{done.size / 1e6:,.1f} MB", done.state]


def _verify(of: Archive, *, as_json: bool) -> None:
    from ab_platform import archiving

    found = archiving.verify(store(), of, at=now())
    if as_json:
        print_json(found)
    else:
        _say_damaged(of, found)
    if any(not each.mended for each in found):
        raise typer.Exit(1)


def _say_damaged(of: Archive, found: tuple[Damaged, ...]) -> None:
    if not found:
        return say(f"all files of {len(of.published())} days in {of.folder} are as they were published")
    for each in found:
        say(f"{each.path} {each.wrong}")
    for day in sorted({each.day for each in found if each.mended}):
        say(f"{day} was made again from the database")
    for reason in sorted({each.reason for each in found if each.reason}):
        say(f"not made again: {reason}")
    return None
