"""The one training loop, for every arm that learns by gradient.

All chance of an epoch comes from a generator seeded by (seed, epoch). So weights, optimizer state and the number of
epochs done are all that it takes to go on after a kill, to the same bits on the same machine with the same threads.

Several processes take a step together: each its part of the batch, and what is minimised is the mean over the users of
the whole batch, as in one process. All draw the same order of users; masks and noise are drawn by each process for its
own users, so that they have one process's distribution but not its values.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn

from models.checkpoint import Checkpoint, State, Tensors
from models.config import TrainingConfig
from models.distributed import ALONE, Processes
from models.errors import ModelError
from models.recommender import EpochReport, FitOptions, FitReport
from models.rows import Rows


@dataclass(frozen=True, eq=False)
class Term:
    """One term of a loss: its mean over the users of a batch, and its weight in the sum that is minimised."""

    value: Tensor
    weight: float = 1.0


class Learner(nn.Module):
    """A network that the loop can train; `forward(rows)` returns logits (users, items) and the posterior."""

    def losses(self, rows: Rows, epochs_done: float, noise: torch.Generator) -> Mapping[str, Term]:
        """Return the named terms for a batch.

        Args:
            rows: the users' items.
            epochs_done: how far training is, in epochs and fractions of one.
            noise: the source of all chance.
        """
        raise NotImplementedError

    def diagnostics(self) -> Mapping[str, float]:
        """Return named figures to log after each epoch beside the terms."""
        return {}


@dataclass(frozen=True)
class Hardware:
    """Where the loop runs, and whether its large products are in `float32` or `bfloat16`."""

    device: torch.device
    precision: str


@dataclass(frozen=True, eq=False)
class Job:
    """What is trained, and how.

    Attributes:
        learner: on the device.
        rows: the training users' items, on the device.
        config: learning rate, batch, epochs, patience.
        seed: of all chance.
        hardware: the device and the precision.
        validate: returns NDCG@100 of the learner as it is; None keeps the last weights.
        processes: that train together; the first of them validates, writes the checkpoint and reports.
    """

    learner: Learner
    rows: Rows
    config: TrainingConfig
    seed: int
    hardware: Hardware
    validate: Callable[[], float] | None
    processes: Processes = ALONE


def train(job: Job, checkpoint: Checkpoint, *, on_epoch: Callable[[EpochReport], None] | None = None) -> FitReport:
    """Train to the last epoch, or until patience runs out, and leave the best weights in the learner.

    Raises:
        ModelError: a loss is not finite, the checkpoint is of another training, or processes read different ones.
    """
    optimizer = torch.optim.Adam(job.learner.parameters(), lr=job.config.learning_rate, fused=True)
    state = checkpoint.read() or State({}, {}, {}, ())
    # After this no process reads the file any more, so the first may replace it, and its owner may remove it.
    job.processes.agree({"number of epochs done": len(state.history)})
    _take_up(job.learner, optimizer, state)
    while not _finished(state.history, job.config):
        report = _epoch(job, optimizer, len(state.history) + 1)
        state = _after(job.learner, optimizer, state, report)
        if job.processes.is_first:
            checkpoint.write(state, finished=_finished(state.history, job.config))
            if on_epoch is not None:
                on_epoch(report)
    if state.best:
        job.learner.load_state_dict(dict(state.best))
    return _summary(state.history, job)


def resolve(options: FitOptions) -> Hardware:
    """Decide on device and precision where the options say `auto`.

    Raises:
        ModelError: CUDA is asked for and there is none.
    """
    cuda = torch.cuda.is_available()
    if options.device == "cuda" and not cuda:
        raise ModelError("the device is cuda and torch finds none; use device auto or cpu, or install torch for CUDA")
    device = "cuda" if cuda and options.device != "cpu" else "cpu"
    if options.precision != "auto":
        return Hardware(torch.device(device), options.precision)
    # Without tiles (AMX) a CPU multiplies bfloat16 no faster than float32, measured: slower.
    made_for_it = torch.cuda.is_bf16_supported() if device == "cuda" else _has_tiles()
    return Hardware(torch.device(device), "bfloat16" if made_for_it else "float32")


def generator(seed: int, epoch: int, device: torch.device, *, stream: int = 0) -> torch.Generator:
    """Return a source of chance of one epoch; epoch 0 draws the first weights."""
    # A stream of 0 counts as none: the sequence fills up with zeros.
    mixed = np.random.SeedSequence([seed, epoch, stream]).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(mixed))


@contextlib.contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Use so many CPU threads inside, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, eq=False)
class _Part:
    """One process's users of a batch, their share of it, and how far training is, in epochs."""

    rows: Rows
    share: float
    epochs_done: float


