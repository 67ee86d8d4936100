"""Coverage on real arms and users: re-randomise who gets which arm and ask whether the interval holds the truth.

Run after a replay (`make demo`):

    python -m benchmarks.coverage pia-vs-multivae --output docs/coverage.md

Each re-randomisation draws a new salt, assigns the replayed users with it through the platform's own hash, looks at
the outcome of the arm that each user got, and computes the six lifts. The truth, every user's outcome under both arms,
is known and the same throughout. A fixed population may be over-covered: the variance of the difference of two means
over fixed users is at most what the interval assumes (Neyman 1923; Imbens and Rubin 2015, section 6.5).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy.stats import binom

from ab_platform.analysis.truth import ArmMoments, estimates, exposed_moments, truths
from ab_platform.experiment import Experiment
from ab_platform.metrics import SURFACE_LABELS, metric
from ab_platform.results import Truth
from ab_platform.settings import from_environment
from ab_platform.statistics.lift import lift
from ab_platform.storage.store import OutcomeColumns, open_store

CONFIDENCE = 0.999  # of the binomial bound beside each figure


@dataclass(frozen=True)
class Covered:
    """One row of the table: a true lift, and how often its interval held it."""

    truth: Truth
    held: int
    rounds: int
    mean_width: float
    empirical_width: float

    @property
    def share(self) -> float:
        """Return the share of intervals that held the truth."""
        return self.held / self.rounds


def cover(
    experiment: Experiment, outcomes: Sequence[OutcomeColumns], users: Sequence[str], *, rounds: int
) -> list[Covered]:
    """Re-randomise and count, for every row of the table."""
    known = truths(experiment, outcomes, [])
    held = np.zeros(len(known), dtype=int)
    widths: NDArray[np.float64] = np.zeros((rounds, len(known)))
    lifts: NDArray[np.float64] = np.zeros((rounds, len(known)))
    for number in track(range(rounds), description="re-randomise"):
        moments = _moments(replace(experiment, salt=f"{experiment.salt}/coverage/{number}"), outcomes, users)
        for place, truth in enumerate(known):
            [treatment] = experiment.treatments
            each = metric(truth.metric, experiment.metrics)
            pair = estimates(moments, truth.surface, each, experiment.control, treatment)
            found = lift(*pair, alpha=experiment.alpha)
            if found.low is None or found.high is None or found.lift is None or truth.lift is None:
                raise SystemExit(f"{truth.surface}.{each.name} could not be computed: {found.reason}")
            held[place] += found.low <= truth.lift <= found.high
            widths[number, place], lifts[number, place] = found.high - found.low, found.lift
    spread = 2 * 1.959964 * lifts.std(axis=0, ddof=1)
    return [
        Covered(truth, int(held[place]), rounds, float(widths[:, place].mean()), float(spread[place]))
        for place, truth in enumerate(known)
    ]


def _moments(experiment: Experiment, outcomes: Sequence[OutcomeColumns], users: Sequence[str]) -> ArmMoments:
    placed = experiment.place_all(users, experiment.ranges())
    index = {arm.name: place for place, arm in enumerate(experiment.arms)}
    return {(each.surface, each.arm): exposed_moments(each, placed == index[each.arm]) for each in outcomes}


def as_markdown(key: str, covered: Sequence[Covered], users: int) -> str:
    """Lay the rows out, with the bound that a figure must not fall below."""
    rounds = covered[0].rounds
    least = binom.ppf(1 - CONFIDENCE, rounds, 0.95) / rounds
    lines = [
        "# Coverage on real arms and users",
        "",
        f"`python -m benchmarks.coverage {key}` after `make demo`: {users:,} users, {rounds:,} re-randomisations of "
        "who gets which arm, 95 % Fieller intervals. A figure below "
        f"{least:.1%} (99.9 % binomial bound) would be under-coverage. *Spread* is the width that intervals would need "
        "over this fixed population (2 × 1.96 standard deviations of the lift over the re-randomisations): intervals "
        "are wider because they speak of users like these, not of these users alone.",
        "",
        "| surface | metric | true lift | intervals that hold it | over 95 % by | mean width | spread |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for each in covered:
        truth = each.truth
        lines.append(
            f"| {SURFACE_LABELS[truth.surface]} | {metric(truth.metric).label} | {truth.lift:+.2%} "
            f"| {each.share:.1%} | {each.share - 0.95:+.1%} | {each.mean_width:.2%} | {each.empirical_width:.2%} |"
        )
    verdict = "All rows hold" if min(each.share for each in covered) >= least else "A row is UNDER-COVERED"
    return "\n".join([*lines, "", f"{verdict} the bound of {least:.1%}.", ""])


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("--rounds", type=int, default=1_000)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    store = open_store(from_environment().database_url, migrate=False)
    experiment = store.experiment(options.experiment).experiment
    outcomes = store.outcomes(options.experiment)
    users = outcomes[0].users
    text = as_markdown(options.experiment, cover(experiment, outcomes, users, rounds=options.rounds), len(users))
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
