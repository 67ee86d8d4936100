"""The section of the CPU: what is asked and whether it holds, then ratios, and the figures behind them beside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.arms.bars import automatic, bars, one_more_seed
from benchmarks.arms.found import Found, Measured
from benchmarks.arms.needs import flops, step_bytes
from benchmarks.arms.plan import GROWTH, SEEDS
from benchmarks.arms.side import SLATE
from benchmarks.arms.tables import gigabytes, milliseconds, ratio, table

TRAINED = {
    "ours float32 0": "ours, float32",
    "ours bfloat16": "ours, bfloat16",
    "recbole float32": "RecBole MultiVAE",
    "recbole whole": "RecBole MultiVAE, the paper's noise",
    "recbole bfloat16": "RecBole MultiVAE, `enable_amp`",
    "cornac": "Cornac VAECF",
    "floor": "a plain dense step",
}
RANKED = {"recbole float32": "RecBole", "cornac": "Cornac"}
EPOCHS = 200
"""Of a full training, Liang et al. 2018."""


def section(found: Found, command: str) -> str:
    """Return the whole section."""
    parts = [_opening(found, command), _bars(found), _training(found), _ranking(found), _roofline(found)]
    return "\n\n".join([*parts, _growth(found), _large(found), _closing(found)])


def _opening(found: Found, command: str) -> str:
    own = automatic(found)
    world, epochs = own.planned.world, own.planned.trial.epochs
    return (
        f"## On a CPU, beside RecBole and Cornac\n\n    {command}\n\n"
        f"{found.rates.processor}, {found.rates.threads} threads for every side, each side in a process of its own, "
        f"one after the other. The matrix is made up in the shape of MovieLens 20M: {world.items:,} items, about "
        f"{world.mean_length:.0f} interactions a user, log-normal histories, appeal by Zipf's law, tastes in "
        f"communities; {world.users:,} users to train on and {world.held_out_users:,} others to rank for. The network "
        "is items-600-200-600-items, with dropout 0.5, batches of 500 users, Adam at 0.001 and a KL weight that grows "
        f"to 0.2 over {epochs} epochs. Our precision is `auto` by default, which comes to {found.rates.automatic} on "
        "this processor; weights and optimizer stay in float32."
    )


def _bars(found: Found) -> str:
    rows = [(bar.asked, bar.figure, "holds" if bar.holds else "**does not hold**") for bar in bars(found)]
    return table(("asked of ours, by default", "found", ""), rows)


def _training(found: Found) -> str:
    reference = found.sides.get("recbole float32")
    columns = ("side", "users/s, RecBole = 1", "users/s", "NDCG@100", "epochs", "before the first step", "memory")
    rows = [_trained(label, found.sides[name], reference) for name, label in TRAINED.items() if name in found.sides]
    notes = (
        "Users a second are those of the median epoch, the first left out. NDCG@100 is computed by our evaluation for "
        "every side, from the scores that it gives to the same "
        f"{automatic(found).planned.trial.judged:,} histories. Before the first step is from the files on disk, each "
        "side's in its own format. Memory is the most that was resident until training was over, libraries included. "
        "RecBole runs its own model, loader and trainer. Its noise has a hundredth of the posterior's standard "
        "deviation, so it learns by another loss; the row with the paper's noise changes that line of it alone. Cornac "
        "has no dropout, no unit length and a KL weight of 0.2 throughout, so it is timed and not judged. The plain "
        "step is dense PyTorch, as a careful newcomer would write it."
    )
    return "\n\n".join(["### Training", table(columns, rows), notes, _noise(found)])


def _trained(label: str, each: Measured, reference: Measured | None) -> Sequence[str]:
    return (
        label,
        ratio(each, reference),
        f"{each.users_a_second:,.0f}",
        "" if each.ndcg is None else f"{each.ndcg:.4f}",
        str(each.planned.trial.epochs),
        f"{each.outcome.prepared_seconds:.1f} s",
        gigabytes(each.outcome.training_peak),
    )


def _noise(found: Found) -> str:
    own = ", ".join(f"{found.sides[f'ours float32 {seed}'].judged:.4f}" for seed in SEEDS)
    low, high = one_more_seed(found)
    return (
        f"Our NDCG@100 in float32 over {len(SEEDS)} seeds is {own}; one more seed would give {low:.4f} to {high:.4f} "
        "(95 % prediction interval)."
    )


def _ranking(found: Found) -> str:
    own = automatic(found)
    sides = {"ours": own} | {label: found.sides[name] for name, label in RANKED.items() if name in found.sides}
    rows = [
        (
            label,
            f"{each.ranking_seconds / own.ranking_seconds:.1f}",
            f"{each.ranking_seconds:.1f} s",
            f"{each.planned.trial.evaluated:,}",
        )
        for label, each in sides.items()
    ]
    calls = own.outcome.call_seconds
    median, slowest = (milliseconds(float(np.quantile(calls, level))) for level in (0.5, 0.99))
    notes = (
        "Each side ranks the whole catalogue to depth 100 for users who were not trained on, by its own evaluation; "
        "other numbers of users than 10,000 are scaled. RecBole ranks 1,000 users at a time here; by default it would "
        f"be one. A slate of {SLATE} for one user takes us {median} in the median and {slowest} in 99 of 100 of "
        f"{len(calls)} calls."
    )
    return "\n\n".join(["### Ranking", table(("side", "ours = 1", "10,000 users", "users ranked"), rows), notes])


def _roofline(found: Found) -> str:
    rates = found.rates
    columns = ("ours", "share of the products' rate", "products alone", "bytes alone", "a step", "decoder's products")
    rows = [
        (
            precision,
            *_roof(found.sides[name], rates.decoder[precision], rates.copy, of_logit),
            f"{rates.decoder[precision] / 1e9:,.0f} GFLOP/s",
            f"{rates.square[precision] / 1e9:,.0f} GFLOP/s",
        )
        for precision, name, of_logit in (("float32", "ours float32 0", 4), ("bfloat16", "ours bfloat16", 2))
    ]
    notes = (
        "Products alone is what the operations that a step needs would take at the rate of the decoder's three "
        "products, measured by themselves in the same run; bytes alone is what the bytes that it must read and write "
        f"would take at the rate of a copy. A copy moves {rates.copy / 1e9:.1f} GB/s and a triad "
        f"{rates.triad / 1e9:.1f} GB/s, counted as in STREAM."
    )
    return "\n\n".join(["### How far from what the processor can do", table((*columns, "2,048 squared"), rows), notes])


def _roof(each: Measured, rate: float, copy: float, of_logit: int) -> tuple[str, ...]:
    """Return the share of the products' rate, then the time of a step: by products, by bytes, as measured."""
    world, batch = each.planned.world, each.planned.trial.batch
    step = batch / each.users_a_second
    products = batch * flops(world.items, world.mean_length) / rate
    moved = step_bytes(world.items, batch, of_logit=of_logit) / copy
    return (f"{products / step:.0%}", *(f"{1_000 * seconds:.0f} ms" for seconds in (products, moved, step)))


