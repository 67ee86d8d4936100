"""The section of a GPU: how fast, how far from what it can do, and how long a full training would be."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.arms.found import Found, Measured
from benchmarks.arms.needs import flops
from benchmarks.arms.plan import LARGE_BATCH
from benchmarks.arms.report import EPOCHS
from benchmarks.arms.tables import ratio, table

PUBLISHED = 354_000
"""Users a second of NVIDIA's VAE-CF (DeepLearningExamples) on one A100, batches of 24,576."""

ABSENT = """## On a GPU

Not measured: torch found no CUDA where this was run. `python -m benchmarks.arms --device cuda` measures it.
"""


def section(found: Found, command: str) -> str:
    """Return the whole section."""
    rates = found.rates
    world = next(iter(found.sides.values())).planned.world
    opening = (
        f"## On a GPU\n\n    {command}\n\n"
        f"{rates.processor}; {world.users:,} users to train on and {world.items:,} items, the size of MovieLens 20M."
    )
    columns = ("side", "users/s, plain step = 1", "users/s", f"{EPOCHS} epochs", "share of the products' rate")
    rows = [_row(each, found) for each in found.sides.values()]
    rate = {name: f"{rates.decoder[name] / 1e12:.1f} TFLOP/s in {name}" for name in rates.decoder}
    notes = (
        f"The products' rate is that of the decoder's three products at batch 500, by themselves: "
        f"{' and '.join(rate.values())}. A copy moves {rates.copy / 1e9:,.0f} GB/s and a triad "
        f"{rates.triad / 1e9:,.0f} GB/s. {EPOCHS} epochs are extrapolated from the median epoch, the first left out, "
        f"without validation. NVIDIA's VAE-CF is published at {PUBLISHED:,} users/s on one A100 in batches of "
        f"{LARGE_BATCH:,}. {rates.versions}."
    )
    return "\n\n".join([opening, table((*columns, "NVIDIA's VAE-CF = 1"), rows), notes])


def _row(each: Measured, found: Found) -> Sequence[str]:
    trial, world, speed = each.planned.trial, each.planned.world, each.users_a_second
    side = "ours" if trial.side == "ours" else "a plain dense step"
    needed = speed * flops(world.items, world.mean_length)
    return (
        f"{side}, {each.outcome.precision}, batches of {trial.batch:,}",
        ratio(each, found.sides[f"cuda floor {trial.batch}"]),
        f"{speed:,.0f}",
        f"{EPOCHS * world.users / speed:,.0f} s",
        f"{needed / found.rates.decoder[each.outcome.precision]:.0%}",
        f"{speed / PUBLISHED:.2f}",
    )
