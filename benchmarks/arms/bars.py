"""What is asked of the arms' speed, and whether it holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from benchmarks.arms.found import Found, Measured
from benchmarks.arms.plan import SEEDS
from benchmarks.arms.side import SLATE
from benchmarks.arms.tables import gigabytes, milliseconds

MEMORY = 3e9
"""Bytes resident while a matrix of MovieLens 20M's size is trained on and ranked."""
CALL = 0.005
"""Seconds of a slate for one user, 99 of 100 of them."""
TRAINING, RANKING = 4, 10
"""How many times as fast as RecBole ours has to train, and as Cornac to rank."""
RANKING_SECONDS = 15
"""For 10,000 users."""


@dataclass(frozen=True)
class Bar:
    """One thing that is asked, the figure that answers it, and whether it holds."""

    asked: str
    figure: str
    holds: bool


def bars(found: Found) -> Iterator[Bar]:
    """Yield each bar that can be judged with the sides that ran."""
    own, recbole, cornac = automatic(found), found.sides.get("recbole float32"), found.sides.get("cornac")
    if recbole is not None:
        yield _faster("trains", "RecBole", own.users_a_second / recbole.users_a_second, TRAINING)
        yield _learns(found, found.sides["recbole whole"])
        yield _faster("ranks", "RecBole", recbole.ranking_seconds / own.ranking_seconds, 1)
    if cornac is not None:
        yield _faster("ranks", "Cornac", cornac.ranking_seconds / own.ranking_seconds, RANKING)
    took = own.ranking_seconds
    yield Bar(f"ranks for 10,000 users in less than {RANKING_SECONDS} s", f"{took:.1f} s", took < RANKING_SECONDS)
    yield _faster("trains", "a plain dense step", own.users_a_second / found.sides["floor"].users_a_second, 1)
    peak = found.sides["large"].outcome.peak
    yield Bar("trains and ranks at MovieLens 20M's size in less than 3 GB", gigabytes(peak), peak < MEMORY)
    slowest = float(np.quantile(own.outcome.call_seconds, 0.99))
    asked = f"99 of 100 slates of {SLATE} for one user take less than 5 ms"
    yield Bar(asked, milliseconds(slowest), slowest < CALL)


def automatic(found: Found) -> Measured:
    """Return our training in the precision that `auto` comes to."""
    return found.sides["ours bfloat16" if found.rates.automatic == "bfloat16" else f"ours float32 {SEEDS[0]}"]


def one_more_seed(found: Found) -> tuple[float, float]:
    """Return the 95 % prediction interval of NDCG@100 of one more training of ours, which takes the seeds as normal."""
    own = np.array([found.sides[f"ours float32 {seed}"].judged for seed in SEEDS])
    half = float(student.ppf(0.975, len(own) - 1) * own.std(ddof=1) * (1 + 1 / len(own)) ** 0.5)
    return float(own.mean()) - half, float(own.mean()) + half


def _faster(does: str, other: str, times: float, least: int) -> Bar:
    asked = f"{does} at least {least} times as fast as {other}" if least > 1 else f"{does} faster than {other}"
    return Bar(asked, f"{times:.1f} times as fast", times >= least if least > 1 else times > 1)


def _learns(found: Found, recbole: Measured) -> Bar:
    low, high = one_more_seed(found)
    figure = f"NDCG@100 {low:.4f} to {high:.4f} by seed, and {recbole.judged:.4f}"
    asked = "learns in as many epochs no less than RecBole with the paper's noise"
    return Bar(asked, figure, recbole.judged <= high)
