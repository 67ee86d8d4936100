"""Take an experiment from its definition to its decision.

1. **Arms**: the data set is ingested, every arm trained on a GPU worker and held to its quality gate.
2. **Launch**: salts, weights and artifacts are frozen, and the users of the first step get their arms.
3. **Steps** of the ramp: users are let in, visits are waited for (live) or replayed (the replay's calendar passes in
   minutes), the experiment is looked at, and the gate asks sample ratio and guardrails. Where it does not pass, the
   experiment is stopped and every user gets the control again.
4. **Decision** at the planned end: what the rule proposes goes to a person, under *Required actions*, or is taken as it
   is where the form says so. It is in the experiment's change log, as is everything before it (`abp status KEY`).

A second run of the same definition changes nothing. `abp launch FILE --airflow` starts this DAG from a command line.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Label, PokeReturnValue, TriggerRule, chain, dag, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from ab_platform.experiment import MOST_STEPS
from dags.tasks import ingest_data, quality_gate, read_definition, tell, train_arm
from dags.workplace import DEFAULTS, LIFTS, experiment_params, field, now, store, workshop

SHIP, KEEP = "Ship the treatment", "Keep the control"

PARAMS = experiment_params() | {
    "visits": field(
        "auto",
        type="string",
        enum=["auto", "replay", "live"],
        title="Visits",
        say="Choose live, replay or auto. live: users come by themselves, and the run waits for the planned days. "
        "replay: the data's users are replayed with what they watched later, and a week takes minutes. auto: replay "
        "for a public data set such as ml-1m, live for your own.",
    ),
    "replay_seed": field(
        0,
        type="integer",
        minimum=0,
        title="Seed of the replay",
        say="A whole number from 0. The same seed gives the same visits.",
    ),
    "approval": field(
        "ask",
        type="string",
        enum=["ask", "rule"],
        title="Who decides",
        say="Choose ask or rule. ask: a person decides, under Required actions. rule: the decision rule alone.",
    ),
}


@task
def list_arms(text: str) -> list[dict[str, Any]]:
    """List the arms of the experiment, to be trained side by side."""
    from dataclasses import asdict

    from ab_platform.conduct.training import wanted

    return [asdict(each) for each in wanted(text)]


@task
def launch(text: str) -> str:
    """Freeze salts, weights and artifacts, and start; the very same again changes nothing."""
    from ab_platform import launching
    from ab_platform.experiment_file import parse
    from ab_platform.training import check_arms, snapshot

    run = get_current_context()["run_id"]
    experiment = parse(text, check=check_arms)
    with store() as opened:
        snap = snapshot(opened, experiment.data)
        launching.launch(opened, workshop(), experiment, snap, at=now(), reason=f"Airflow run {run}")
    return experiment.key


@task
def ramp(key: str, number: int) -> int:
    """Let the users of this step in; nobody changes arm."""
    from ab_platform.conduct.steps import enter, steps_of

    with store() as opened:
        launched = opened.experiment(key)
        if number > len(steps_of(launched)):
            raise AirflowSkipException(f"{key} has {len(steps_of(launched))} steps")
        if launched.state == "stopped":
            raise AirflowSkipException(f"{key} is stopped")
        print(enter(opened, key, number, now=now()).label)
    return number


@task.sensor(mode="reschedule", poke_interval=60, timeout=timedelta(days=400).total_seconds(), execution_timeout=None)
def visits(key: str, number: int) -> PokeReturnValue:
    """Wait until the days of this step are over, or replay their visits."""
    from ab_platform.conduct.course import replay_step, resolved_visits
    from ab_platform.conduct.steps import is_over

    params = get_current_context()["params"]
    with store() as opened:
        if resolved_visits(opened.experiment(key).experiment, params["visits"]) == "replay":
            done = replay_step(opened, workshop(), key, number, seed=params["replay_seed"], now=now())
            print(f"{done.users:,} users, {done.events_stored:,} new events")
            return PokeReturnValue(is_done=True, xcom_value=done.events_stored)
        return PokeReturnValue(is_done=is_over(opened, key, number, now=now()))


@task(outlets=[LIFTS])
def look(key: str) -> str | None:
    """Roll up, analyze, raise alerts, and stop where a guardrail is breached and the experiment says so."""
    from ab_platform import reporting
    from ab_platform.conduct.guard import guard

    with store() as opened:
        found = guard(opened, key, now=now())
    if found.readout is None:
        return None
    print(reporting.as_text(found.readout))
    return found.readout.as_of.isoformat()


@task
def gate(key: str, number: int) -> str:
    """Ask sample ratio and guardrails whether more users may come in; stop the experiment where they may not."""
    from ab_platform.conduct.course import pass_gate
    from ab_platform.conduct.steps import steps_of

    with store() as opened:
        if number == len(steps_of(opened.experiment(key))):
            return "the last step has no gate"
        asked = pass_gate(opened, key, number, now=now())
    if not asked.passes:
        raise AirflowSkipException(f"{key} is stopped: {asked.reason}")
    return asked.reason


@task(trigger_rule=TriggerRule.NONE_FAILED)
def propose(key: str) -> str:
    """Say what the rule proposes, in Markdown, for the person who decides."""
    from ab_platform import analysis, reporting
    from ab_platform.conduct.closing import decided, proposed

    with store() as opened:
        if opened.experiment(key).state == "stopped" and decided(opened, key) is None:
            raise AirflowSkipException(f"{key} was stopped before its planned end; see `abp status {key}`")
        said = proposed(opened, key)
        table = reporting.as_markdown(analysis.readout(opened, key))
    return f"The rule proposes to **{said.choice} {said.arm}**: {said.rule}\n\n{table}"


@task.branch
def who_decides(key: str) -> str:
    """Ask a person, unless the form says that the rule decides, or it was decided before."""
    from ab_platform.conduct.closing import decided

    with store() as opened:
        asked = get_current_context()["params"]["approval"] == "ask" and decided(opened, key) is None
    return "approve" if asked else "decide"


@task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
def decide() -> str:
    """Write the decision into the change log, and stop the experiment."""
    from ab_platform.conduct import closing

    context = get_current_context()
    # The key is no argument: `launch`, which succeeded, would be reason enough to run though nothing is to be decided.
    key, answer = (context["ti"].xcom_pull(task_ids=each) for each in ("launch", "approve"))
    with store() as opened:
        stands = closing.decided(opened, key)
        if stands is None:
            arm, by = _answered(closing.options(opened, key), answer)
            stands = closing.decide(opened, key, arm, by=by, now=now(), reason=f"Airflow run {context['run_id']}")
    print(f"{key}: {stands.choice} {stands.arm}, decided by {stands.by}")
    return stands.arm


def _answered(options: dict[str, str], answer: dict[str, Any] | None) -> tuple[str | None, str]:
    """Return the arm that a person chose, None for what the rule proposes, and who it was."""
    if answer is None:
        return None, "the rule"
    user = answer.get("responded_by_user") or {}
    by = str(user.get("name") or user.get("id") or "a person in Airflow")
    if answer["chosen_options"] == [KEEP]:
        return options["keep"], by
    return (answer.get("params_input") or {}).get("arm") or options["ship"], by


@dag(
    schedule=None,
    params=PARAMS,
    default_args=DEFAULTS,
    tags=["experiments", "gpu"],
    max_active_runs=4,
    description=__doc__.splitlines()[0],
    doc_md=__doc__,
)
def run_experiment() -> None:
    """Arms, launch, steps, decision."""
    text = read_definition()
    arms = list_arms(text)
    ingest_data(text) >> arms
    key = launch(text)
    quality_gate.expand(trained=train_arm.expand(arm=arms)) >> key

    @task_group
    def step(number: int) -> None:
        chain(ramp(key, number), visits(key, number), look(key), gate(key, number))

    steps = [step.override(group_id=f"step_{number}")(number) for number in range(1, MOST_STEPS + 1)]
    chain(*steps)
    proposal = propose(key)
    steps[-1] >> proposal
    approve = HITLOperator(
        task_id="approve",
        subject="Decide: {{ ti.xcom_pull(task_ids='launch') }}",
        body="{{ ti.xcom_pull(task_ids='propose') }}",
        options=[SHIP, KEEP],
        params={
            "arm": field(
                None,
                type=["null", "string"],
                title="Treatment to ship",
                say="Name of the treatment. Leave it empty for the one that the rule proposes, else the first.",
            )
        },
        execution_timeout=None,
    )
    choice = who_decides(key)
    decision = decide()
    proposal >> [choice, tell().as_teardown()]
    choice >> Label("a person") >> approve >> decision
    choice >> Label("the rule") >> decision


run_experiment()
