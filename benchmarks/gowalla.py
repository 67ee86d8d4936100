"""Gowalla, weak generalisation: Multi-VAE against its published figures on the split of NGCF and LightGCN.

    ABP_DATA_HOME=... python -m benchmarks.gowalla --output docs/offline.md

Needs `gowalla/train.txt` and `gowalla/test.txt`, one line a user: the user, then the items. The test file is opened
when training is over. The epoch is chosen on a part of the train file: a tenth of the items of 2,000 users, which are
then not trained on.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array

from benchmarks import records
from models.interactions import HeldOut, Interactions
from models.ranking import hits_of, ndcg_at
from models.recommender import EpochReport, FitOptions, Recommender, top
from models.registry import create

VALIDATION_USERS, VALIDATION_FRACTION, SPLIT_SEED = 2_000, 0.1, 98765
PUBLISHED = (0.1641, 0.1335)  # Recall@20 and NDCG@20 of Mult-VAE, BARS leaderboard
# Fixed beforehand for a run of about half an hour, not searched: smaller batches take more steps in the same time.
TRIED: tuple[Mapping[str, object], ...] = (
    {"batch": 250, "anneal_epochs": 40, "epochs": 30, "patience": 5},
    {"batch": 500, "learning_rate": 2e-3, "beta_max": 0.5, "anneal_epochs": 5, "epochs": 26, "patience": 8},
)
"""The settings that differ from the defaults, one training each."""

DEPTH = 20


@dataclass(frozen=True, eq=False)
class Pairs:
    """The user and the item of each interaction, as numbers."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]


@dataclass(frozen=True)
class Result:
    """What one training found; `popularity` and `multi_vae` are Recall@20 and NDCG@20 on the test items."""

    validation_ndcg: float
    popularity: tuple[float, float]
    multi_vae: tuple[float, float]
    test_interactions: int
    best_epoch: int
    epochs_run: int
    seconds: float
    precision: str
    threads: int


def read(path: Path) -> Pairs:
    """Read a file of one line a user."""
    rows = [np.array(line.split(), dtype=np.int64) for line in path.read_text(encoding="utf-8").splitlines()]
    users = np.repeat([row[0] for row in rows if len(row)], [len(row) - 1 for row in rows if len(row)])
    return Pairs(users, np.concatenate([row[1:] for row in rows]))


def matrix(pairs: Pairs, shape: tuple[int, int]) -> csr_matrix:
    """Return the pairs as ones, (users, items)."""
    ones = csr_matrix((np.ones(len(pairs.users), dtype=np.float32), (pairs.users, pairs.items)), shape=shape)
    ones.sum_duplicates()
    ones.data[:] = 1
    return ones


def hold_out(train: csr_matrix) -> tuple[csr_matrix, HeldOut]:
    """Take a tenth of the items of some users, at random, out of training, to choose the epoch on."""
    rng = np.random.default_rng(SPLIT_SEED)
    in_random_order = replace(interactions(train), times=rng.permutation(train.nnz))
    tenth = in_random_order.hold_back(VALIDATION_FRACTION)[1].matrix
    chosen = np.sort(rng.choice(np.flatnonzero(np.diff(tenth.indptr)), VALIDATION_USERS, replace=False))
    judged = np.isin(np.arange(train.shape[0]), chosen).astype(np.float32)
    rest = csr_matrix(train - diags_array(judged) @ tenth)
    rest.eliminate_zeros()
    rest.sort_indices()
    return rest, HeldOut(rest[chosen], tenth[chosen], tuple(str(user) for user in chosen))


def interactions(train: csr_matrix) -> Interactions:
    """Name users and items by their numbers, with leading zeros so that they stay in order."""
    users = tuple(f"{user:06d}" for user in range(train.shape[0]))
    items = tuple(f"{item:06d}" for item in range(train.shape[1]))
    return Interactions(train, users, items, np.zeros(train.nnz, dtype=np.int64))


def test_scores(recommender: Recommender, train: csr_matrix, test: csr_matrix) -> tuple[float, float]:
    """Return Recall@20 and NDCG@20 as the published figures define them, over users with a test item."""
    judged = np.flatnonzero(np.diff(test.indptr))
    hits = hits_of(top(recommender, train[judged], DEPTH), test[judged])
    relevant = np.diff(test[judged].indptr)
    # Here recall divides by all test items, also where there are more than the list is long.
    return float((hits.sum(axis=1) / relevant).mean()), float(ndcg_at(DEPTH, hits, relevant).mean())


