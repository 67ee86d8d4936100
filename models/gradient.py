"""A recommender whose network learns by gradient: all that such arms share, apart from the network."""

import abc
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.allocation import kept
from models.checkpoint import Checkpoint
from models.config import TrainingConfig
from models.distributed import Processes, current
from models.errors import ModelError
from models.interactions import HeldOut, Interactions
from models.learner import Learner
from models.ranking import evaluate
from models.recommender import FitOptions, FitReport, checked_histories
from models.rows import Rows
from models.training import Hardware, Job, generator, resolve, threads, train

CPU = torch.device("cpu")
_Config = TypeVar("_Config", bound=TrainingConfig)


class GradientRecommender(abc.ABC, Generic[_Config]):
    """Fit, score, save and restore one network; a child says which.

    Attributes:
        name: in the registry.
        config_type: what `config` is.
        config: its settings.
        items: the item ids, in the order of the scores; empty until it is fitted or restored.
        deterministic: whether the seed makes no difference.
    """

    name: str
    config_type: type[_Config]
    deterministic: bool = False

    def __init__(self, config: _Config | None = None) -> None:
        self.config = config or self.config_type()
        self.items: tuple[str, ...] = ()
        self._learner: Learner | None = None

    @abc.abstractmethod
    def build(self, items: int, chance: torch.Generator) -> Learner:
        """Return an untrained network over so many items, its weights drawn from `chance`."""

    def fit(self, interactions: Interactions, validation: HeldOut | None, options: FitOptions) -> FitReport:
        """Train from the first weights, or from the checkpoint of the same training.

        Inside `distributed.joined` every process calls this with the same arguments and ends with the same weights.

        Raises:
            ModelError: there is nothing to train on, a loss is not finite, the device is not there, the checkpoint is
                of another training, or processes that train together were not given the same.
        """
        if not interactions.matrix.nnz:
            raise ModelError("there is no interaction to train on; at least one is required")
        hardware, processes = resolve(options), current()
        identity = self._identity(interactions, validation, options.seed, hardware, processes)
        processes.agree(identity)
        self.items = interactions.items
        # Drawn on the CPU, so that a GPU starts from the same weights.
        chance = generator(options.seed, 0, CPU)
        learner = self.build(len(self.items), chance)
        learner.prepare(Rows.of(interactions.matrix, CPU), chance)
        self._learner = learner.to(hardware.device)
        job = Job(
            learner=self._learner,
            rows=Rows.of(interactions.matrix, hardware.device),
            config=self.config,
            seed=options.seed,
            hardware=hardware,
            validate=None if validation is None else lambda: evaluate(self, validation).mean_ndcg_100,
            processes=processes,
        )
        with threads(options.threads), kept():
            return train(job, Checkpoint(options.checkpoint, identity), on_epoch=options.on_epoch)

    def fitted(self) -> Learner:
        """Return the network.

        Raises:
            ModelError: nothing is learned yet.
        """
        if self._learner is None:
            raise ModelError(f"{self.name} is not fitted; call fit, or load an artifact")
        return self._learner

    def score(self, histories: csr_matrix) -> NDArray[np.float32]:
        """Return the logits of each history, (users, items), on the whole history and without noise."""
        checked_histories(histories, self.items, self.name)
        learner = self.fitted()
        rows = Rows.of(histories, next(learner.parameters()).device)
        with torch.no_grad():
            logits, _ = learner(rows)
        scores: NDArray[np.float32] = logits.float().cpu().numpy()
        return scores

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the network's weights by name, without those that only training needs."""
        return {name: tensor.cpu().numpy() for name, tensor in self.fitted().served().items()}

    def restore(self, items: Sequence[str], arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take over the weights, on the CPU.

        Raises:
            ModelError: names or shapes are not those of this network.
        """
        learner = self.build(len(items), generator(0, 0, CPU))
        try:
            found = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
            # What only training needs is not there, and keeps what it was built with.
            learner.load_state_dict(learner.state_dict() | found if found.keys() == learner.served().keys() else found)
        except RuntimeError as error:
            raise ModelError(f"the arrays are not those of {self.name} over {len(items)} items: {error}") from error
        self.items = tuple(items)
        self._learner = learner

    def _identity(
        self,
        interactions: Interactions,
        validation: HeldOut | None,
        seed: int,
        hardware: Hardware,
        processes: Processes,
    ) -> dict[str, object]:
        """Return all that decides the result of a training, by name."""
        return dict(self.config.as_mapping()) | {
            "recommender": self.name,
            "seed": seed,
            "training data": interactions.content_hash(),
            "validation data": None if validation is None else validation.content_hash(),
            "device": str(hardware.device),
            "precision": hardware.precision,
            "compiled steps": hardware.compiled,
            "number of processes": processes.count,
        }
