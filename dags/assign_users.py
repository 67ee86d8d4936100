"""Write down who gets which arm, for every registered user of every running experiment.

Assignment is a pure function of salts and user id, and serving needs no table. This one is for audits, and for surfaces
that can only read a table. It follows the traffic of now; a repetition changes nothing. Users who were served another
arm than the function gives are counted in the log.
"""

from __future__ import annotations

from airflow.sdk import CronTriggerTimetable, dag, get_current_context, task

from dags.workplace import KEY_FIELD, SCHEDULED, field, now, store


@dag(
    schedule=CronTriggerTimetable("30 2 * * *", timezone="UTC"),
    params={
        "experiment": field(
            None,
            **KEY_FIELD,
            title="Experiment",
            say="The key of a launched experiment, such as pia-vs-multivae. Leave it empty for all that run.",
        )
    },
    tags=["experiments"],
    **SCHEDULED,
    description=__doc__.splitlines()[0],
    doc_md=__doc__,
)
def assign_users() -> None:
    """List, then assign."""

    @task
    def list_experiments() -> list[str]:
        """List the experiments to assign users of."""
        from ab_platform.conduct.guard import running

        wanted = get_current_context()["params"]["experiment"]
        with store() as opened:
            return [opened.experiment(wanted).experiment.key] if wanted else list(running(opened, now=now()))

    @task(map_index_template="{{ key }}")
    def assign(key: str) -> str:
        """Assign all registered users of one experiment, and compare with whom they were served."""
        from ab_platform.assigning import assign_users

        get_current_context()["key"] = key  # type: ignore[typeddict-unknown-key]
        with store() as opened:
            done = assign_users(opened, key, at=now())
        arms = ", ".join(f"{arm} {users:,}" for arm, users in done.arms.items())
        wrong = sum(done.audit.wrong.values())
        print(f"{key}: {done.users:,} registered users, {arms}; {wrong:,} were served another arm than theirs")
        return key

    assign.expand(key=list_experiments())


assign_users()
