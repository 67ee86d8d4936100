"""`abp advance`, `decide` and `alerts`: an experiment from step to step, and its end."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from ab_platform.cli.console import (
    AsJson,
    Reason,
    bar,
    now,
    print_json,
    print_table,
    say,
    settings,
    store,
    user_reads,
    workshop,
)

if TYPE_CHECKING:
    from ab_platform.conduct.closing import Decided
    from ab_platform.conduct.course import Advanced
    from ab_platform.conduct.gate import Gate
    from ab_platform.conduct.steps import Step
    from ab_platform.replay import Replayed
    from ab_platform.storage.store import Store

Key = Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Key of a launched experiment.")]
EveryKey = Annotated[
    str | None, typer.Argument(metavar="[EXPERIMENT]", help="One experiment; all that run by default.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb in (advance, decide, alerts):
        app.command()(verb)


def advance(key: EveryKey = None, as_json: AsJson = False) -> None:
    """Do what is due: analyze, send alerts, stop on a breach, and ramp to the next step where its gate lets.

    It is what Airflow does by the hour; without Airflow, let cron do it.

    Example: abp advance pia-vs-multivae
    """
    from ab_platform.conduct.course import advance as advance_one
    from ab_platform.conduct.guard import running

    opened = store()
    moment = now()
    keys = [opened.experiment(key).experiment.key] if key else list(running(opened, now=moment))
    done = [advance_one(opened, each, now=moment) for each in keys]
    sent = send_alerts(opened)
    if as_json:
        return print_json([_machine(each) for each in done])
    for each in done:
        say(_told(each))
    return say(f"{len(keys)} experiments, {sent} new alerts" if keys else "no experiment runs; try `abp launch FILE`")


def decide(
    key: Key,
    ship: Annotated[str | None, typer.Option("--ship", help="The treatment that serves from now on.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the control.")] = False,
    rule: Annotated[bool, typer.Option("--rule", help="Take what the decision rule proposes.")] = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """End an experiment: say which arm serves from now on, and stop it. Without an option, say what the rule proposes.

    Example: abp decide pia-vs-multivae --ship pia --reason "longer plays, nothing worse"
    """
    from ab_platform.conduct import closing

    if sum((ship is not None, keep, rule)) > 1:
        raise typer.BadParameter("give one of --ship ARM, --keep and --rule")
    opened = store()
    stands = closing.decided(opened, key)
    if ship is None and not keep and not rule:
        shown = stands or closing.proposed(opened, key)
        return print_json(shown) if as_json else say(_said(shown, made=stands is not None))
    arm = opened.experiment(key).experiment.control.name if keep else ship
    made = closing.decide(opened, key, arm, by=getpass.getuser(), now=now(), reason=reason)
    return print_json(made) if as_json else say(_said(made, made=True))


def alerts(key: EveryKey = None, as_json: AsJson = False) -> None:
    """List the alerts: what a person should see of the experiments, from when to when.

    Example: abp alerts pia-vs-multivae
    """
    opened = store()
    found = opened.alerts(opened.experiment(key).experiment.key if key else None)
    if as_json:
        return print_json(found)
    if not found:
        return say("no alert was raised")
    rows = [[each.experiment, each.kind, each.subject, each.raised_at, each.cleared_at, each.message] for each in found]
    return print_table(None, ["experiment", "kind", "of", "raised", "cleared", "why"], rows)


def send_alerts(opened: Store) -> int:
    """Send the alerts that were not sent to where the settings say; return how many."""
    from ab_platform.conduct.notify import Channels, notify

    chosen = settings()
    return len(notify(opened, Channels(chosen.alert_webhook, chosen.alert_email, chosen.smtp_url), now=now()))


def replay_with_bar(opened: Store, key: str, *, seed: int) -> tuple[Replayed, Gate | None]:
    """Replay an experiment through the steps of its ramp, showing a bar."""
    from ab_platform.conduct.course import replay_course

    with bar("replay visits") as show:

        def progress(step: Step, done: int, total: int) -> None:
            show(done, total, stage="replay visits" if step.of == 1 else f"replay {step.label}")

        return replay_course(opened, workshop(), key, seed=seed, now=now(), progress=progress)


def run_replayed(opened: Store, key: str, *, by_rule: bool, as_json: bool) -> None:
    """Take a launched experiment through its replay to the table, and to the decision where the rule takes it."""
    from ab_platform import analysis, reporting
    from ab_platform.conduct import closing

    _, refused = replay_with_bar(opened, key, seed=0)
    found = analysis.analyze(opened, key, reads=user_reads(opened))
    if as_json:
        print_json(reporting.as_json(found))
    else:
        typer.echo(reporting.as_text(found))
    if refused is not None:
        return say(f"{key} is stopped: the gate of step {refused.step} did not pass: {refused.reason}")
    if by_rule and closing.decided(opened, key) is None:
        closing.decide(opened, key, None, by="the rule", now=now())
    stands = closing.decided(opened, key)
    return say(_said(stands or closing.proposed(opened, key), made=stands is not None))


def _said(decided: Decided, *, made: bool) -> str:
    word = "ships" if decided.choice == "ship" else "keeps"
    if made:
        return f"{decided.experiment} {word} {decided.arm}, decided by {decided.by}; the rule said: {decided.rule}"
    return (
        f"the rule proposes: {decided.choice} {decided.arm} ({decided.rule})\n"
        f"decide: abp decide {decided.experiment} {'--ship ' + decided.arm if decided.choice == 'ship' else '--keep'}"
    )


def _told(done: Advanced) -> str:
    guarded = done.guarded
    lines = [f"{guarded.experiment}: {done.step.label}, as of {guarded.as_of or 'no event yet'}"]
    lines += [f"  alert: {alert.message}" for alert in guarded.raised]
    if done.gate is not None:
        lines.append(
            f"  gate of step {done.gate.step}: {'passed' if done.gate.passes else 'NOT passed'}, {done.gate.reason}"
        )
    if done.stopped is not None:
        lines.append(f"  STOPPED: {done.stopped}")
    return "\n".join(lines)


def _machine(done: Advanced) -> dict[str, object]:
    guarded = done.guarded
    return {
        "experiment": guarded.experiment,
        "as_of": guarded.as_of,
        "step": done.step,
        "gate": done.gate,
        "alerts": guarded.raised,
        "stopped": done.stopped,
    }
