"""Whether the lifts may be believed as it is printed: one word, why, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from ab_platform.reporting.health import CHECK_LABELS, WORST_FIRST, overall, place
from ab_platform.reporting.printed_rows import one_line
from ab_platform.results import Check, CheckStatus, Readout

STATUS_WORDS: dict[CheckStatus, str] = {
    "healthy": "Healthy",
    "warning": "Warning",
    "unhealthy": "Unhealthy",
    "unknown": "Health unknown",
}
MEANINGS: dict[CheckStatus, str] = {
    "healthy": "Trust these lifts",
    "warning": "Read these lifts with care",
    "unhealthy": "Do not trust these lifts",
    "unknown": "Whether to trust these lifts is not known",
}


@dataclass(frozen=True)
class Finding:
    """A check of the data that is not as it should be.

    Attributes:
        name: what was looked at, and where.
        status: how bad it is.
        told: the figure and what is required, in a sentence.
        next_step: what to do about it; empty where there is nothing.
    """

    name: str
    status: CheckStatus
    told: str
    next_step: str

    @property
    def words(self) -> str:
        """Return all but the name."""
        return f"{self.told} Next: {self.next_step}" if self.next_step else self.told


@dataclass(frozen=True)
class Belief:
    """Whether the lifts may be believed.

    Attributes:
        status: of split and data together.
        reason: why, in a sentence.
        findings: checks of the data that are not as they should be, the worst first.
        decided: whether the decision says already that they may not.
    """

    status: CheckStatus
    reason: str
    findings: tuple[Finding, ...]
    decided: bool

    @property
    def word(self) -> str:
        """Return the status as it is printed."""
        return STATUS_WORDS[self.status]

    @property
    def meaning(self) -> str:
        """Return what a reader should do with the lifts."""
        return MEANINGS[self.status]


def belief(readout: Readout) -> Belief:
    """Print whether the lifts of a readout may be believed.

    Args:
        readout: of one experiment as of one day.
    """
    found = overall(readout.sample_ratios, readout.checks, readout.decisions)
    wrong = (check for check in readout.checks if check.status in ("unhealthy", "warning"))
    return Belief(
        status=found.status,
        reason=_sentence(found.reason),
        findings=tuple(_finding(check) for check in sorted(wrong, key=lambda check: WORST_FIRST.index(check.status))),
        decided=any(row.outcome == "unhealthy" for row in readout.decisions),
    )


def _finding(check: Check) -> Finding:
    where = "" if check.scope == "all" else f", {place(check.scope)}"
    name = CHECK_LABELS[check.check]
    # After the name and a colon, so it begins with a small letter, or with an arm's name as that is written.
    told = f"{one_line(check.told).rstrip('.')}."
    return Finding(f"{name[:1].upper()}{name[1:]}{where}", check.status, told, _sentence(check.next_step or ""))


def _sentence(text: str) -> str:
    """Begin with a capital and end with a full stop."""
    words = one_line(text).rstrip(".")
    return f"{words[:1].upper()}{words[1:]}." if words else ""
