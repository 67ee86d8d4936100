"""`abp launch`, `ramp`, `stop`, `assign` and `status`; with `--airflow`, Airflow does the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ab_platform.cli.airflow_runs import APPROVALS, launch_in_airflow, print_runs
from ab_platform.cli.arms import parse_setting, training_bar
from ab_platform.cli.conduct import Key, run_replayed
from ab_platform.cli.console import (
    AsJson,
    Device,
    Reason,
    choice,
    now,
    out,
    print_json,
    print_table,
    pseudonyms,
    say,
    settings,
    store,
    workshop,
)
from ab_platform.errors import ExperimentError

if TYPE_CHECKING:
    from ab_platform.assignment import Placement
    from ab_platform.experiment import Experiment
    from ab_platform.launching import LaunchPlan
    from ab_platform.lineage import Launch
    from ab_platform.storage.store import Store

STATUS_COLUMNS = ("experiment", "state", "traffic", "starts", "ends", "newest event")


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb in (launch, ramp, stop, assign, status):
        app.command()(verb)


def launch(
    file: Annotated[Path | None, typer.Argument(help="Experiment file (TOML).")] = None,
    control: Annotated[str | None, typer.Option(help="Without a file: recommender of the control.")] = None,
    treatment: Annotated[str | None, typer.Option(help="Without a file: recommender of the treatment.")] = None,
    changed: Annotated[list[str] | None, typer.Option("--set", help="Without a file: arm.setting=value.")] = None,
    dataset: Annotated[str, typer.Option(help="Without a file: what to train on.")] = "ml-1m",
    days: Annotated[int, typer.Option(help="Without a file: planned length.")] = 7,
    key: Annotated[str | None, typer.Option(help="Without a file: key of the experiment.")] = None,
    layer: Annotated[str, typer.Option(help="Without a file: where the users come from.")] = "recommender",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen and stop.")] = False,
    device: Device = "auto",
    visits: Annotated[
        str | None,
        typer.Option(
            help="live: start, and let users come. replay: run all of it now, on replayed visits. With --airflow the "
            "default is auto: replay for a public data set, live for your own."
        ),
    ] = None,
    approval: Annotated[str, typer.Option(help="Who decides at the end: ask (a person) or rule.")] = "ask",
    airflow: Annotated[bool, typer.Option("--airflow", help="Let Airflow do it, up to the decision.")] = False,
    wait: Annotated[bool, typer.Option(help="With --airflow: follow the run to its end.")] = True,
    as_json: AsJson = False,
) -> None:
    """Train what is not trained, freeze salts, weights and artifacts, and start the experiment.

    With --visits replay it goes on through the ramp and its gates to the table and the decision, in this process as in
    Airflow.

    Example: abp launch experiments/pia-vs-multivae.toml --dry-run

    Example: abp launch --control multi_vae --treatment pia --set pia.alignment=0.1 --days 7

    Example: abp launch experiments/pia-ramped.toml --visits replay --approval rule

    Example: abp launch experiments/pia-ramped.toml --airflow
    """
    from ab_platform import launching
    from ab_platform.training import snapshot

    opened = store()
    experiment = _definition(
        opened, file, control, treatment, changed or [], dataset=dataset, days=days, key=key, layer=layer
    )
    if airflow and not dry_run:
        return launch_in_airflow(experiment, visits=visits or "auto", approval=approval, wait=wait, as_json=as_json)
    replayed = choice(visits or "live", ("live", "replay"), "--visits") == "replay"
    by_rule = choice(approval, APPROVALS, "--approval") == "rule"
    snap = snapshot(opened, experiment.data)
    planned = launching.plan(opened, workshop(device), experiment, snap)
    if not as_json:
        _print_plan(planned)
    if dry_run:
        return print_json(planned) if as_json else say("dry run: nothing was trained or started")
    if file is None:
        say(f"wrote {_write(experiment)}")
    before = {each.experiment.key for each in opened.experiments()}
    launched = launch_with_bars(opened, experiment, device)
    if replayed:
        return run_replayed(opened, experiment.key, by_rule=by_rule, as_json=as_json)
    if as_json:
        return print_json(launched)
    if experiment.key in before:
        return say(f"{experiment.key} stands as it was launched; it is {launched.state}")
    return say(f"{experiment.key} runs until {launched.ends_at:%Y-%m-%d} UTC")


def launch_with_bars(opened: Store, experiment: Experiment, device: str) -> Launch:
    """Launch, showing a bar for each training."""
    from ab_platform import launching
    from ab_platform.training import snapshot

    with ExitStack() as bars:
        return launching.launch(
            opened,
            workshop(device),
            experiment,
            snapshot(opened, experiment.data),
            at=now(),
            on_epoch=lambda arm: bars.enter_context(training_bar(f"train {arm.name}")),
        )


def ramp(
    key: Key,
    traffic: Annotated[float, typer.Argument(help="Share of the experiment's users who are in, from 0 to 1.")],
    reason: Reason = None,
) -> None:
    """Let more or fewer users in; nobody changes arm.

    Example: abp ramp pia-vs-multivae 0.5 --reason "first day is clean"
    """
    from ab_platform.conduct import by_hand

    changed = by_hand.ramp(store(), key, traffic, now=now(), reason=reason)
    say(f"{key}: traffic is {traffic:.0%}{'' if changed else ', as before'}")


def stop(key: Key, reason: Reason = None) -> None:
    """Stop an experiment; its data and results stay.

    Example: abp stop pia-vs-multivae --reason "planned end"
    """
    from ab_platform.conduct import by_hand

    stopped = by_hand.stop(store(), key, now=now(), reason=reason)
    say(f"{key} is stopped{'' if stopped else ', as before'}; its buckets are free again")


def assign(
    key: Key,
    user: Annotated[str, typer.Argument(help="User id.")],
    as_json: AsJson = False,
) -> None:
    """Explain a user's assignment: bucket, layer slice, arm, or why not.

    With ABP_USER_ID_KEY set, give the user's own id; what is printed is the id that the platform knows.

    Example: abp assign pia-vs-multivae 42
    """
    from ab_platform.serving import place

    opened, known = store(), pseudonyms()
    launched = opened.experiment(key)
    dataset = opened.dataset(launched.experiment.data.dataset)
    if dataset is not None:
        known.require(dataset.content_hash, dataset.dataset)
    placement = place(launched, known.of(user))
    if as_json:
        return print_json(placement)
    return out.print(explain(launched, placement), soft_wrap=True)


def status(
    key: Annotated[str | None, typer.Argument(metavar="[EXPERIMENT]", help="One experiment; all by default.")] = None,
    airflow: Annotated[bool, typer.Option("--airflow", help="List the runs in Airflow instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the experiments, or show one with its arms and change log.

    Example: abp status pia-vs-multivae

    Example: abp status --airflow
    """
    if airflow:
        return print_runs(key, as_json=as_json)
    opened = store()
    if key is not None:
        return _print_one(opened, key, as_json)
    launches = opened.experiments()
    if as_json:
        return print_json(launches)
    if not launches:
        return say("no experiment is launched yet; try `abp demo` or `abp launch FILE`")
    return print_table(None, STATUS_COLUMNS, [_status_row(opened, each) for each in launches])


