"""One row's way from day to day in words and figures, before any picture or table is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

from ab_platform.metrics import Metric
from ab_platform.reporting import figures
from ab_platform.reporting.bars import Axis, Bar, axis
from ab_platform.reporting.history import Calendar, Day, Span, counting, days, printed_row, runs, shown, span
from ab_platform.reporting.printed_rows import surface_label
from ab_platform.reporting.verdict import TONES, Tone, sentence
from ab_platform.reporting.viewing import Looks, Scale
from ab_platform.results import LiftRow, LiftView

FARTHEST = 2.5
"""As in `bars`, but less far: the first days are wide, and they are not what is looked for."""

TRUE = "true lift"
DOUBTED = "not to be trusted"

ORDER: tuple[Tone, ...] = ("better", "worse", "no", "unknown")


@dataclass(frozen=True)
class Told:
    """One day.

    Attributes:
        as_of: last day that counts.
        day: its rows.
        spans: the estimate with the interval that holds at every look, and with the one for one look.
        counts: which of the two may be acted on as of this day.
        tone: of what the day shows by it.
        facts: day, estimate, both intervals and what they show, printed; the one for one look first.
    """

    as_of: date
    day: Day
    spans: tuple[Span, Span]
    counts: Looks
    tone: Tone
    facts: tuple[str, str, str, str, str]


@dataclass(frozen=True)
class Story:
    """All that is shown of one row over time.

    Attributes:
        told: its days, the oldest first.
        row: as the newest table has it.
        measured: its metric.
        planned: the days of the experiment.
        scale: whether it is told as a lift or as a difference.
        truth: the true lift, where it is known.
        shared: the axis of several stories; one of its own where None.
        doubted: whether split or data forbid to believe it, so that no day shows anything.
    """

    told: tuple[Told, ...]
    row: LiftRow
    measured: Metric
    planned: Calendar
    scale: Scale
    truth: float | None
    shared: Axis | None = None
    doubted: bool = False

    @property
    def last(self) -> date:
        """Return the last day there is to show."""
        return max(self.planned.last, self.planned.first, *(day.as_of for day in self.told))

    @property
    def bands(self) -> tuple[str, str]:
        """Say what each interval promises, the wider first."""
        level = figures.level(self.row.alpha)
        return (
            f"{level} confidence sequence: holds at every look",
            f"{level} interval: for one look, at the planned end",
        )

    @property
    def tones(self) -> tuple[Tone, ...]:
        """Return what there is of verdicts."""
        found = {day.tone for day in self.told}
        return tuple(tone for tone in ORDER if tone in found)

    @property
    def meanings(self) -> list[str]:
        """Say what every band and mark means."""
        return [*self.bands, *(self.meaning(tone) for tone in self.tones)]

    def meaning(self, tone: Tone) -> str:
        """Say what the mark of a day means."""
        left_out = "beyond the margin" if self.row.role == "guardrail" else "worse"
        good = "within the margin" if self.row.role == "guardrail" else "better"
        meanings: dict[Tone, str] = {
            "better": f"{good}, by the band that counts on that day",
            "worse": f"{left_out}, by the band that counts on that day",
            "no": "nothing shown yet",
            "unknown": DOUBTED if self.doubted else "no interval to act on",
        }
        return meanings[tone]

    @property
    def levels(self) -> dict[str, float]:
        """Return the lifts that lines are drawn at, beside zero."""
        if self.scale == "difference":
            return {}
        margin = {"margin": self.row.null_lift} if self.row.role == "guardrail" else {}
        return margin if self.truth is None else margin | {TRUE: self.truth}

    @cached_property
    def axis(self) -> Axis:
        """Return the axis: it holds zero and every interval, but for ends that lie far out."""
        if self.shared is not None:
            return self.shared
        spans = [found for day in self.told for found in day.spans]
        bars = [Bar(found.middle, found.low, found.high, "no", "") for found in spans]
        return axis([*bars, *(Bar(level, None, None, "no", "") for level in self.levels.values())], farthest=FARTHEST)

    def runs(self, band: int = 1, *, bounded: bool = False) -> tuple[tuple[Told, ...], ...]:
        """Divide the days where one or more between them have no figures.

        Args:
            band: whose figures must be there.
            bounded: whether its interval must be there too.
        """
        by_day = {
            each.as_of: each
            for each in self.told
            if each.spans[band].middle is not None and not (bounded and each.spans[band].low is None)
        }
        return tuple(tuple(by_day[day.as_of] for day in run) for run in runs([each.day for each in by_day.values()]))


def story(
    history: Sequence[LiftView],
    row: LiftRow,
    measured: Metric,
    planned: Calendar,
    *,
    covariates: bool | None = None,
    scale: Scale = "relative",
    truth: float | None = None,
    doubted: bool = False,
) -> Story:
    """Tell how one row came to be.

    Args:
        history: views of all days, against the control.
        row: of the newest table; says surface, metric, arm, role and rule.
        measured: its metric.
        planned: the days of the experiment.
        covariates: whether covariates took variance away; as in the table where None.
        scale: whether lifts or differences are told.
        truth: the true lift, where it is known.
        doubted: whether split or data forbid to believe it.
    """
    adjusted = row.variance_saved is not None if covariates is None else covariates
    found = days(history, (row.surface, row.metric, row.arm), covariates=adjusted)
    told = tuple(_told(day, row, measured, planned, scale) for day in found)
    if doubted:
        told = tuple(replace(each, tone="unknown", facts=(*each.facts[:4], DOUBTED)) for each in told)
    return Story(told, row, measured, planned, scale, truth, doubted=doubted)


def on_one_axis(stories: Sequence[Story]) -> tuple[Story, ...]:
    """Put several stories on one axis, so that they can be compared."""
    low = min((told.axis.low for told in stories), default=0.0)
    high = max((told.axis.high for told in stories), default=0.0)
    return tuple(replace(told, shared=Axis(low, high)) for told in stories)


def describe(told: Story) -> str:
    """Say in sentences what the picture of a story shows, for who cannot see it."""
    place = f"{surface_label(told.row.surface)}, {told.measured.label}, {told.row.arm}"
    if not told.told:
        return f"{place}: no day was analysed."
    first, last = told.told[0], told.told[-1]
    many = (
        f"{len(told.told)} days from {first.as_of} to {last.as_of}" if len(told.told) > 1 else f"one day, {last.as_of}"
    )
    _, lift, fixed, sequential, word = last.facts
    return (
        f"{place}: the {'lift' if told.scale == 'relative' else 'difference'} over {many}. "
        f"As of the last, {lift}; {fixed} for one look at the planned end, {sequential} at every look; {word}."
    )


def _told(day: Day, row: LiftRow, measured: Metric, planned: Calendar, scale: Scale) -> Told:
    looks = counting(day, row.monitoring, planned)
    word = shown(day, measured, looks)
    lift, fixed = printed_row(day.fixed, measured, scale)
    facts = (
        f"{day.as_of.isoformat()}, day {planned.number(day.as_of)}",
        lift,
        fixed,
        printed_row(day.sequential, measured, scale)[1],
        sentence(row, word),
    )
    return Told(day.as_of, day, (span(day.sequential, scale), span(day.fixed, scale)), looks, TONES[word], facts)
