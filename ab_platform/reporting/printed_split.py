"""The split as it is printed: one line while it is sound, one line more for each check that is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ab_platform.metrics import SURFACE_LABELS
from ab_platform.reporting import figures
from ab_platform.reporting.printed_rows import one_line
from ab_platform.reporting.verdict import SplitVerdict, split_verdict
from ab_platform.results import Readout, SampleRatioRow

SURFACES = {str(surface): label for surface, label in SURFACE_LABELS.items()}
SCOPE_LABELS = {"all": "all users"} | SURFACES

MEANINGS: dict[SplitVerdict, str] = {
    "trust the split": "The arms got the users that their weights promise, within chance.",
    "ALARM": "The arms did not get the users that their weights promise: do not read the lifts before you know why.",
    "unknown": "Whether the arms got the users that their weights promise is not known: read the lifts with care.",
}
UNTESTED = "The sample ratio was not tested: whether to trust the split is unknown."


@dataclass(frozen=True)
class SplitCheck:
    """A check that is not sound: where, the verdict, users found and expected with p-value and e-value, and why."""

    scope: str
    verdict: SplitVerdict
    figures: str
    reason: str

    @property
    def words(self) -> str:
        """Return all but the scope and the verdict."""
        return " ".join(part for part in (f"{self.figures}.", self.reason and f"Why: {self.reason}.") if part)


@dataclass(frozen=True)
class Split:
    """All checks of the split together.

    Attributes:
        verdict: the worst of all users and of the surfaces; any alarm is one.
        meaning: the verdict in a sentence; empty while the split is sound.
        sound: what was tested and found right, with the figures of all users.
        checks: those that are not sound.
        untested: phases and segments that could not be tested, and why; empty without any.
        mixed: how many users were seen in several arms; empty without any.
    """

    verdict: SplitVerdict
    meaning: str
    sound: str
    checks: tuple[SplitCheck, ...]
    untested: str
    mixed: str


def split(readout: Readout) -> Split:
    """Print the checks of a readout."""
    rows = readout.sample_ratios
    small = [row for row in rows if row.scope not in SCOPE_LABELS and split_verdict(row) == "unknown"]
    counted = [row for row in rows if row not in small]
    found = _worst(counted)
    return Split(
        verdict=found,
        meaning=_meaning(readout, found),
        sound=_sound([row for row in counted if split_verdict(row) == "trust the split"]),
        checks=tuple(_check(row) for row in counted if split_verdict(row) != "trust the split"),
        untested=_untested(small),
        mixed=_mixed(readout),
    )


def _meaning(readout: Readout, found: SplitVerdict) -> str:
    if found == "trust the split":
        return ""
    if not readout.sample_ratios:
        return UNTESTED
    next_step = f" Next: abp srm diagnose {readout.experiment}" if found == "ALARM" else ""
    return f"{MEANINGS[found]}{next_step}"


def _worst(rows: Sequence[SampleRatioRow]) -> SplitVerdict:
    found = {split_verdict(row) for row in rows}
    if "ALARM" in found:
        return "ALARM"
    return "trust the split" if found == {"trust the split"} else "unknown"


def _sound(rows: Sequence[SampleRatioRow]) -> str:
    """List what is sound, such as `all users (3,012 and 2,988; p = 0.757, e-value 0.1) and 2 surfaces`."""
    overall = [
        f"all users ({_and([f'{users:,}' for users in row.counts])}; {_evidence(row)})"
        for row in rows
        if row.scope == "all"
    ]
    surfaces = [row.scope for row in rows if row.scope in SURFACES]
    phases = [row.scope for row in rows if row.scope.startswith("phase ")]
    segments = [row.scope for row in rows if row.scope not in {"all", *surfaces, *phases}]
    named = (("surface", surfaces), ("phase", phases), ("segment", segments))
    return _and(overall + [f"{len(scopes)} {noun}{'s' * (len(scopes) > 1)}" for noun, scopes in named if scopes])


def _and(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _check(row: SampleRatioRow) -> SplitCheck:
    promised = [f"{round(users, 1):,.12g}" for users in row.expected]
    expected = f"{promised[0]} each" if len(set(promised)) == 1 else ", ".join(promised)
    return SplitCheck(
        scope=SCOPE_LABELS.get(row.scope, row.scope),
        verdict=split_verdict(row),
        figures=f"{_found(row)}; expected {expected}; {_evidence(row)}",
        reason=one_line(row.reason),
    )


def _found(row: SampleRatioRow) -> str:
    return ", ".join(f"{arm} {users:,}" for arm, users in zip(row.arms, row.counts, strict=True))


def _evidence(row: SampleRatioRow) -> str:
    p_value = figures.p_clause(figures.p_value(row.p_value, 0.001))
    # An analysis of before e-values were kept has none; a new one says that it is unknown beside the p-value.
    return p_value if row.e_value is None else f"{p_value}, {figures.e_clause(figures.e_value(row.e_value))}"


def _untested(rows: Sequence[SampleRatioRow]) -> str:
    return "; ".join(f"{row.scope} ({one_line(row.reason) or 'p unknown'})" for row in rows)


def _mixed(readout: Readout) -> str:
    look = readout.look
    if look is None or not look.mixed_users:
        return ""
    share = figures.size(look.mixed_users / (look.users + look.mixed_users))
    return f"{look.mixed_users:,} users ({share}) were seen in several arms and are left out of every row."
