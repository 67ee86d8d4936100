"""What health rests on as it is printed: the split of every scope, the checks of the data, and what to do first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ab_platform.reporting import figures
from ab_platform.reporting.health import CHECK_LABELS, SCOPES, WORST_FIRST, place
from ab_platform.reporting.html_parts import capital
from ab_platform.reporting.printed_health import Belief, belief
from ab_platform.reporting.printed_rows import one_line
from ab_platform.reporting.verdict import SplitVerdict, split_verdict
from ab_platform.results import Check, CheckName, CheckStatus, Readout, SampleRatioRow
from ab_platform.statistics.sample_ratio import ALARM_BELOW

SPLIT_STATUSES: dict[SplitVerdict, CheckStatus] = {
    "ALARM": "unhealthy",
    "unknown": "unknown",
    "trust the split": "healthy",
}

QUESTIONS: dict[CheckName, str] = {
    "mixed_users": "Was every user served by one arm only?",
    "logging_delay": "Do events arrive soon after they happen?",
    "fallbacks": "Did the arms themselves serve what was shown?",
    "missing_data": "Has every day, surface and arm its data?",
    "no_data": "Are there any data at all?",
}
"""What each check asks, in the words of who reads it for the first time."""

NOT_LOOKED_AT = "The version that analysed this day did not look at the data"


@dataclass(frozen=True)
class Gap:
    """How far an arm's users are from those that its weight promises.

    Attributes:
        arm: its name.
        found: users, as they are printed.
        expected: users, as they are printed.
        gap: the difference, as users and as a share of the expected.
        spread: the difference in standard deviations of chance; infinite for users in an arm of weight 0.
    """

    arm: str
    found: str
    expected: str
    gap: str
    spread: float


@dataclass(frozen=True)
class ScopeSplit:
    """The split of one scope.

    Attributes:
        scope: where, such as `all users` or `Home Card`.
        status: what was found.
        gaps: of each arm, control first.
        p_value: as printed.
        e_value: as printed.
        reason: why it alarms or is unknown; empty while it is sound.
    """

    scope: str
    status: CheckStatus
    gaps: tuple[Gap, ...]
    p_value: str
    e_value: str
    reason: str

    @property
    def widest(self) -> Gap:
        """Return the arm to look at: of two, whose gaps mirror each other, the treatment."""
        return self.gaps[-1] if len(self.gaps) == 2 else max(self.gaps, key=lambda gap: abs(gap.spread))

    @property
    def evidence(self) -> str:
        """Return what it was judged by, such as `p = 0.757, e-value 0.23`."""
        return f"{figures.p_clause(self.p_value)}, {figures.e_clause(self.e_value)}"


@dataclass(frozen=True)
class PrintedCheck:
    """One check of the data.

    Attributes:
        label: its name.
        question: what it asks.
        scope: where; empty where it is of all.
        status: what was found.
        told: the figure and what is required.
        next_step: what to do; empty where nothing is.
    """

    label: str
    question: str
    scope: str
    status: CheckStatus
    told: str
    next_step: str


@dataclass(frozen=True)
class PrintedChecks:
    """All that decides whether a table may be believed.

    Attributes:
        belief: the word, and what it means.
        reason: why: the one thing that was found, or the names of several, which are told one by one below.
        next_step: what to do first; empty where nothing is.
        whole: the split of all users; None where it was not tested.
        scopes: the splits of surfaces, phases and segments, those in trouble first.
        checks: of the data, those in trouble first.
    """

    belief: Belief
    reason: str
    next_step: str
    whole: ScopeSplit | None
    scopes: tuple[ScopeSplit, ...]
    checks: tuple[PrintedCheck, ...]


def printed_checks(readout: Readout) -> PrintedChecks:
    """Print what the health of an analysis rests on."""
    splits = [_split(row) for row in sorted(readout.sample_ratios, key=_trouble)]
    whole = next((each for each in splits if each.scope == capital(SCOPES["all"])), None)
    checks = tuple(_checks(readout))
    found = belief(readout)
    return PrintedChecks(
        belief=found,
        reason=_reason(readout, found),
        next_step=_next_step(readout, found.status, checks),
        whole=whole,
        scopes=tuple(each for each in splits if each is not whole),
        checks=checks,
    )


def gaps(row: SampleRatioRow) -> tuple[Gap, ...]:
    """Print how far each arm is from what its weight promises."""
    total = sum(row.expected)
    return tuple(
        Gap(
            arm=arm,
            found=f"{users:,}",
            expected=f"{round(promised, 1):,.12g}",
            gap=_gap(users, promised),
            spread=_spread(users, promised, total),
        )
        for arm, users, promised in zip(row.arms, row.counts, row.expected, strict=True)
    )


def _reason(readout: Readout, found: Belief) -> str:
    """Name what was found where it is several things, each of which is told below."""
    alarms = [place(row.scope) for row in readout.sample_ratios if row.alarm and found.status == "unhealthy"]
    named = {"the split alarms": alarms} if alarms else {}
    for row in readout.checks:
        if row.status == found.status and found.status in ("unhealthy", "warning"):
            named.setdefault(CHECK_LABELS[row.check], []).append(place(row.scope))
    if sum(map(len, named.values())) < 2:
        return found.reason
    return " ".join(f"{capital(name)} ({'; '.join(places)})." for name, places in named.items())


def _trouble(row: SampleRatioRow) -> tuple[int, bool, float]:
    """Order checks: alarms, then a surface that is unknown, then by how likely chance is; too small ones come last."""
    status = SPLIT_STATUSES[split_verdict(row)]
    urgent = row.alarm or row.scope in SCOPES
    rank = WORST_FIRST.index(status) if urgent else WORST_FIRST.index("healthy")
    return rank, row.p_value is None, 1.0 if row.p_value is None else row.p_value


def _split(row: SampleRatioRow) -> ScopeSplit:
    return ScopeSplit(
        scope=capital(place(row.scope)),
        status=SPLIT_STATUSES[split_verdict(row)],
        gaps=gaps(row),
        p_value=figures.p_value(row.p_value, ALARM_BELOW),
        e_value=figures.e_value(row.e_value),
        reason=one_line(row.reason).rstrip("."),
    )


def _gap(users: int, promised: float) -> str:
    off = users - promised
    if not round(off, 1):
        return "0"
    share = f" ({figures.percent(off / promised, 1 if abs(off / promised) >= 0.1 else 2)})" if promised else ""
    return f"{round(off, 1):+,.12g}{share}"


def _spread(users: int, promised: float, total: float) -> float:
    if promised <= 0.0:
        return float("inf") if users else 0.0
    deviation = (promised * (1.0 - promised / total)) ** 0.5
    return (users - promised) / deviation if deviation else 0.0


def _checks(readout: Readout) -> Iterator[PrintedCheck]:
    if not readout.checks:
        again = f"run `abp analyze {readout.experiment}`"
        yield PrintedCheck("All checks", NOT_LOOKED_AT, "", "unknown", NOT_LOOKED_AT, next_step=again)
    for row in sorted(readout.checks, key=_urgency):
        yield _check(row, arms=readout.labels)


def _urgency(row: Check) -> tuple[int, int]:
    return WORST_FIRST.index(row.status), list(CHECK_LABELS).index(row.check)


def _check(row: Check, *, arms: Collection[str]) -> PrintedCheck:
    told = one_line(row.told).rstrip(".")
    return PrintedCheck(
        label=capital(CHECK_LABELS[row.check]),
        question=QUESTIONS[row.check],
        scope="" if row.scope == "all" else place(row.scope),
        status=row.status,
        # An arm is called as it is called, also where it begins a sentence.
        told=told if told.partition(" ")[0] in arms else capital(told),
        next_step=one_line(row.next_step).rstrip("."),
    )


def _next_step(readout: Readout, status: CheckStatus, checks: Sequence[PrintedCheck]) -> str:
    """Return what to do first about what decides the status."""
    if any(row.alarm for row in readout.sample_ratios):
        return f"find out which users are missing, and where: `abp srm diagnose {readout.experiment}`"
    if status == "unknown" and not readout.sample_ratios:
        return f"run `abp analyze {readout.experiment}`"
    return next(_steps(checks, status), "")


def _steps(checks: Iterable[PrintedCheck], status: CheckStatus) -> Iterator[str]:
    return (check.next_step for check in checks if check.status == status and check.next_step)
