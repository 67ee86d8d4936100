"""The end of an experiment: what the rule says, what people decided, and the stop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ab_platform.analysis import readout
from ab_platform.errors import ExperimentError, NotFoundError, nearest
from ab_platform.lineage import Change, Launch, own_time
from ab_platform.storage.store import Store

Choice = Literal["ship", "keep"]


@dataclass(frozen=True)
class Decided:
    """What becomes of an experiment.

    Attributes:
        experiment: its key.
        choice: `ship` a treatment, or `keep` the control.
        arm: what serves from now on.
        rule: what the decision rule said of each treatment.
        by: who decided.
    """

    experiment: str
    choice: Choice
    arm: str
    rule: str
    by: str


def proposed(store: Store, key: str) -> Decided:
    """Return what the decision rule proposes: ship the treatment that it ships, else keep the control.

    Of several treatments to ship it is the one with the largest lift in the first primary row.

    Raises:
        NotFoundError: for an unknown experiment, or one that is not analyzed.
    """
    launch, found = store.experiment(key), readout(store, key)
    said = "; ".join(f"{decision.arm}: {decision.outcome} ({decision.reason})" for decision in found.decisions)
    ships = {decision.arm for decision in found.decisions if decision.outcome == "ship"}
    primary = launch.experiment.primary[0]
    lifts = [row for row in found.lifts if f"{row.surface}.{row.metric}" == primary and row.arm in ships]
    best = max(lifts, key=lambda row: row.lift or 0.0, default=None)
    if best is None:
        return Decided(key, "keep", launch.experiment.control.name, said, "the rule")
    return Decided(key, "ship", best.arm, said, "the rule")


def options(store: Store, key: str) -> dict[Choice, str]:
    """Return the arm that each choice means: to ship, the treatment that the rule proposes, else the first."""
    experiment = store.experiment(key).experiment
    rule = _rule(store, key)
    ships = rule.arm if rule.choice == "ship" else experiment.treatments[0].name
    return {"ship": ships, "keep": experiment.control.name}


def decided(store: Store, key: str) -> Decided | None:
    """Return what was decided; None while nothing is."""
    noted = next((change.after for change in store.changes(key) if change.action == "decide"), None)
    if noted is None:
        return None
    choice: Choice = "ship" if noted["choice"] == "ship" else "keep"
    return Decided(key, choice, str(noted["arm"]), str(noted["rule"]), str(noted["by"]))


def decide(store: Store, key: str, arm: str | None, *, by: str, now: datetime, reason: str | None = None) -> Decided:
    """Write down which arm serves from now on, and stop the experiment.

    Args:
        store: takes the decision into the change log.
        key: of the experiment.
        arm: the treatment to ship, the control to keep it, or None for what the rule proposes.
        by: who decides.
        now: the time; of a replay, its calendar is asked instead.
        reason: why, for the change log.

    Raises:
        ExperimentError: for an experiment that was decided otherwise.
        NotFoundError: for an unknown experiment or arm.
    """
    launch, changes = store.experiment(key), store.changes(key)
    rule = _rule(store, key)
    chosen = _chosen(launch, rule.arm if arm is None else arm)
    made = Decided(key, "keep" if chosen == launch.experiment.control.name else "ship", chosen, rule.rule, by)
    after = {"choice": made.choice, "arm": made.arm, "by": by, "rule": made.rule}
    earlier = decided(store, key)
    if earlier is not None and earlier.arm != chosen:
        raise ExperimentError(
            f"{key} was decided: {earlier.choice} {earlier.arm}, by {earlier.by}; it stands. "
            "To decide anew, launch it under a new key"
        )
    at = max(own_time(launch, changes, now), launch.launched_at)
    if earlier is None:
        store.note(Change(key, at, "decide", None, after, reason))
    store.stop(key, at=at, reason=f"decided: {made.choice} {chosen}")
    standing = [alert.key for alert in store.alerts(key) if alert.kind in ("sample_ratio", "guardrail")]
    store.clear_alerts(key, keep=standing, at=now)
    return earlier or made


def _rule(store: Store, key: str) -> Decided:
    try:
        return proposed(store, key)
    except NotFoundError:
        control = store.experiment(key).experiment.control.name
        return Decided(key, "keep", control, "nothing was analyzed", "the rule")


def _chosen(launch: Launch, arm: str) -> str:
    names = [each.name for each in launch.experiment.arms]
    if arm not in names:
        raise NotFoundError(f"arm '{arm}' is not in {launch.experiment.key}; {nearest(arm, names)}")
    return arm