def explain(launched: Launch, placement: Placement) -> str:
    """Say in sentences where a user stands and why."""
    experiment = launched.experiment
    low, high = experiment.layer_buckets
    lines = [
        f"user {placement.user_id} has bucket {placement.layer_bucket} in layer '{experiment.layer}'; "
        f"{experiment.key} owns [{low}, {high})",
    ]
    if not placement.in_layer:
        return "\n".join([*lines, "not in the experiment: the bucket is outside its slice"])
    ranges = experiment.ranges(launched.traffic)
    owned = ", ".join(f"{arm.name} [{start}, {end})" for arm, (start, end) in zip(experiment.arms, ranges, strict=True))
    lines.append(f"under salt '{experiment.salt}' the user has bucket {placement.arm_bucket}; arms own {owned}")
    if placement.arm_index is None:
        return "\n".join([*lines, f"not in the experiment: traffic is {launched.traffic:.0%}; a ramp may let them in"])
    arm = experiment.arms[placement.arm_index]
    ended = "" if launched.state == "running" else f" (the experiment is {launched.state})"
    return "\n".join([*lines, f"arm: {arm.name}{ended}"])


def _definition(
    opened: Store,
    file: Path | None,
    control: str | None,
    treatment: str | None,
    changed: Sequence[str],
    *,
    dataset: str,
    days: int,
    key: str | None,
    layer: str,
) -> Experiment:
    """Read the experiment file, or compose an experiment from the options."""
    from ab_platform.experiment_file import load
    from ab_platform.launching import compose
    from ab_platform.training import check_arms

    if file is not None:
        if control or treatment or changed:
            raise ExperimentError("give a file, or --control and --treatment, not both")
        return load(file, check=check_arms)
    if not (control and treatment):
        raise ExperimentError("nothing to launch; give an experiment file, or --control and --treatment")
    settings = [(*_arm_setting(name), value) for name, value in map(parse_setting, changed)]
    return compose(
        opened,
        control=control,
        treatment=treatment,
        settings=settings,
        dataset=dataset,
        days=days,
        key=key,
        layer=layer,
    )


