"""What the machine can do: the rate of matrix products and of memory, measured beside what is measured against them."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from benchmarks import records
from benchmarks.arms.side import HIDDEN, Rates, Trial, answer
from benchmarks.arms.world import World
from models.recommender import FitOptions
from models.training import resolve

SQUARE = 2_048
VECTOR = 64 * 2**20
"""Numbers in a vector, 256 MiB in float32: far more than caches hold."""
ROUNDS = 7
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def run(trial: Trial) -> Rates:
    """Measure products and memory on the trial's device, with its threads and its batch."""
    torch.set_num_threads(trial.threads)
    device = torch.device(trial.device)
    copy, triad = bandwidth(device)
    return Rates(
        processor=processor() if trial.device == "cpu" else torch.cuda.get_device_name(),
        threads=trial.threads,
        decoder={name: decoder_rate(trial.batch, dtype, device) for name, dtype in PRECISIONS.items()},
        square={name: product_rate([(SQUARE, SQUARE, SQUARE)], dtype, device) for name, dtype in PRECISIONS.items()},
        copy=copy,
        triad=triad,
        automatic=resolve(FitOptions(device=trial.device)).precision,
        versions=records.versions(),
    )


def decoder_rate(batch: int, dtype: torch.dtype, device: torch.device) -> float:
    """Return flops a second over the decoder's three products: the logits, and the gradients of both factors."""
    items = World(1, 1).items
    return product_rate([(batch, HIDDEN, items), (HIDDEN, batch, items), (batch, items, HIDDEN)], dtype, device)


def product_rate(shapes: list[tuple[int, int, int]], dtype: torch.dtype, device: torch.device) -> float:
    """Return flops a second over products of (rows, inner) and (inner, columns), each at its best of several rounds."""
    flops, seconds = 0, 0.0
    for rows, inner, columns in shapes:
        left = torch.randn(rows, inner, device=device).to(dtype)
        right = torch.randn(inner, columns, device=device).to(dtype)
        product = left @ right
        seconds += _best(lambda: torch.mm(left, right, out=product), device)  # noqa: B023 - called at once
        flops += 2 * rows * inner * columns
    return flops / seconds


def bandwidth(device: torch.device) -> tuple[float, float]:
    """Return bytes a second of a copy and of a triad, reads and writes counted as in STREAM (McCalpin 1995)."""
    a, b, c = (torch.ones(VECTOR, device=device) for _ in range(3))
    size = a.nbytes
    copy = 2 * size / _best(lambda: a.copy_(b), device)
    return copy, 3 * size / _best(lambda: torch.add(b, c, alpha=3.0, out=a), device)


def processor() -> str:
    """Return the name that the processor gives itself."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _best(call: Callable[[], Tensor], device: torch.device) -> float:
    seconds = []
    for _ in range(ROUNDS):
        began = perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(perf_counter() - began)
    return min(seconds)


if __name__ == "__main__":
    answer(run)
