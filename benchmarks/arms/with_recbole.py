"""RecBole's side: its MultiVAE, its loader, its trainer and its evaluation, run in an environment of its own.

Its network is ours but for two things: its noise has a hundredth of the posterior's standard deviation, unless a trial
asks for another, and its weights start from Xavier's normal law. What it calls `latent_dimension` counts means and
variances together, so it is 400 here.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import recbole  # type: ignore[import-not-found]
import torch
from numpy.typing import NDArray
from recbole.config import Config  # type: ignore[import-not-found]
from recbole.data import create_dataset  # type: ignore[import-not-found]
from recbole.data.utils import get_dataloader  # type: ignore[import-not-found]
from recbole.model.general_recommender import MultiVAE  # type: ignore[import-not-found]
from recbole.sampler import Sampler  # type: ignore[import-not-found]
from recbole.utils import get_trainer, init_seed  # type: ignore[import-not-found]
from scipy.sparse import csr_matrix

from benchmarks.arms import matrices
from benchmarks.arms.side import BETA, HIDDEN, KEEP, LATENT, LEARNING_RATE, SCORES, Outcome, Trial, answer, peak_bytes

USER, ITEM = "user_id", "item_id"
USERS_RANKED_AT_ONCE = 1_000
"""Its default ranks one user at a time in a catalogue of this size."""


class Sampling(MultiVAE):  # type: ignore[misc]
    """Its MultiVAE with noise of a given size.

    Attributes:
        deviation: of the sampled point, in standard deviations of the posterior.
    """

    deviation: float

    def reparameterize(self, mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
        """Return a point a user, in training drawn from the posterior, else its mean."""
        noise = self.deviation * torch.randn_like(mu) * torch.exp(0.5 * logvar) if self.training else 0
        return mu + noise


def run(trial: Trial) -> Outcome:
    """Train, then rank, and leave scores behind."""
    logging.disable(logging.INFO)
    read = matrices.read(Path(trial.data))
    _write("train", {"train": read.train})
    began = perf_counter()
    config = _config(trial, "train", ["train"], read)
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    [train] = dataset.build()
    loader = get_dataloader(config, "train")(config, train, None, shuffle=True)
    trainer = _trainer(trial, config, train)
    prepared = perf_counter() - began
    seconds = []
    for epoch in range(trial.epochs):
        began = perf_counter()
        trainer._train_epoch(loader, epoch)
        seconds.append(perf_counter() - began)
    training_peak = peak_bytes()
    evaluation_seconds = _evaluate(trial, trainer.model, train, read) if trial.evaluated else None
    peak = peak_bytes()
    if trial.judged:
        np.save(SCORES, _scores(trainer.model, train, read.fold_in[: trial.judged]))
    return Outcome(
        users=read.train.shape[0],
        epoch_seconds=tuple(seconds),
        prepared_seconds=prepared,
        training_peak=training_peak,
        peak=peak,
        precision=trial.precision,
        evaluation_seconds=evaluation_seconds,
        versions=f"RecBole {recbole.__version__}, torch {torch.__version__}, numpy {np.__version__}",
    )


def _write(name: str, parts: dict[str, csr_matrix]) -> None:
    """Write matrices as RecBole's atomic files, into the current folder."""
    Path(name).mkdir()
    for part, matrix in parts.items():
        pairs = matrix.tocoo()
        lines = "\n".join(f"{user}\t{item}" for user, item in zip(pairs.row.tolist(), pairs.col.tolist(), strict=True))
        Path(name, f"{name}.{part}.inter").write_text(f"{USER}:token\t{ITEM}:token\n{lines}\n", encoding="utf-8")


def _config(trial: Trial, name: str, parts: Sequence[str], read: matrices.Matrices) -> Any:
    users, items = read.train.shape
    steps = -(-users // trial.batch) * trial.epochs
    return Config(
        model="MultiVAE",
        dataset=name,
        config_dict={
            "data_path": ".",
            "benchmark_filename": list(parts),
            "load_col": {"inter": [USER, ITEM]},
            "USER_ID_FIELD": USER,
            "ITEM_ID_FIELD": ITEM,
            "train_neg_sample_args": None,
            "seed": trial.seed,
            "use_gpu": trial.device == "cuda",
            "show_progress": False,
            "enable_amp": trial.precision == "bfloat16",
            "mlp_hidden_size": [HIDDEN],
            "latent_dimension": 2 * LATENT,
            "dropout_prob": 1 - KEEP,
            "anneal_cap": BETA,
            "total_anneal_steps": round(steps / BETA),
            "learning_rate": LEARNING_RATE,
            "train_batch_size": trial.batch,
            "eval_batch_size": USERS_RANKED_AT_ONCE * (items + 1),
            "metrics": ["Recall", "NDCG"],
            "topk": [20, 50, 100],
            "valid_metric": "NDCG@100",
        },
    )


def _trainer(trial: Trial, config: Any, train: Any) -> Any:
    model = MultiVAE(config, train) if trial.deviation is None else Sampling(config, train)
    model.deviation = trial.deviation
    model.to(config["device"])
    return get_trainer(config["MODEL_TYPE"], config["model"])(config, model)


def _evaluate(trial: Trial, model: Any, train: Any, read: matrices.Matrices) -> float:
    """Time RecBole's own evaluation of the held-out users, by the trained weights."""
    users = slice(trial.evaluated)
    _write("judged", {"fold_in": read.fold_in[users], "held_out": read.held_out[users]})
    config = _config(trial, "judged", ["fold_in", "held_out"], read)
    dataset = create_dataset(config)
    fold_in, held_out = dataset.build()
    sampler = Sampler(["train", "test"], [fold_in, held_out], "uniform", 1.0).set_phase("test")
    loader = get_dataloader(config, "test")(config, held_out, sampler, shuffle=False)
    trainer = _trainer(trial, config, fold_in)
    # A vocabulary of its own, in order of appearance, since a data set brings its own.
    columns = train.token2id(ITEM, dataset.field2id_token[ITEM])
    weights = {name: _of_items(name, tensor, columns) for name, tensor in model.state_dict().items()}
    trainer.model.load_state_dict(weights)
    began = perf_counter()
    trainer.evaluate(loader, load_best_model=False)
    return perf_counter() - began


def _of_items(name: str, weights: torch.Tensor, columns: NDArray[np.int64]) -> torch.Tensor:
    """Take these items' weights from the layers that have some for each item."""
    if name == "encoder.0.weight":
        return weights[:, columns]
    return weights[columns] if name.startswith("decoder.2.") else weights


def _scores(model: Any, train: Any, histories: csr_matrix) -> NDArray[np.float32]:
    """Score histories, (users, items), in the order of our items; its first item is padding."""
    ours = train.field2id_token[ITEM][1:].astype(np.int64)
    rows = torch.zeros(histories.shape[0], len(ours) + 1)
    rows[:, 1:] = torch.from_numpy(histories[:, ours].toarray())
    with torch.no_grad():
        logits, _, _ = model.eval().cpu()(rows)
    scores = np.empty(histories.shape, dtype=np.float32)
    scores[:, ours] = logits[:, 1:].numpy()
    return scores


if __name__ == "__main__":
    answer(run)
