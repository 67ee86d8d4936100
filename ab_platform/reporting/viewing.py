"""The table made another way: which stored rows stand for it, and the sentence that says it decides nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from ab_platform.events import Surface
from ab_platform.results import LiftRow, LiftView, Readout
from ab_platform.statistics.monitoring import MonitoringName

Looks = Literal["fixed", "sequential"]
Scale = Literal["relative", "difference"]
Key = tuple[Surface, str, str]
"""Surface, metric and arm of a row."""

LOOKS_WORDS: dict[MonitoringName, str] = {
    "fixed": "one look at the planned end",
    "sequential": "a look at any time",
    "group_sequential": "the planned looks",
}
NO_VIEWS = "this analysis was stored without other ways to make the table; run `abp analyze {key}`"
"""For an analysis of a version that kept none; a page shows the words in backticks as a command."""


@dataclass(frozen=True)
class View:
    """How the table is made; as the experiment's rule says wherever it is None.

    Attributes:
        baseline: the arm that the others are compared with; the control where None.
        covariates: whether covariates take variance away.
        looks: how often intervals and p-values hold.
        scale: whether an effect is relative to the baseline, or the difference in the metric's unit. Both are stored
            of every row, so either is as decided.
    """

    baseline: str | None = None
    covariates: bool | None = None
    looks: Looks | None = None
    scale: Scale = "relative"

    @property
    def decides(self) -> bool:
        """Whether the table is the one that the decision rests on."""
        return self.baseline is None and self.covariates is None and self.looks is None


AS_DECIDED = View()


@dataclass(frozen=True)
class Rule:
    """How the rows of the table were made: what the decision rests on.

    Attributes:
        baseline: the control.
        covariates: whether they took variance away in any row.
        monitoring: how often the rows may be looked at.
        adjusted: whether any row is adjusted for others of its family.
    """

    baseline: str
    covariates: bool
    monitoring: MonitoringName
    adjusted: bool


def rule(readout: Readout) -> Rule:
    """Return how the rows of a readout were made."""
    return Rule(
        baseline=next(iter(readout.labels), "control"),
        covariates=any(row.variance_saved is not None for row in readout.lifts),
        monitoring=next((row.monitoring for row in readout.lifts), "fixed"),
        adjusted=any(row.adjustment != "none" for row in readout.lifts),
    )


def normal(readout: Readout, view: View) -> View:
    """Return the same view with None wherever it asks for what the rule says anyway."""
    said = rule(readout)
    return replace(
        view,
        baseline=None if view.baseline == said.baseline else view.baseline,
        covariates=None if view.covariates == said.covariates else view.covariates,
        looks=None if view.looks == said.monitoring else view.looks,
    )


def viewed(readout: Readout, view: View) -> Readout:
    """Put the stored rows of a view in the place of the decided ones.

    Segments are kept as decided alone, and true lifts against the control alone, so a view that has none leaves them
    out. A row that was not stored this way is left out too; `sentence` counts them.

    Args:
        readout: of one experiment as of one day.
        view: as it is wanted.
    """
    wanted = normal(readout, view)
    if wanted.decides:
        return readout
    truths = readout.truths if wanted.baseline is None else ()
    return replace(
        readout,
        lifts=tuple(_rows(readout, wanted)),
        labels=_labels(readout, wanted),
        truths=truths,
        truth_from=readout.truth_from if truths else None,
        segments=(),
        segment_tests=(),
    )


@dataclass(frozen=True)
class Choices:
    """What a readout can be looked at, what the rule says always among it.

    Attributes:
        baselines: arms, the control first.
        covariates: without and with them, as far as they are there.
        looks: how often rows may hold for, the fewest first.
    """

    baselines: tuple[str, ...]
    covariates: tuple[bool, ...]
    looks: tuple[MonitoringName, ...]


def choices(readout: Readout) -> Choices:
    """Return how a readout can be looked at with what is stored of it."""
    said = rule(readout)
    baselines = {said.baseline, *(each.baseline for each in readout.views)}
    against_control = [each for each in readout.views if each.baseline == said.baseline]
    looks = {said.monitoring, *(each.row.monitoring for each in against_control)}
    return Choices(
        baselines=tuple(dict.fromkeys((said.baseline, *(arm for arm in readout.labels if arm in baselines)))),
        covariates=tuple(sorted({said.covariates, *(each.covariates for each in against_control)})),
        looks=tuple(name for name in LOOKS_WORDS if name in looks),
    )


def missing(readout: Readout, view: View) -> int:
    """Return how many rows of a view are not stored."""
    wanted = normal(readout, view)
    if wanted.decides:
        return 0
    return len(_keys(readout, wanted)) - sum(1 for _ in _rows(readout, wanted))


def sentence(readout: Readout, view: View) -> str:
    """Say that a view decides nothing, what it shows and what the rule is; empty for the table as decided."""
    wanted, said = normal(readout, view), rule(readout)
    if wanted.decides:
        return ""
    shown = _words(
        wanted.baseline or said.baseline,
        said.covariates if wanted.covariates is None else wanted.covariates,
        wanted.looks or _looks(said),
    )
    decided = _words(said.baseline, said.covariates, said.monitoring)
    adjusted = ", primary rows adjusted for each other" if said.adjusted else ""
    left_out = missing(readout, wanted)
    lacking = f" {left_out} rows were not stored this way and are left out." if left_out else ""
    return (
        f"This view decides nothing. Shown: {shown}, no row adjusted for another. "
        f"The rule, which decides: {decided}{adjusted}.{lacking}"
    )


def _words(baseline: str, covariates: bool, monitoring: MonitoringName) -> str:
    variance = "with CUPED" if covariates else "without CUPED"
    return f"against {baseline}, {variance}, {LOOKS_WORDS[monitoring]}"


def _looks(said: Rule) -> Looks:
    """Return how often the rows of a view hold where only something else was asked for.

    Views are not stored for planned looks. One look is the nearest of those that are: it holds at the planned end.
    """
    return "sequential" if said.monitoring == "sequential" else "fixed"


def _labels(readout: Readout, wanted: View) -> dict[str, str]:
    """Return the arms, the baseline first."""
    names = dict(readout.labels)
    if wanted.baseline is None:
        return names
    return {wanted.baseline: names.get(wanted.baseline, "")} | names


def _keys(readout: Readout, wanted: View) -> list[Key]:
    """Return surface, metric and arm of every row that a view should have, in the order of the table."""
    baseline, *arms = _labels(readout, wanted) or ("control",)
    if wanted.baseline is None:
        return [(row.surface, row.metric, row.arm) for row in readout.lifts]
    measured = dict.fromkeys((row.surface, row.metric) for row in readout.lifts)
    return [(surface, metric, arm) for surface, metric in measured for arm in arms if arm != baseline]


def _rows(readout: Readout, wanted: View) -> Iterator[LiftRow]:
    said = rule(readout)
    baseline, looks = wanted.baseline or said.baseline, wanted.looks or _looks(said)
    covariates = said.covariates if wanted.covariates is None else wanted.covariates
    found: dict[Key, LiftView] = {}
    for each in readout.views:
        if (each.baseline, each.row.monitoring) != (baseline, looks) or (each.covariates and not covariates):
            continue
        key = (each.row.surface, each.row.metric, each.row.arm)
        # A row that no covariate can help is stored without them only, and stands for itself.
        if key not in found or each.covariates:
            found[key] = each
    for key in _keys(readout, wanted):
        if key in found:
            yield found[key].row


def effect_label(scale: Scale) -> str:
    """Name the column of effects."""
    return "Lift" if scale == "relative" else "Difference"
