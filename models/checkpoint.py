"""Where a training can be taken up again: one file, replaced as a whole, that holds tensors and JSON and no code."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from models import durable
from models.errors import ModelError
from models.recommender import EpochReport

_SHARE_OF_TIME = 0.05  # at most this part of a training goes into writing

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class State:
    """Where a training stands after an epoch.

    Attributes:
        weights: of the network now.
        best: of the network at its best epoch so far; empty without validation users.
        optimizer: its state.
        history: what each epoch did.
    """

    weights: Tensors
    best: Tensors
    optimizer: Tensors
    history: tuple[EpochReport, ...]


class Checkpoint:
    """A file that one training, told by its identity, writes and reads.

    Args:
        path: of the file; None keeps nothing.
        identity: what must be equal for a training to go on from it, by name.
    """

    def __init__(self, path: Path | None, identity: Mapping[str, object]) -> None:
        self._path = path
        # Through JSON, so that what was written compares equal to what is read.
        self._identity: dict[str, object] = json.loads(json.dumps(dict(identity)))
        self._next_write = 0.0

    def read(self) -> State | None:
        """Return where the training stands; None at its start.

        Raises:
            ModelError: the file is of another training, or is damaged.
        """
        if self._path is None or not self._path.exists():
            return None
        try:
            with safe_open(self._path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
                said = json.loads(file.metadata()["training"])
        except (SafetensorError, KeyError, TypeError) as error:
            raise ModelError(f"the checkpoint {self._path} is damaged: {error}; delete it to start over") from error
        self._check(said["identity"])
        return State(
            weights=_part(tensors, "weights."),
            best=_part(tensors, "best."),
            optimizer=_part(tensors, "optimizer."),
            history=tuple(EpochReport(**report) for report in said["history"]),
        )

    def write(self, state: State, *, finished: bool) -> None:
        """Keep the state, unless too much time would go into writing; a finished training is always kept."""
        if self._path is None or (perf_counter() < self._next_write and not finished):
            return
        started = perf_counter()
        named = {"weights.": state.weights, "best.": state.best, "optimizer.": state.optimizer}
        tensors = {prefix + name: tensor.cpu() for prefix, part in named.items() for name, tensor in part.items()}
        said = {"identity": self._identity, "history": [asdict(report) for report in state.history]}
        durable.write(self._path, to_bytes(tensors, metadata={"training": json.dumps(said)}))
        now = perf_counter()
        self._next_write = now + (now - started) / _SHARE_OF_TIME

    def _check(self, found: Mapping[str, object]) -> None:
        for name in sorted(found.keys() | self._identity.keys()):
            if found.get(name) != self._identity.get(name):
                raise ModelError(
                    f"the checkpoint {self._path} is of another training: its {name} is {found.get(name)!r}, "
                    f"not {self._identity.get(name)!r}; delete it, or give another path"
                )


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