def _epoch(job: Job, optimizer: torch.optim.Optimizer, number: int) -> EpochReport:
    started = perf_counter()
    losses = _mean_losses(job, optimizer, number)
    if not math.isfinite(losses["loss"]):
        raise ModelError(f"the loss is {losses['loss']} in epoch {number}; it must be finite: lower the learning rate")
    ndcg = None if job.validate is None else job.processes.from_first(job.validate)
    logged = losses | dict(job.learner.diagnostics())
    return EpochReport(number, job.config.epochs, logged, ndcg, perf_counter() - started)


def _mean_losses(job: Job, optimizer: torch.optim.Optimizer, epoch: int) -> dict[str, float]:
    """Take a step a batch over all users; return each term's mean over users, and their weighted sum as `loss`."""
    device = job.hardware.device
    shared = generator(job.seed, epoch, device)
    order = torch.randperm(len(job.rows), generator=shared, device=device)
    noise = shared if job.processes.is_first else generator(job.seed, epoch, device, stream=job.processes.rank)
    batches = torch.split(order, job.config.batch)
    sums: dict[str, Tensor] = {}
    for step, batch in enumerate(batches):
        users = job.processes.part(batch)
        part = _Part(job.rows.take(users), len(users) / len(batch), epoch - 1 + step / len(batches))
        for name, value in _step(job, optimizer, part, noise).items():
            sums[name] = sums.get(name, 0) + value * len(users)
    # Read once an epoch: on a GPU each reading waits for all that was queued.
    totals = job.processes.total({name: value.item() for name, value in sums.items()})
    return {name: total / len(job.rows) for name, total in totals.items()}


def _step(job: Job, optimizer: torch.optim.Optimizer, part: _Part, noise: torch.Generator) -> dict[str, Tensor]:
    """Take a step together with the other processes; return the losses of the own part, none where it is empty."""
    losses = _losses(job, part, noise) if len(part.rows) else {}
    # Not before the losses: the backward pass then finds this memory free and warm; a step took a fifth longer.
    optimizer.zero_grad()
    if losses:
        losses["loss"].backward(torch.full_like(losses["loss"], part.share))  # type: ignore[no-untyped-call]
    job.processes.sum_gradients(job.learner)
    optimizer.step()
    return {name: value.detach() for name, value in losses.items()}


def _losses(job: Job, part: _Part, noise: torch.Generator) -> dict[str, Tensor]:
    """Return the terms, means over the part's users, and before them their weighted sum."""
    with torch.autocast(part.rows.items.device.type, torch.bfloat16, enabled=job.hardware.precision == "bfloat16"):
        terms = job.learner.losses(part.rows, part.epochs_done, noise)
    loss = torch.stack([term.value * term.weight for term in terms.values()]).sum()
    return {"loss": loss} | {name: term.value for name, term in terms.items()}


def _after(learner: Learner, optimizer: torch.optim.Optimizer, state: State, report: EpochReport) -> State:
    history = (*state.history, report)
    weights = learner.state_dict()
    improved = report.ndcg is not None and _best(history) is report
    best = {name: tensor.clone() for name, tensor in weights.items()} if improved else state.best
    return State(weights, best, _optimizer_tensors(optimizer), history)


def _take_up(learner: Learner, optimizer: torch.optim.Optimizer, state: State) -> None:
    if not state.history:
        return
    learner.load_state_dict(dict(state.weights))
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in state.optimizer.items():
        index, _, key = name.partition(".")
        slots.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    slots = optimizer.state_dict()["state"]
    return {f"{index}.{key}": tensor for index, slot in slots.items() for key, tensor in slot.items()}


def _best(history: tuple[EpochReport, ...]) -> EpochReport:
    """Return the first of the best epochs, or the last epoch where none was validated."""
    if history[-1].ndcg is None:
        return history[-1]
    return max(history, key=lambda report: report.ndcg or 0.0)


def _finished(history: tuple[EpochReport, ...], config: TrainingConfig) -> bool:
    if not history:
        return False
    return len(history) >= config.epochs or len(history) - _best(history).epoch >= config.patience


def _summary(history: tuple[EpochReport, ...], job: Job) -> FitReport:
    best, device, count = _best(history), str(job.hardware.device), job.processes.count
    return FitReport(
        best_epoch=best.epoch,
        epochs_run=len(history),
        ndcg=best.ndcg,
        seconds=sum(report.seconds for report in history),
        history=history,
        device=device if count == 1 else f"{device} x {count}",
        precision=job.hardware.precision,
    )


def _has_tiles() -> bool:
    """Tell whether the CPU multiplies bfloat16 in tiles (AMX)."""
    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)  # torch has no public name for it
    return bool(supported and supported())
