"""Delete the raw events of experiments that ended long ago, once their roll-up is verified.

User-days, exposures, tables and decisions stay, so results can be read and most can be computed again. An experiment
whose roll-up does not equal a recount of its raw events is left alone, and the log says why.
"""

from __future__ import annotations

from airflow.sdk import CronTriggerTimetable, dag, get_current_context, task

from dags.workplace import SCHEDULED, archive_in_use, field, now, store


@dag(
    schedule=CronTriggerTimetable("0 3 * * *", timezone="UTC"),
    params={
        "days": field(
            90,
            type="integer",
            minimum=1,
            maximum=3650,
            title="Days",
            say="A whole number from 1 to 3650: raw events are kept so long after an experiment has ended.",
        )
    },
    tags=["events"],
    **SCHEDULED,
    description=__doc__.splitlines()[0],
    doc_md=__doc__,
)
def retention() -> None:
    """One task: verify, then delete."""

    @task
    def retain() -> int:
        """Delete what is past its time; return how many events."""
        from ab_platform import retention as retaining

        with store() as opened:
            days = get_current_context()["params"]["days"]
            done = retaining.retain(opened, days=days, at=now(), archive=archive_in_use())
        for each in done:
            print(f"{each.experiment}: {each.outcome}, {each.events:,} events {each.reason or ''}")
        return sum(each.events for each in done if each.outcome == "deleted")

    retain()


retention()
