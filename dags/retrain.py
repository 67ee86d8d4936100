"""Train the arms of running experiments on today's data, every week.

A running experiment keeps the arms that it froze. What is trained here is ready for the next launch: a new ingest of
its data set gives new artifacts, and unchanged data gives none. Each is held to its quality gate.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import CronTriggerTimetable, dag, task

from dags.tasks import quality_gate, train_arm
from dags.workplace import SCHEDULED, store, workshop


@dag(
    schedule=CronTriggerTimetable("0 4 * * 1", timezone="UTC"),
    tags=["training", "gpu"],
    **SCHEDULED,
    description=__doc__.splitlines()[0],
    doc_md=__doc__,
)
def retrain() -> None:
    """List what is stale, train, gate."""

    @task
    def list_stale() -> list[dict[str, Any]]:
        """List the arms that today's data would train anew."""
        from dataclasses import asdict

        from ab_platform.conduct.training import stale

        with store() as opened:
            return [asdict(each) for each in stale(opened, workshop())]

    quality_gate.expand(trained=train_arm.expand(arm=list_stale()))


retrain()
