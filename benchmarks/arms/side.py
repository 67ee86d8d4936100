"""What a side is asked, and what it answers: one line of JSON each way, so that every side has its own process.

This module is read in every environment, so it imports neither torch nor the platform.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

HIDDEN, LATENT = 600, 200
KEEP, BETA, LEARNING_RATE = 0.5, 0.2, 1e-3
SLATE = 20
SCORES = "scores.npy"
"""The file in the current folder that a side leaves its scores of the judged users in."""

_Answer = TypeVar("_Answer", "Outcome", "Rates")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training by one side, and what is measured of it.

    Attributes:
        side: the module that runs it.
        data: the folder of the matrices.
        epochs: passes over the training users; the weight of the KL term grows over all of them.
        batch: users a step.
        precision: of the large products, `float32`, `bfloat16` or, for ours, `auto`.
        seed: of all chance.
        threads: of the CPU.
        device: `cpu` or `cuda`.
        evaluated: held-out users whose ranking is timed.
        deviation: of the sampled point, in standard deviations of the posterior; None is the side's own.
        calls: slates for one user that are timed.
        judged: held-out users whose scores are left behind.
    """

    side: str
    data: str
    epochs: int
    batch: int = 500
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: int = 0
    threads: int
    device: Literal["cpu", "cuda"] = "cpu"
    deviation: float | None = None
    evaluated: int = 0
    calls: int = 0
    judged: int = 0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a side measured.

    Attributes:
        users: trained on.
        epoch_seconds: of each epoch.
        prepared_seconds: from what is on disk, in the side's own format, to the first step.
        training_peak: the most memory the process had resident until training was over, in bytes.
        peak: the same, evaluation included.
        precision: what the large products were in.
        evaluation_seconds: of ranking the evaluated users; None where it was not asked for.
        call_seconds: of each slate for one user.
        versions: of the libraries.
    """

    users: int
    epoch_seconds: tuple[float, ...]
    prepared_seconds: float
    training_peak: int
    peak: int
    precision: str
    evaluation_seconds: float | None = None
    call_seconds: tuple[float, ...] = ()
    versions: str


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What the machine can do.

    Attributes:
        processor: its name.
        threads: that were used.
        decoder: flops a second in the three products of the decoder, by precision.
        square: flops a second in the product of two square matrices, by precision.
        copy: bytes a second, read and written, of copying.
        triad: bytes a second, read and written, of `a = b + s c`.
        automatic: the precision that `auto` comes to.
        versions: of the libraries.
    """

    processor: str
    threads: int
    decoder: dict[str, float]
    square: dict[str, float]
    copy: float
    triad: float
    automatic: str
    versions: str


def answer(run: Callable[[Trial], Outcome | Rates]) -> None:
    """Read a trial from standard input, run it, and print what it found on a line of its own."""
    found = run(Trial(**json.loads(sys.stdin.readline())))
    print("\n" + json.dumps(asdict(found)), flush=True)


def parsed(output: str, expected: type[_Answer]) -> _Answer:
    """Return the answer in the last line of what a side printed.

    Raises:
        ValueError: the last line is no such answer.
    """
    last = (output.strip().splitlines() or [""])[-1]
    try:
        return built(json.loads(last), expected)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"the last line is {last!r}; it must be the JSON of {expected.__name__}") from error


def built(fields: Mapping[str, Any], expected: type[_Answer]) -> _Answer:
    """Return an answer from its fields as JSON holds them."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    return expected(**values)


def peak_bytes() -> int:
    """Return the most memory this process has had resident, libraries included."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage would start from the peak of the process that started this one.
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
