"""The gate at the end of a step: sample ratio and guardrails say whether more users may come in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ab_platform.analysis import analyze
from ab_platform.analysis.deciding import breaches
from ab_platform.conduct.steps import Step, gate_passed, step_of
from ab_platform.errors import NotFoundError
from ab_platform.lineage import Change, Launch, own_time
from ab_platform.results import Readout
from ab_platform.storage.store import Store


@dataclass(frozen=True)
class Gate:
    """What the gate of a step says.

    Attributes:
        experiment: its key.
        step: number of the step that ends.
        passes: whether the next may begin.
        reason: why, in a sentence.
    """

    experiment: str
    step: int
    passes: bool
    reason: str


def gate(store: Store, key: str, number: int, *, now: datetime) -> Gate:
    """Analyze an experiment as of the last day of a step, and say whether the next step may begin.

    A gate that has passed stays so. One that has not is asked anew, since late events may have mended what it saw.

    Args:
        store: holds the experiment; takes the verdict into the change log.
        key: of the experiment.
        number: of the step, from 1.
        now: the time, for the log.

    Raises:
        NotFoundError: for an unknown experiment.
        ExperimentError: where it has no such step.
    """
    launch, changes = store.experiment(key), store.changes(key)
    step = step_of(launch, number)
    if gate_passed(changes, number):
        return Gate(key, number, True, "it has passed before")
    found = _ask(store, launch, step)
    after = {"step": number, "passes": found.passes}
    noted = [change for change in changes if change.action == "gate"]
    if not noted or (dict(noted[-1].after), noted[-1].reason) != (after, found.reason):
        store.note(Change(key, own_time(launch, changes, now), "gate", None, after, found.reason))
    return found


def _ask(store: Store, launch: Launch, step: Step) -> Gate:
    key = launch.experiment.key
    if launch.state == "stopped":
        return Gate(key, step.number, False, "the experiment is stopped")
    try:
        readout = analyze(store, key, as_of=step.last_day)
    except NotFoundError:
        return Gate(
            key, step.number, False, f"no event came until {step.last_day}; see that clients log what they show"
        )
    problems = [*alarms(readout), *breached(launch, readout, looks=step.of).values()]
    if problems:
        return Gate(key, step.number, False, "; ".join(problems))
    return Gate(key, step.number, True, "no sample ratio alarms and no guardrail is breached")


def alarms(readout: Readout) -> list[str]:
    """Say what is wrong with the split: the checks that alarm, or too many users in several arms."""
    found = [f"sample ratio of {split.scope}: {split.reason}" for split in readout.sample_ratios if split.alarm]
    unhealthy = [decision.reason for decision in readout.decisions if decision.outcome == "unhealthy"]
    return found or unhealthy[:1]


def breached(launch: Launch, readout: Readout, *, looks: int) -> dict[str, str]:
    """Say which guardrails are breached, by arm and row.

    Args:
        launch: the experiment.
        readout: its analysis.
        looks: how many times it is asked. Under fixed monitoring a p-value holds for one look, so the error rate is
            divided by them (Bonferroni); sequential ones hold for any number.
    """
    fixed = launch.experiment.analysis.monitoring == "fixed"
    return {
        f"{row.arm} {row.surface}.{row.metric}": f"guardrail {row.surface}.{row.metric} of {row.arm} is breached: "
        f"lift {row.lift:+.1%}, margin {row.null_lift:+.1%}, p = {row.p_value:.2g}"
        for row in breaches(launch, readout.lifts, looks=looks if fixed else 1)
    }
