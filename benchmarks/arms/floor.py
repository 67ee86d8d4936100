"""The floor: a plain dense step in PyTorch, as a careful newcomer would write it from the paper."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its common name
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from benchmarks import records
from benchmarks.arms import matrices
from benchmarks.arms.side import BETA, HIDDEN, KEEP, LATENT, LEARNING_RATE, SCORES, Outcome, Trial, answer, peak_bytes


class Dense(nn.Module):
    """items -> hidden -> latent -> hidden -> items, tanh between, over dense rows."""

    def __init__(self, items: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(items, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 2 * LATENT))
        self.decoder = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, items))
        for parameter in self.parameters():
            nn.init.xavier_uniform_(parameter) if parameter.dim() > 1 else nn.init.zeros_(parameter)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (users, items), mean and log-variance (users, latent)."""
        dropped = F.dropout(F.normalize(rows), 1 - KEEP, self.training)
        mean, log_variance = self.encoder(dropped).chunk(2, dim=1)
        noise = torch.randn_like(mean) * (log_variance / 2).exp() if self.training else 0
        return self.decoder(mean + noise), mean, log_variance


def loss(rows: Tensor, output: tuple[Tensor, Tensor, Tensor], beta: float) -> Tensor:
    """Return the negative evidence bound of the rows, its mean over users."""
    logits, mean, log_variance = output
    reconstruction = -(F.log_softmax(logits, dim=1) * rows).sum(dim=1).mean()
    kl = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1).mean()
    return reconstruction + beta * kl


def run(trial: Trial) -> Outcome:
    """Train and leave scores behind."""
    began = perf_counter()
    torch.manual_seed(trial.seed)
    read = matrices.read(Path(trial.data))
    network = Dense(read.train.shape[1]).to(trial.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    prepared = perf_counter() - began
    seconds = tuple(_epoch(trial, epoch, read.train, network, optimizer) for epoch in range(trial.epochs))
    peak = peak_bytes()
    if trial.judged:
        rows = torch.from_numpy(read.fold_in[: trial.judged].toarray())
        with torch.no_grad():
            np.save(SCORES, network.eval().cpu()(rows)[0].numpy())
    return Outcome(
        users=read.train.shape[0],
        epoch_seconds=seconds,
        prepared_seconds=prepared,
        training_peak=peak,
        peak=peak,
        precision="float32",
        versions=records.versions(),
    )


def _epoch(trial: Trial, epoch: int, train: csr_matrix, network: Dense, optimizer: torch.optim.Optimizer) -> float:
    """Take a step a batch over all users; return the seconds it took."""
    began = perf_counter()
    order = np.random.default_rng([trial.seed, epoch]).permutation(train.shape[0])
    batches = np.split(order, range(trial.batch, len(order), trial.batch))
    for step, batch in enumerate(batches):
        rows = torch.from_numpy(train[batch].toarray()).to(trial.device)
        beta = BETA * (epoch + step / len(batches)) / trial.epochs
        optimizer.zero_grad()
        loss(rows, network(rows), beta).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    if trial.device == "cuda":
        torch.cuda.synchronize()
    return perf_counter() - began


if __name__ == "__main__":
    answer(run)
