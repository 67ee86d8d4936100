"""`abp roll-up`, `assignments` and `retain`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from ab_platform.cli.conduct import Key
from ab_platform.cli.console import AsJson, archive_in_use, bar, now, print_json, print_table, say, store

if TYPE_CHECKING:
    from ab_platform.assigning import Audit
    from ab_platform.retention import Retained

MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]

Since = Annotated[
    datetime | None, typer.Option(formats=MOMENTS, help="Count anew from this moment (UTC) on, whatever is stored.")
]
Until = Annotated[
    datetime | None, typer.Option(formats=MOMENTS, help="Count anew up to it, exclusive; now by default.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("roll-up")(roll_up)
    app.command()(assignments)
    app.command()(retain)


def roll_up(since: Since = None, until: Until = None, as_json: AsJson = False) -> None:
    """Count what users saw and did by day, where it is new; with --since, a time that was counted before as well.

    Example: abp roll-up

    Example: abp roll-up --since 2026-03-01 --until 2026-03-08
    """
    from ab_platform import rolling_up

    if since is None and until is not None:
        raise typer.BadParameter("it needs --since, the begin of what is counted anew", param_hint="--until")
    end = now() if since is not None and until is None else _utc(until)
    done = rolling_up.roll_up(store(), since=_utc(since), until=end, recount=since is not None, at=now())
    if as_json:
        return print_json(done)
    newest = (
        "no event counts yet" if done.watermark is None else f"the newest event is of {done.watermark:%F %H:%M} UTC"
    )
    of = f" of {', '.join(done.experiments)}" if done.experiments else ""
    return say(f"{done.user_days:,} user-days{of} were counted; {newest}")


def assignments(key: Key, as_json: AsJson = False) -> None:
    """Write down which registered users are in an experiment, and check that nobody was exposed to another arm.

    Example: abp assignments pia-vs-multivae
    """
    from ab_platform.assigning import assign_users

    done = assign_users(store(), key, at=now())
    if as_json:
        return print_json(done)
    inside = sum(done.arms.values())
    print_table(
        f"{inside:,} of {done.users:,} registered users are in {key} at a traffic of {done.traffic:.0%}",
        ["arm", "users", "exposed", "wrongly"],
        [[arm, users, done.audit.exposed[arm], done.audit.wrong[arm]] for arm, users in done.arms.items()],
    )
    say(f"{done.changed:,} rows are new or changed, {done.removed:,} are gone")
    return _say_audit(key, done.audit)


def retain(
    days: Annotated[int, typer.Option(min=0, help="Days after its end that an experiment's events are kept.")] = 90,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete the raw events of experiments that ended long ago; days, exposures and results stay.

    Where an archive is in use, only what lies in it.

    Example: abp retain --days 90 --dry-run
    """
    from ab_platform import retention

    with bar("delete events") as advance:
        done = retention.retain(
            store(),
            days=days,
            at=now(),
            dry_run=dry_run,
            archive=archive_in_use(),
            progress=lambda key, deleted, stored: advance(deleted, stored, key),
        )
    if as_json:
        return print_json(done)
    if not done:
        return say(f"no experiment that ended more than {days} days ago has raw events")
    return _print_retained(done)


def _print_retained(done: tuple[Retained, ...]) -> None:
    print_table(
        None,
        ["experiment", "ended", "raw events", "user-days", "events"],
        [
            [each.experiment, each.ended_at.date(), each.outcome.replace("_", " "), each.user_days, each.events]
            for each in done
        ],
    )
    for each in done:
        if each.reason is not None:
            say(f"{each.experiment} keeps its events: {each.reason}")


def _say_audit(key: str, audit: Audit) -> None:
    exposed, wrong = sum(audit.exposed.values()), sum(audit.wrong.values())
    if not wrong:
        return say(f"each of {exposed:,} exposures is to the arm that the salts give")
    for each in audit.examples:
        say(f"user {each.user_id} was exposed to {each.exposed}; the salts give {each.assigned or 'no arm'}")
    return say(f"{wrong:,} of {exposed:,} exposures are to another arm; find out why with `abp srm diagnose {key}`")


def _utc(moment: datetime | None) -> datetime | None:
    """Take a moment without a time zone as UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
