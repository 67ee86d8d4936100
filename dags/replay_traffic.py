"""Stand in for live visits: replay what the data's users would do in each hour.

It plays only into experiments that the form named once, and refuses one that has visits of its own, so real data is
never mixed with made-up visits. A visit that was played before is not played again: a back-fill or a second run of an
interval changes nothing. Trigger it with an experiment and unpause it, to see roll-ups, looks and ramps work by the
hour.
"""

from __future__ import annotations

from airflow.sdk import CronDataIntervalTimetable, dag, get_current_context, task

from dags.workplace import KEY_FIELD, SCHEDULED, field, now, store, workshop


@dag(
    schedule=CronDataIntervalTimetable("0 * * * *", timezone="UTC"),
    params={
        "experiment": field(
            None,
            **KEY_FIELD,
            title="Experiment",
            say="The key of a running experiment, such as pia-vs-multivae, to replay its visits from "
            "now on. Leave it empty for those that were named before.",
        ),
        "replay_seed": field(
            0,
            type="integer",
            minimum=0,
            title="Seed of the replay",
            say="A whole number from 0. The same seed gives the same visits.",
        ),
    },
    tags=["events"],
    is_paused_upon_creation=True,
    **SCHEDULED,
    description=__doc__.splitlines()[0],
    doc_md=__doc__,
)
def replay_traffic() -> None:
    """List, then replay."""

    @task
    def list_replayed() -> list[str]:
        """List the running experiments that are replayed by the hour, or the one that is named."""
        from ab_platform.conduct.course import replayed_hourly

        wanted = get_current_context()["params"]["experiment"]
        with store() as opened:
            return [opened.experiment(wanted).experiment.key] if wanted else list(replayed_hourly(opened))

    @task(map_index_template="{{ key }}")
    def replay_interval(key: str) -> int:
        """Replay the visits of one experiment up to the end of the interval; return how many events are new."""
        from ab_platform.conduct.course import HOURLY, replay_until

        context = get_current_context()
        context["key"] = key  # type: ignore[typeddict-unknown-key]
        until, seed = context.get("data_interval_end") or now(), context["params"]["replay_seed"]
        with store() as opened:
            done = replay_until(opened, workshop(), key, until, seed=seed, now=now(), reason=HOURLY)
        print(f"{key}: {done.events_stored:,} new events up to {until:%Y-%m-%d %H:%M} UTC")
        return done.events_stored

    replay_interval.expand(key=list_replayed())


replay_traffic()