def _arm_setting(name: str) -> tuple[str, str]:
    arm, dot, setting = name.partition(".")
    if not dot:
        raise ExperimentError(f"--set {name} names no arm; write arm.setting=value, such as pia.alignment=0.1")
    return arm, setting


def _write(experiment: Experiment) -> Path:
    """Write the experiment that is launched to a file, for the record and for review."""
    from ab_platform.experiment_file import dump

    path = settings().home / "experiments" / f"{experiment.key}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump(experiment), encoding="utf-8")
    return path


def _print_plan(planned: LaunchPlan) -> None:
    experiment = planned.experiment
    low, high = experiment.layer_buckets
    print_table(
        f"{experiment.key}: {experiment.days} days, layer '{experiment.layer}' buckets [{low}, {high}), "
        f"traffic {experiment.traffic:.0%}, {planned.population:,} users in {experiment.data.dataset}",
        ["arm", "recommender", "weight", "users", "artifact"],
        [
            [
                f"{each.arm.name}{' (control)' if each.arm.control else ''}",
                each.arm.recommender,
                each.arm.weight,
                each.users,
                each.artifact.artifact_id if each.artifact else "to be trained",
            ]
            for each in planned.arms
        ],
    )
    if experiment.ramp:
        steps = [f"{step.days} at {100 * step.traffic:g} %" for step in experiment.steps]
        out.print(f"ramp, days: {', '.join(steps)}; sample ratio and guardrails gate each step", soft_wrap=True)
    for each in planned.arms:
        chosen = " ".join(f"{name}={value}" for name, value in each.arm.config.items()) or "the recommender's defaults"
        out.print(f"{each.arm.name}: {chosen}", soft_wrap=True)
    for row in (each for each in planned.power.rows if each.row == experiment.primary[0]):
        if row.detectable is None:
            say(f"{row.arm}: no lift in {row.row} can be promised: {row.reason}")
            continue
        say(
            f"{row.arm}: a lift of {row.detectable:+.1%} in {row.row} is found with power {row.power:.0%} "
            f"(coefficient of variation {row.variation.coefficient:.2f}, {row.variation.source})"
        )


def _print_one(opened: Store, key: str, as_json: bool) -> None:
    launched, changes = opened.experiment(key), opened.changes(key)
    if as_json:
        return print_json({"launch": launched, "changes": changes})
    low, high = launched.experiment.layer_buckets
    print_table(None, STATUS_COLUMNS, [_status_row(opened, launched)])
    print_table(
        f"\nlayer '{launched.experiment.layer}' buckets [{low}, {high}), salt '{launched.experiment.salt}'",
        ["arm", "recommender", "weight", "artifact"],
        [[arm.name, arm.recommender, arm.weight, launched.artifacts[arm.name]] for arm in launched.experiment.arms],
    )
    return print_table(
        "\nchange log",
        ["at", "change", "before", "after", "why"],
        [[each.at, each.action, _short(each.before), _short(each.after), each.reason or ""] for each in changes],
    )


def _status_row(opened: Store, launched: Launch) -> list[object]:
    experiment = launched.experiment
    return [
        experiment.key,
        launched.state,
        f"{launched.traffic:.0%}",
        launched.starts_at.date(),
        launched.ends_at.date(),
        opened.watermark(experiment.key),
    ]


def _short(document: Mapping[str, object] | None) -> str:
    """Return a change's values in a few words; a launch's whole definition is in `--json`."""
    if not document:
        return ""
    plain = [f"{name} {value}" for name, value in document.items() if isinstance(value, str | int | float)]
    return ", ".join(plain)
