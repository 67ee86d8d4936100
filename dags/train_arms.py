"""Train the arms of an experiment on GPU workers, and hold each to its quality gate.

Trigger it with an experiment; arms, seeds and epochs narrow or change what is trained. A recipe that was trained before
is not trained again, a worker that is lost is taken over from its last checkpoint, and an arm that does not fit into
memory fails at once. What passes the gate is a new version of the asset `artifacts`.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, get_current_context, task

from dags.tasks import ingest_data, quality_gate, read_definition, train_arm
from dags.workplace import DEFAULTS, experiment_params, field

PARAMS = experiment_params() | {
    "arms": field(
        [],
        type="array",
        items={"type": "string"},
        title="Arms",
        say="Names of arms of the experiment, one a line, such as pia. Leave it empty for all.",
    ),
    "seeds": field(
        [],
        type="array",
        items={"type": "integer", "minimum": 0},
        title="Seeds",
        say="Whole numbers from 0, such as [0, 1]: each arm is trained with each. Leave it empty for its own.",
    ),
    "epochs": field(
        None,
        type=["null", "integer"],
        minimum=1,
        maximum=10_000,
        title="Epochs",
        say="A whole number from 1 to 10000: at most so many. Leave it empty for the arm's own.",
    ),
}


@dag(
    schedule=None,
    params=PARAMS,
    default_args=DEFAULTS,
    tags=["experiments", "training", "gpu"],
    max_active_runs=2,
    description=__doc__.splitlines()[0],
    doc_md=__doc__,
)
def train_arms() -> None:
    """Train, then gate."""

    @task
    def choose_arms(text: str) -> list[dict[str, Any]]:
        """List the arms to train, each with its seed."""
        from dataclasses import asdict

        from ab_platform.conduct.training import wanted

        params = get_current_context()["params"]
        chosen = wanted(text, params["arms"], seeds=params["seeds"], epochs=params["epochs"])
        return [asdict(each) for each in chosen]

    text = read_definition()
    arms = choose_arms(text)
    ingest_data(text) >> arms
    quality_gate.expand(trained=train_arm.expand(arm=arms))


train_arms()