def report(train: csr_matrix, results: Sequence[Result]) -> str:
    """Return the section of the document; the training that is best on the validation users stands for Multi-VAE."""
    best = max(results, key=lambda result: result.validation_ndcg)
    rows = {"popularity": best.popularity, "multi_vae": best.multi_vae, "Mult-VAE, published": PUBLISHED}
    shares = [found / published for found, published in zip(best.multi_vae, PUBLISHED, strict=True)]
    return "\n".join(
        [
            "## Gowalla: Multi-VAE against its published figures\n",
            "    ABP_DATA_HOME=... python -m benchmarks.gowalla --output docs/offline.md\n",
            f"The split of NGCF and LightGCN: {train.shape[0]:,} users, {train.shape[1]:,} items, {train.nnz:,} train "
            f"and {best.test_interactions:,} test interactions, the same users in both. The train items are the input "
            "and are left out of the ranking. Recall@20 divides by the number of a user's test items; NDCG@20 has gain "
            "1 and its ideal cut at min(20, n). Published: BARS leaderboard.\n",
            "| arm | Recall@20 | NDCG@20 |",
            "|---|---|---|",
            *(f"| {name} | {recall:.4f} | {ndcg:.4f} |" for name, (recall, ndcg) in rows.items()),
            "",
            f"That is {shares[0]:.0%} and {shares[1]:.0%} of what is published. The settings were chosen among those "
            f"below by NDCG@100 on a tenth of the train items of {VALIDATION_USERS:,} users, which was not trained on, "
            "and so was each epoch. The last settings were sought after the test scores of the first were known: in "
            "six trials of a smaller network (200-64) on the same validation users, two of them cut after an epoch; "
            "these are not in the records. So the chosen figure is not a first look at the test items. Seed 0.\n",
            *tried_table(results, best),
            "",
            f"{sum(result.seconds for result in results) / 60:.0f} minutes in {best.precision} on x86-64. "
            f"{records.versions()}.",
        ]
    )


def tried_table(results: Sequence[Result], best: Result) -> list[str]:
    """Return every training, the chosen one in bold."""
    lines = [
        "| settings that differ from the defaults | epoch | validation NDCG@100 | Recall@20 | NDCG@20 | minutes |",
        "|---|---|---|---|---|---|",
    ]
    for config, result in zip(TRIED, results, strict=True):
        mark = "**" if result is best else ""
        settings = ", ".join(f"{name} {value}" for name, value in config.items())
        recall, ndcg = result.multi_vae
        lines.append(
            f"| {mark}{settings}{mark} | {result.best_epoch} of {result.epochs_run} | {result.validation_ndcg:.4f} "
            f"| {recall:.4f} | {ndcg:.4f} | {result.seconds / 60:.0f} ({result.threads} threads) |"
        )
    return lines


def progress(epoch: EpochReport) -> None:
    """Print what an epoch did."""
    terms = ", ".join(f"{name} {value:.1f}" for name, value in epoch.losses.items())
    print(f"epoch {epoch.epoch}: {terms}, NDCG@100 {epoch.ndcg:.4f}, {epoch.seconds:.0f} s", flush=True)


def run(train: csr_matrix, test_file: Path, config: Mapping[str, object], *, checkpoint: Path, threads: int) -> Result:
    """Train, then open the test file and score."""
    rest, validation = hold_out(train)
    arm, popularity = create("multi_vae", config), create("popularity")
    options = FitOptions(device="cpu", threads=threads, checkpoint=checkpoint, on_epoch=progress)
    trained = arm.fit(interactions(rest), validation, options)
    popularity.fit(interactions(train), None, options)
    test = matrix(read(test_file), train.shape)
    assert trained.ndcg is not None
    return Result(
        validation_ndcg=trained.ndcg,
        popularity=test_scores(popularity, train, test),
        multi_vae=test_scores(arm, train, test),
        test_interactions=test.nnz,
        best_epoch=trained.best_epoch,
        epochs_run=trained.epochs_run,
        seconds=trained.seconds,
        precision=trained.precision,
        threads=threads,
    )


def main() -> None:
    """Run what has not been run and write the section."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--results", type=Path, default=Path(".abp/benchmarks/gowalla.jsonl"))
    parser.add_argument("--output", type=Path, default=Path("docs/offline.md"))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    home = os.environ.get("ABP_DATA_HOME")
    if home is None or not (folder := Path(home) / "gowalla").exists():
        parser.error("ABP_DATA_HOME must name a folder that holds gowalla/train.txt and gowalla/test.txt")
    pairs = read(folder / "train.txt")
    shape = (int(pairs.users.max()) + 1, int(pairs.items.max()) + 1)
    train = matrix(pairs, shape)
    for config in TRIED:
        if key(config) not in records.read(arguments.results):
            checkpoint = arguments.results.with_suffix(".checkpoint.safetensors")
            result = run(train, folder / "test.txt", config, checkpoint=checkpoint, threads=arguments.threads)
            records.append(arguments.results, {"key": key(config), **asdict(result)})
            checkpoint.unlink(missing_ok=True)
    done = records.read(arguments.results)
    found = [{name: value for name, value in done[key(config)].items() if name != "key"} for config in TRIED]
    records.put_section(arguments.output, "gowalla", report(train, [Result(**result) for result in found]))


def key(config: Mapping[str, object]) -> str:
    """Return what a training is recorded under."""
    return json.dumps(dict(config), sort_keys=True)


if __name__ == "__main__":
    main()
