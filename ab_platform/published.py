"""Published moments, look by look: what a fixed test and a confidence sequence would have said at each look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean

from ab_platform.datasets.moments_file import PublishedLook, PublishedSeries, read
from ab_platform.errors import PlatformError
from ab_platform.statistics.confidence_sequence import ConfidenceSequence, Interval, running, tuned
from ab_platform.statistics.lift import Lift, lift


@dataclass(frozen=True)
class LookVerdict:
    """One look at one comparison.

    Attributes:
        days: since the start.
        users: in both arms.
        lift: as a fraction; None where it could not be computed.
        fixed_p_value: Welch's, as if this were the one look.
        sequential_p_value: of the confidence sequence, at this look.
        sequential_interval: of the difference, in the metric's unit.
        reason: why a number is absent; None when all are there.
    """

    days: float
    users: int
    lift: float | None = None
    fixed_p_value: float | None = None
    sequential_p_value: float | None = None
    sequential_interval: Interval | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What one way of looking says of a comparison.

    Attributes:
        p_value: at the last look that has numbers.
        significant: at that look.
        first_days: when it was first significant; None where it never was.
        gone: whether it was significant at some look and is not at the last: stopped then, it would have been a win.
    """

    p_value: float
    significant: bool
    first_days: float | None
    gone: bool


@dataclass(frozen=True)
class Comparison:
    """One treatment against its control by one metric, over all looks.

    Attributes:
        experiment: which experiment.
        variant: which treatment.
        metric: which metric.
        tuned_for: users at whom the confidence sequence is narrowest.
        looks: in order of time.
        fixed: None where no look has numbers.
        sequential: None where no look has numbers.
        moved_days: when the sequence's intervals had no difference in common any more: the effect moved, or this is one
            of the alpha.
    """

    experiment: str
    variant: str
    metric: str
    tuned_for: int
    looks: tuple[LookVerdict, ...]
    fixed: Verdict | None = None
    sequential: Verdict | None = None
    moved_days: float | None = None


@dataclass(frozen=True)
class Tally:
    """Of how many comparisons one way of looking says what.

    Attributes:
        last: significant at the last look.
        some: significant at some look.
        gone: of those, not at the last one.
    """

    last: int
    some: int
    gone: int


@dataclass(frozen=True)
class MetricTally:
    """The comparisons of one metric.

    Attributes:
        metric: which.
        comparisons: with numbers at some look.
        without_numbers: those with numbers at none.
        fixed: what the fixed test says.
        sequential: what the confidence sequence says.
        moved: in how many the sequence's intervals came to have nothing in common.
        both: found by both, each at some look.
        days_later: how much later the sequence found these than the fixed test first did, on average; None without any.
    """

    metric: str
    comparisons: int
    without_numbers: int
    fixed: Tally
    sequential: Tally
    moved: int
    both: int
    days_later: float | None


@dataclass(frozen=True)
class Published:
    """A file of moments, judged.

    Attributes:
        alpha: two-sided error rate.
        metrics: a tally each.
        comparisons: sorted by metric, experiment and variant.
        told: what was assumed and what the file lacks, in sentences.
    """

    alpha: float
    metrics: tuple[MetricTally, ...]
    comparisons: tuple[Comparison, ...]
    told: tuple[str, ...]


def judge(path: Path, *, alpha: float = 0.05, users: int | None = None) -> Published:
    """Judge every comparison of a file at each of its looks, by a fixed test and by a confidence sequence.

    Args:
        path: CSV or Parquet, in the layout of `datasets.moments_file`.
        alpha: two-sided error rate, in (0, 1).
        users: that every comparison was planned for; None takes those of its own last look.

    Raises:
        DataError: for a file that cannot be read as moments.
        PlatformError: for an option out of its range.
    """
    if not 0.0 < alpha < 1.0:
        raise PlatformError(f"alpha is {alpha}; it must lie between 0 and 1, such as 0.05")
    if users is not None and users < 1:
        raise PlatformError(f"users are {users}; give those that were planned for, at least 1")
    series = read(path)
    comparisons = tuple(_judged(each, alpha, users) for each in series)
    metrics = dict.fromkeys(each.metric for each in comparisons)
    tallies = tuple(_tally(metric, [each for each in comparisons if each.metric == metric]) for metric in metrics)
    return Published(alpha, tallies, comparisons, tuple(_told(series, comparisons, users)))


