"""Several processes in one training, as torchrun starts them; one process alone is the neutral element.

Every process holds all rows and the same weights, takes its part of each batch, and the gradients are summed before a
step. What the loop asks of other processes is asked here, so that it reads the same for one process and for many.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist

from models.errors import ModelError
from models.recommender import Device

# One process validates while the others wait. A process that dies is seen by torchrun, at once, and not by this.
_LONGEST_WAIT = timedelta(hours=2)

_T = TypeVar("_T")


@dataclass(frozen=True)
class Processes:
    """The processes of a training, as one of them sees them; what it returns is the same for all unless said.

    Attributes:
        rank: of this process, from 0.
        count: of all.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Tell whether this process validates, reports and writes for all."""
        return self.rank == 0

    def part(self, users: Tensor) -> Tensor:
        """Return this process's part of a batch; parts tile it and differ by one user at most, so one may be empty."""
        return users.tensor_split(self.count)[self.rank]

    def sum_gradients(self, network: nn.Module) -> None:
        """Replace each gradient by its sum over the processes; a process without a gradient adds 0."""
        if self.count == 1:
            return
        # A parameter that no process used would do without, but which those are one process cannot know.
        gradients = [_gradient(parameter) for parameter in network.parameters() if parameter.requires_grad]
        for pending in [dist.all_reduce(gradient, async_op=True) for gradient in gradients]:
            if pending is not None:
                pending.wait()

    def total(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Add up named figures over the processes; a process may lack some of them."""
        totals: dict[str, float] = {}
        for each in self.gather(sums):
            for name, value in each.items():
                totals[name] = totals.get(name, 0.0) + value
        return totals

    def from_first(self, compute: Callable[[], _T]) -> _T:
        """Let the first process compute a value, and return it in all."""
        values = [compute() if self.is_first else None]
        if self.count > 1:
            dist.broadcast_object_list(values, src=0)
        return values[0]  # type: ignore[return-value]  # the first process's, in every process

    def gather(self, value: _T) -> list[_T]:
        """Wait for all processes, and return the value of each, in the order of their ranks."""
        values = [value] * self.count
        if self.count > 1:
            dist.all_gather_object(values, value)
        return values

    def agree(self, facts: Mapping[str, object]) -> None:
        """Wait for all processes, and check that each says the same.

        Raises:
            ModelError: naming what differs; in every process.
        """
        first, *others = self.gather(dict(facts))
        for rank, other in enumerate(others, start=1):
            for name in first:
                if other[name] != first[name]:
                    raise ModelError(
                        f"the {name} is {first[name]!r} in process 0 and {other[name]!r} in process {rank}; processes "
                        "of one training must start from the same: start it again when nothing else writes"
                    )


ALONE = Processes()


def current() -> Processes:
    """Return the processes that this one trains with: those of `joined`, or this one alone."""
    if not (dist.is_available() and dist.is_initialized()):
        return ALONE
    return Processes(dist.get_rank(), dist.get_world_size())


@contextlib.contextmanager
def joined(device: Device) -> Iterator[Processes]:
    """Train inside together with the processes that torchrun started; a process that it did not start is alone.

    Args:
        device: `cpu` leaves CUDA alone; else each process takes a GPU of its own where there is CUDA.

    Raises:
        ModelError: there are more processes than GPUs.
    """
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        yield ALONE
        return
    cuda = device != "cpu" and torch.cuda.is_available()
    if cuda:
        _take_gpu(dist.get_node_local_rank(), torch.cuda.device_count())
    # What is said about a training lies in the memory of the CPU; only gradients pass from GPU to GPU.
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=_LONGEST_WAIT)
    yield current()
    # Not after an error: to take leave in good order takes the others, and they may be gone.
    dist.destroy_process_group()


def _take_gpu(place: int, found: int) -> None:
    """Make the GPU of a place among the processes of this machine, from 0, the one that `cuda` means."""
    if place >= found:
        raise ModelError(
            f"process {place + 1} of this machine needs a GPU of its own and torch finds {found}; "
            "start as many processes as there are GPUs, or train on device cpu"
        )
    torch.cuda.set_device(place)


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
