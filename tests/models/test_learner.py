"""A network whose epoch has several passes, that needs the users, and whose artifact leaves some of it out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.config import TrainingConfig
from models.errors import ModelError
from models.gradient import GradientRecommender
from models.learner import Learner, Noise, Pass, Term
from models.recommender import FitOptions
from models.rows import Rows
from tests.models.tastes import ITEMS, two_groups

TRAIN = two_groups()
QUICK = TrainingConfig(batch=60, epochs=2, learning_rate=0.1)


class TwoPasses(Learner):
    """Scores that are a weight an item; users have a node that only training needs."""

    training_only = ("nodes",)

    def __init__(self, items: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(items))
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("derived", torch.zeros(1))
        self.begun = 0
        self.refreshed = 0

    def prepare(self, rows: Rows, chance: torch.Generator) -> None:
        self.nodes = nn.Parameter(torch.randn(len(rows), generator=chance))
        self.ids = rows.ids

    def forward(self, rows: Rows) -> tuple[Tensor, None]:
        return self.weights.repeat(len(rows), 1), None

    def passes(self, epoch: int) -> Sequence[Pass]:
        return (
            Pass(self.losses, name="nodes", trains=(self.nodes,), learning_rate=0.5, begin=self._begin),
            Pass(self.losses, name="weights", trains=(self.weights,)),
        )

    def losses(self, rows: Rows, epochs_done: Tensor, noise: Noise) -> Mapping[str, Term]:
        return {"squares": Term((self.nodes[rows.ids] - 1).square().mean() + (self.weights - 1).square().mean())}

    def refresh(self) -> None:
        self.refreshed += 1

    def _begin(self) -> None:
        self.begun += 1


class Arm(GradientRecommender[TrainingConfig]):
    name = "two_passes"
    config_type = TrainingConfig

    def build(self, items: int, chance: torch.Generator) -> TwoPasses:
        self.built = TwoPasses(items)
        return self.built


def trained(epochs: int = 2, checkpoint: Path | None = None) -> Arm:
    arm = Arm(TrainingConfig(batch=60, epochs=epochs, learning_rate=0.1))
    arm.fit(TRAIN, None, FitOptions(threads=1, checkpoint=checkpoint))
    return arm


def test_each_pass_changes_its_own_parameters_at_its_own_rate() -> None:
    torch.manual_seed(0)
    learner = trained(epochs=1).built
    # Adam's first steps have the length of the rate, and an epoch has two of them.
    np.testing.assert_allclose(learner.weights.detach(), np.full(len(ITEMS), 0.2), atol=0.01)
    assert learner.scale.item() == 1
    assert learner.begun == 1
    assert learner.refreshed == 2  # once after the epoch, once at the end


def test_the_report_names_the_pass_of_each_term() -> None:
    reports: list[Mapping[str, float]] = []
    Arm(QUICK).fit(TRAIN, None, FitOptions(threads=1, on_epoch=lambda report: reports.append(report.losses)))
    assert set(reports[0]) == {"nodes loss", "nodes squares", "weights loss", "weights squares"}
    assert reports[1]["nodes loss"] < reports[0]["nodes loss"]


def test_an_artifact_goes_without_what_only_training_needs() -> None:
    arm = trained()
    assert set(arm.arrays()) == {"weights", "scale", "derived"}
    restored = Arm(QUICK)
    restored.restore(ITEMS, arm.arrays())
    np.testing.assert_array_equal(restored.score(TRAIN.matrix), arm.score(TRAIN.matrix))
    with pytest.raises(ModelError, match="the arrays are not those of two_passes"):
        Arm(QUICK).restore(ITEMS, {"weights": arm.arrays()["weights"]})


def test_users_are_told_apart_in_every_batch() -> None:
    rows = Rows.of(TRAIN.matrix, torch.device("cpu"))
    picked = rows.take(torch.tensor([7, 3])).take(torch.tensor([1]))
    assert picked.ids.tolist() == [3]


def test_a_training_cut_between_epochs_goes_on_with_the_state_of_every_pass(tmp_path: Path) -> None:
    class CutError(Exception):
        """Stands for a kill."""

    def cut(report: object) -> None:
        raise CutError

    path = tmp_path / "checkpoint"
    with pytest.raises(CutError):
        Arm(QUICK).fit(TRAIN, None, FitOptions(threads=1, checkpoint=path, on_epoch=cut))
    resumed = Arm(QUICK)
    resumed.fit(TRAIN, None, FitOptions(threads=1, checkpoint=path))
    whole = trained()
    assert torch.equal(resumed.built.nodes, whole.built.nodes)
    assert torch.equal(resumed.built.weights, whole.built.weights)


class Patient(TwoPasses):
    least_epochs = 6


class PatientArm(Arm):
    def build(self, items: int, chance: torch.Generator) -> TwoPasses:
        self.built = Patient(items)
        return self.built


def test_patience_is_counted_from_the_epochs_that_only_prepare() -> None:
    split = TRAIN.split_users(validation_users=20, test_users=0, seed=1)
    config = TrainingConfig(batch=60, epochs=20, patience=2, learning_rate=1e-9)
    plain = Arm(config).fit(split.train, split.validation, FitOptions(threads=1))
    patient = PatientArm(config).fit(split.train, split.validation, FitOptions(threads=1))
    assert (plain.epochs_run, patient.epochs_run) == (3, 8)
