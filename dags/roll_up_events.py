"""Count what users did, hour by hour, into user-days.

Events open their day when they are stored, late ones again the day they belong to, and a run counts all that is open:
a second run finds nothing to do. A back-fill of a past interval, or a run with *recount*, counts every day of the
interval anew from the raw events, and gives what the first run gave. Where an archive is in use, the days that changed
are written into it afterwards. Every run is a new version of the asset
`user_days`, which `analyze_experiments` waits for.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import CronDataIntervalTimetable, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.workplace import MOMENT_FIELD, SCHEDULED, USER_DAYS, archive_in_use, field, moment, now, store


@dag(
    schedule=CronDataIntervalTimetable("0 * * * *", timezone="UTC"),
    params={
        "recount": field(
            False,
            type="boolean",
            title="Count anew",
            say="true: count every day of the interval anew from the raw events, also those that are counted.",
        ),
        "since": field(
            None,
            **MOMENT_FIELD,
            title="Since",
            say="A moment such as 2026-03-01T00:00:00+00:00 where counting anew begins. Empty: the interval's.",
        ),
        "until": field(
            None,
            **MOMENT_FIELD,
            title="Until",
            say="A moment such as 2026-03-08T00:00:00+00:00 where it ends. Empty: the interval's.",
        ),
    },
    tags=["events"],
    **SCHEDULED,
    description=__doc__.splitlines()[0],
    doc_md=__doc__,
)
def roll_up_events() -> None:
    """The roll-up, then the archive."""

    @task(outlets=[USER_DAYS])
    def roll_up() -> int:
        """Count the user-days of the interval; return how many were counted."""
        from ab_platform import rolling_up

        context = get_current_context()
        params = context["params"]
        recount = params["recount"] or context["dag_run"].run_type == "backfill"
        since, until = (moment(params[each]) for each in ("since", "until"))
        with store() as opened:
            done = rolling_up.roll_up(
                opened,
                since=since or context.get("data_interval_start"),
                until=until or context.get("data_interval_end"),
                recount=recount,
                at=datetime.now(UTC),
            )
        print(f"{done.user_days:,} user-days of {', '.join(done.experiments) or 'no experiment'} were counted")
        return done.user_days

    @task
    def archive() -> int:
        """Write the days that changed into the archive, where one is in use; return how many are other than before."""
        from ab_platform import archiving

        into = archive_in_use()
        if into is None:
            raise AirflowSkipException("no archive is in use; name its folder in ABP_ARCHIVE, or run `abp archive`")
        with store() as opened:
            done = archiving.archive(opened, into, at=now())
        for each in done:
            print(f"{each.day}: {each.state}, {each.events:,} events, {each.size:,} bytes, {each.seconds:.1f} s")
        return sum(each.state != "unchanged" for each in done)

    roll_up() >> archive()


roll_up_events()
