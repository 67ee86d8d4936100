"""The one training loop, for every arm that learns by gradient.

All chance of an epoch comes from a generator seeded by (seed, epoch). So weights, optimizer state and the number of
epochs done are all that it takes to go on after a kill, to the same bits on the same machine with the same threads.

Several processes take a step together: each its part of the batch, and what is minimised is the mean over the users of
the whole batch, as in one process. All draw the same order of users; masks and noise are drawn by each process for its
own users, so that they have one process's distribution but not its values.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from models.checkpoint import Checkpoint, State, Tensors
from models.config import TrainingConfig
from models.distributed import ALONE, Processes
from models.errors import ModelError
from models.learner import Learner, Losses, Noise, Pass
from models.recommender import EpochReport, FitOptions, FitReport
from models.rows import Rows


@dataclass(frozen=True)
class Hardware:
    """Where the loop runs, in which precision, `float32` or `bfloat16`, and whether its steps are compiled."""

    device: torch.device
    precision: str
    compiled: bool = False


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
    while not _finished(state.history, job):
        report = _epoch(job, optimizer, len(state.history) + 1)
        state = _after(job.learner, optimizer, state, report)
        if job.processes.is_first:
            checkpoint.write(state, finished=_finished(state.history, job))
            if on_epoch is not None:
                on_epoch(report)
    if state.best:
        job.learner.load_state_dict(dict(state.best))
    job.learner.refresh()
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
        return Hardware(torch.device(device), options.precision, options.compiled)
    made_for_it = torch.cuda.is_bf16_supported() if device == "cuda" else _multiplies_bfloat16()
    return Hardware(torch.device(device), "bfloat16" if made_for_it else "float32", options.compiled)


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
    epochs_done: Tensor


def _epoch(job: Job, optimizer: torch.optim.Optimizer, number: int) -> EpochReport:
    started = perf_counter()
    losses = _mean_losses(job, optimizer, number)
    wrong = next((value for value in losses.values() if not math.isfinite(value)), None)
    if wrong is not None:
        raise ModelError(f"the loss is {wrong} in epoch {number}; it must be finite: lower the learning rate")
    job.learner.refresh()
    ndcg = None if job.validate is None else job.processes.from_first(job.validate)
    logged = losses | dict(job.learner.diagnostics())
    return EpochReport(number, job.config.epochs, logged, ndcg, perf_counter() - started)


def _mean_losses(job: Job, optimizer: torch.optim.Optimizer, epoch: int) -> dict[str, float]:
    """Take the passes of an epoch; return each term's mean over users, and a pass's weighted sum as its `loss`."""
    shared = generator(job.seed, epoch, job.hardware.device)
    rank = job.processes.rank
    noise = generator(job.seed, epoch, job.hardware.device, stream=rank) if rank else shared
    means: dict[str, float] = {}
    for each in job.learner.passes(epoch):
        each.begin()
        _train_only(each, job, optimizer)
        losses = torch.compile(each.losses, dynamic=True) if job.hardware.compiled else each.losses
        totals = _sums(losses, job, optimizer, epoch, (shared, noise))
        means |= {f"{each.name} {name}".lstrip(): total / len(job.rows) for name, total in totals.items()}
    return means


def _train_only(each: Pass, job: Job, optimizer: torch.optim.Optimizer) -> None:
    """Let the steps of a pass change its parameters, at its rate; the others get no gradient, and so no step."""
    chosen = None if each.trains is None else {id(parameter) for parameter in each.trains}
    for parameter in job.learner.parameters():
        parameter.requires_grad_(chosen is None or id(parameter) in chosen)
        if each.afresh and parameter.requires_grad:
            optimizer.state.pop(parameter, None)
    for group in optimizer.param_groups:
        group["lr"] = each.learning_rate or job.config.learning_rate


def _sums(
    losses: Losses, job: Job, optimizer: torch.optim.Optimizer, epoch: int, chance: tuple[Noise, Noise]
) -> dict[str, float]:
    """Take a step a batch over all users; return each term summed over users.

    Args:
        losses: returns the terms of a batch.
        job: what is trained.
        optimizer: takes the steps.
        epoch: its number.
        chance: what draws the order of users, the same in all processes, and what draws this one's noise.
    """
    shared, noise = chance
    order = torch.randperm(len(job.rows), generator=shared, device=job.hardware.device)
    batches = torch.split(order, job.config.batch)
    parts = [job.processes.part(batch) for batch in batches]
    # Once a pass, and not at each step: on a GPU each reading waits for all that was queued.
    entries = torch.stack([job.rows.lengths[users].sum() for users in parts]).tolist()
    sums: dict[str, Tensor] = {}
    for step, (batch, users) in enumerate(zip(batches, parts, strict=True)):
        rows = job.rows.take(users, entries[step])
        part = _Part(rows, len(users) / len(batch), torch.tensor(epoch - 1 + step / len(batches)))
        for name, value in _step(losses, job, optimizer, part, noise).items():
            sums[name] = sums.get(name, 0) + value * len(users)
    return job.processes.total({name: value.item() for name, value in sums.items()})


def _step(
    losses_of: Losses, job: Job, optimizer: torch.optim.Optimizer, part: _Part, noise: Noise
) -> dict[str, Tensor]:
    """Take a step together with the other processes; return the losses of the own part, none where it is empty."""
    losses = _losses(losses_of, job.hardware, part, noise) if len(part.rows) else {}
    # Not before the losses: the backward pass then finds this memory free and warm; a step took a fifth longer.
    optimizer.zero_grad()
    if losses:
        losses["loss"].backward(torch.full_like(losses["loss"], part.share))  # type: ignore[no-untyped-call]
    job.processes.sum_gradients(job.learner)
    optimizer.step()
    return {name: value.detach() for name, value in losses.items()}


def _losses(losses: Losses, hardware: Hardware, part: _Part, noise: Noise) -> dict[str, Tensor]:
    """Return the terms, means over the part's users, and before them their weighted sum."""
    with torch.autocast(hardware.device.type, torch.bfloat16, enabled=hardware.precision == "bfloat16"):
        terms = losses(part.rows, part.epochs_done, noise)
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


def _finished(history: tuple[EpochReport, ...], job: Job) -> bool:
    if not history:
        return False
    waited = len(history) - max(_best(history).epoch, job.learner.least_epochs)
    return len(history) >= job.config.epochs or waited >= job.config.patience


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


def _multiplies_bfloat16() -> bool:
    """Tell whether the CPU has instructions for it; without them bfloat16 was slower than float32, measured."""
    # torch has no public names for these.
    asked = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, bool)() for name in asked)