def _judged(series: PublishedSeries, alpha: float, users: int | None) -> Comparison:
    tuned_for = users or max(series.looks[-1].users, 1)
    sequence = tuned(tuned_for, alpha)
    looks = tuple(_look(each, sequence, alpha) for each in series.looks)
    found = Comparison(series.experiment, series.variant, series.metric, tuned_for, looks)
    known = [each for each in looks if each.fixed_p_value is not None]
    if not known:
        return found
    common = running(each.sequential_interval for each in known)
    return replace(
        found,
        fixed=_verdict(known, alpha, lambda look: look.fixed_p_value),
        sequential=_verdict(known, alpha, lambda look: look.sequential_p_value),
        moved_days=next((look.days for look, each in zip(known, common, strict=True) if each is None), None),
    )


def _look(look: PublishedLook, sequence: ConfidenceSequence, alpha: float) -> LookVerdict:
    found = LookVerdict(look.days, look.users)
    if look.control is None or look.treatment is None:
        return replace(found, reason=f"{' and '.join(look.missing)} {'is' if len(look.missing) == 1 else 'are'} empty")
    fixed = lift(look.control, look.treatment, alpha=alpha)
    if fixed.p_value is None:
        return replace(found, lift=fixed.lift, reason=fixed.reason)
    sequential = lift(look.control, look.treatment, alpha=alpha, monitoring=sequence)
    return replace(
        found,
        lift=fixed.lift,
        fixed_p_value=fixed.p_value,
        sequential_p_value=sequential.p_value,
        sequential_interval=_interval(sequential),
        reason=fixed.reason if fixed.lift is None else None,
    )


def _interval(found: Lift) -> Interval:
    assert found.difference_low is not None
    assert found.difference_high is not None
    return found.difference_low, found.difference_high


def _verdict(looks: Sequence[LookVerdict], alpha: float, p_value: Callable[[LookVerdict], float | None]) -> Verdict:
    p_values = [found for look in looks if (found := p_value(look)) is not None]
    first = next((look.days for look, found in zip(looks, p_values, strict=True) if found < alpha), None)
    significant = p_values[-1] < alpha
    return Verdict(p_values[-1], significant, first, first is not None and not significant)


def _tally(metric: str, comparisons: Sequence[Comparison]) -> MetricTally:
    fixed = [each.fixed for each in comparisons if each.fixed is not None]
    sequential = [each.sequential for each in comparisons if each.sequential is not None]
    later = [
        second.first_days - first.first_days
        for first, second in zip(fixed, sequential, strict=True)
        if first.first_days is not None and second.first_days is not None
    ]
    return MetricTally(
        metric,
        comparisons=len(fixed),
        without_numbers=len(comparisons) - len(fixed),
        fixed=_counted(fixed),
        sequential=_counted(sequential),
        moved=sum(each.moved_days is not None for each in comparisons),
        both=len(later),
        days_later=fmean(later) if later else None,
    )


def _counted(verdicts: Sequence[Verdict]) -> Tally:
    return Tally(
        last=sum(each.significant for each in verdicts),
        some=sum(each.first_days is not None for each in verdicts),
        gone=sum(each.gone for each in verdicts),
    )


def _told(series: Sequence[PublishedSeries], comparisons: Sequence[Comparison], users: int | None) -> Iterator[str]:
    if users is None:
        yield (
            "Each confidence sequence is tuned for the users of its comparison's last look, as if exactly those had "
            "been planned: a live experiment must say its users before it starts (--users tries another plan)."
        )
    else:
        yield f"Every confidence sequence is tuned for {users:,} users, as if they had been planned."
    reasons = Counter(look.reason for each in comparisons for look in each.looks if look.reason is not None)
    if reasons:
        most = "; ".join(f"{count:,} × {reason}" for reason, count in reasons.most_common(3))
        yield f"{reasons.total():,} of {sum(len(each.looks) for each in series):,} looks lack a number: {most}."
    shrunk = [
        (each, before, after) for each in series for before, after in pairwise(each.looks) if _fewer(before, after)
    ]
    if shrunk:
        each, before, after = shrunk[0]
        yield (
            f"{len(shrunk)} looks count fewer users than the look before them, though moments should be of all users "
            f"so far; they are judged as they are. The first: experiment {each.experiment}, variant {each.variant}, "
            f"metric {each.metric}, {before.users:,} users on day {before.days:g} and {after.users:,} on day "
            f"{after.days:g}."
        )


def _fewer(before: PublishedLook, after: PublishedLook) -> bool:
    return after.users_control < before.users_control or after.users_treatment < before.users_treatment