def _growth(found: Found) -> str:
    columns = ("items", "interactions a user", "users/s, plain step = 1", "users/s", "plain step", "ranking 10,000")
    pairs = [(found.sides[f"growth ours {size}"], found.sides[f"growth floor {size}"]) for size in GROWTH]
    rows = [
        (
            f"{own.planned.world.items:,}",
            f"{own.planned.world.mean_length:.0f}",
            ratio(own, floor),
            f"{own.users_a_second:,.0f}",
            f"{floor.users_a_second:,.0f}",
            f"{own.ranking_seconds:.1f} s",
            gigabytes(own.outcome.peak),
            gigabytes(floor.outcome.peak),
        )
        for own, floor in pairs
    ]
    users = pairs[0][0].outcome.users
    notes = (
        f"{users:,} users to train on and as many to rank for at each size; ours in {pairs[0][0].outcome.precision}, "
        "its memory with the ranking."
    )
    head = "### As the catalogue grows"
    return "\n\n".join([head, table((*columns, "memory", "plain step"), rows), notes])


def _large(found: Found) -> str:
    large = found.sides["large"]
    outcome = large.outcome
    hours = EPOCHS * outcome.users / large.users_a_second / 3_600
    return (
        "### At MovieLens 20M's size\n\n"
        f"{outcome.users:,} users to train on: one epoch takes {outcome.epoch_seconds[0]:.0f} s "
        f"({large.users_a_second:,.0f} users/s in {outcome.precision}), so {EPOCHS} epochs would take {hours:.1f} "
        f"hours. At most {gigabytes(outcome.training_peak)} are resident in training, libraries included, and "
        f"{gigabytes(outcome.peak)} with the ranking for {large.planned.trial.evaluated:,} users."
    )


def _closing(found: Found) -> str:
    peers = [found.sides[name].outcome.versions for name in RANKED if name in found.sides]
    return f"{'. '.join([found.rates.versions, *peers])}. {found.seconds / 60:.0f} minutes in all."
