"""Two processes train as one does: the same weights without noise, as good ones with it, and the same in both.

As a program it is one of the processes that torchrun starts; it leaves what it found in a folder:

    python -m torch.distributed.run ... --module tests.models.test_distributed FOLDER
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn
from torch import distributed as dist

from models.distributed import ALONE, Processes, current, joined
from models.errors import ModelError
from models.learner import Term
from models.multi_vae import MultiVae, MultiVaeConfig, MultiVaeNetwork, annealed, multinomial_loss
from models.recommender import FitOptions, FitReport
from models.registry import create
from models.rows import Rows
from models.training import generator
from tests.models.tastes import SMALL_VAE, two_groups

ROOT = Path(__file__).parents[2]
COUNT = 2
OPTIONS = FitOptions(threads=1, device="cpu", precision="float32")
# 120 users make 17 batches, of which the processes get 4 and 3 users, and one of a single user.
QUIET = MultiVaeConfig(hidden=16, latent=4, batch=7, epochs=3, learning_rate=0.01)
CONFIG = {**SMALL_VAE, "patience": 8}


class QuietNetwork(MultiVaeNetwork):
    """Multi-VAE without mask and sampling, so that nothing depends on who draws the noise; it keeps a draw."""

    def __init__(self, items: int, config: MultiVaeConfig, chance: torch.Generator) -> None:
        super().__init__(items, config, chance)
        self.drawn: list[float] = []

    def losses(self, rows: Rows, epochs_done: Tensor, noise: torch.Generator) -> Mapping[str, Term]:
        self.drawn.append(float(torch.rand((), generator=noise)))
        logits, posterior = self(rows)
        weight = annealed(self.config, epochs_done)
        reconstruction = multinomial_loss(logits, rows).mean()
        return {"reconstruction": Term(reconstruction), "kl": Term(posterior.kl().mean(), weight=weight)}


class Quiet(MultiVae):
    """Recommend by it."""

    def build(self, items: int, chance: torch.Generator) -> QuietNetwork:
        return QuietNetwork(items, self.config, chance)


@dataclass(frozen=True)
class Found:
    """What one process found: figures by name, and weights by the name of the training and of the array."""

    figures: Mapping[str, Any]
    weights: Mapping[str, NDArray[np.generic]]


def fit_quiet() -> tuple[Quiet, FitReport]:
    recommender = Quiet(QUIET)
    return recommender, recommender.fit(two_groups(), None, OPTIONS)


def drawn(recommender: Quiet) -> list[float]:
    assert isinstance(recommender._learner, QuietNetwork)
    return recommender._learner.drawn


def fit_pia() -> tuple[FitReport, Mapping[str, NDArray[np.generic]], list[int]]:
    world = two_groups().split_users(validation_users=20, test_users=20, seed=1)
    recommender, epochs = create("pia", CONFIG), list[int]()
    options = FitOptions(
        threads=1, device="cpu", precision="float32", on_epoch=lambda report: epochs.append(report.epoch)
    )
    return recommender.fit(world.train, world.validation, options), recommender.arrays(), epochs


def refusal(processes: Processes) -> str:
    """Return what `fit` says when each process brings its own data."""
    with pytest.raises(ModelError) as raised:
        create("pia", CONFIG).fit(two_groups(seed=processes.rank), None, OPTIONS)
    return str(raised.value)


def main(folder: Path) -> None:
    with joined("cpu") as processes:
        quiet, quiet_report = fit_quiet()
        report, weights, epochs = fit_pia()
        figures = {
            "processes": [processes.rank, processes.count],
            "current": current() == processes,
            "refusal": refusal(processes),
            "quiet_losses": [dict(epoch.losses) for epoch in quiet_report.history],
            "quiet_device": quiet_report.device,
            "quiet_drawn": drawn(quiet),
            "ndcg": report.ndcg,
            "losses": [dict(epoch.losses) for epoch in report.history],
            "epochs_run": report.epochs_run,
            "reported": epochs,
            "gathered": processes.gather(processes.rank * 10),
            "total": processes.total({"both": 1.5, f"only {processes.rank}": 2.0}),
            "from_first": processes.from_first(lambda: f"said by {processes.rank}"),
        }
    arrays = {f"quiet.{name}": array for name, array in quiet.arrays().items()}
    save_file(arrays | {f"pia.{name}": array for name, array in weights.items()}, folder / f"{processes.rank}.weights")
    (folder / f"{processes.rank}.json").write_text(json.dumps(figures), encoding="utf-8")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("processes")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(COUNT)]
    command = [*torchrun, "--log-dir", str(folder), "--module", "tests.models.test_distributed", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return [
        Found(json.loads((folder / f"{rank}.json").read_text(encoding="utf-8")), load_file(folder / f"{rank}.weights"))
        for rank in range(COUNT)
    ]


pytestmark = pytest.mark.xdist_group("two processes")  # so that the fixture runs once


def test_without_noise_two_processes_reach_the_weights_of_one(found: list[Found]) -> None:
    quiet, report = fit_quiet()
    for name, array in quiet.arrays().items():
        assert found[0].weights[f"quiet.{name}"] == pytest.approx(array, rel=0, abs=1e-5), name
    for epoch, losses in zip(report.history, found[0].figures["quiet_losses"], strict=True):
        assert losses == pytest.approx(epoch.losses, rel=1e-5)


def test_with_noise_two_processes_rank_as_well_as_one(found: list[Found]) -> None:
    report, _, _ = fit_pia()
    assert found[0].figures["ndcg"] == pytest.approx(report.ndcg, abs=0.03)
    last = report.history[-1].losses["reconstruction"]
    assert found[0].figures["losses"][-1]["reconstruction"] == pytest.approx(last, rel=0.02)


def test_both_processes_end_with_the_same_bits(found: list[Found]) -> None:
    first, second = found
    assert first.weights.keys() == second.weights.keys()
    for name, array in first.weights.items():
        np.testing.assert_array_equal(second.weights[name], array, err_msg=name)
    for figure in ("ndcg", "losses", "epochs_run", "quiet_losses"):
        assert first.figures[figure] == second.figures[figure]


def test_only_the_first_process_reports(found: list[Found]) -> None:
    first, second = (each.figures for each in found)
    assert first["reported"] == list(range(1, first["epochs_run"] + 1))
    assert second["reported"] == []


def test_the_report_says_how_many_processes_there_were(found: list[Found]) -> None:
    assert found[0].figures["quiet_device"] == "cpu x 2"
    assert fit_quiet()[1].device == "cpu"


def test_processes_with_other_data_are_refused_in_each(found: list[Found]) -> None:
    for each in found:
        told = each.figures["refusal"]
        assert told.startswith("the training data is '")
        assert "in process 0 and '" in told
        assert "in process 1; processes of one training must start from the same" in told


def test_processes_tell_each_other_figures(found: list[Found]) -> None:
    for rank, each in enumerate(found):
        assert each.figures["processes"] == [rank, COUNT]
        assert each.figures["current"]
        assert each.figures["gathered"] == [0, 10]
        assert each.figures["total"] == {"both": 3.0, "only 0": 2.0, "only 1": 2.0}
        assert each.figures["from_first"] == "said by 0"


@pytest.mark.parametrize(("users", "count"), [(10, 1), (10, 2), (7, 2), (1, 2), (3, 5), (500, 8)])
def test_the_parts_of_a_batch_tile_it_evenly(users: int, count: int) -> None:
    batch = torch.arange(users)
    parts = [Processes(rank, count).part(batch) for rank in range(count)]
    assert torch.equal(torch.cat(parts), batch)
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert sizes[0] == max(sizes)


def test_each_process_draws_noise_of_its_own(found: list[Found]) -> None:
    first, second = (each.figures["quiet_drawn"] for each in found)
    # Of 18 batches an epoch the last has one user, so the second process has nothing to draw for.
    assert (len(first), len(second)) == (3 * 18, 3 * 17)
    assert len({*first, *second}) == len(first) + len(second)
    assert first == drawn(fit_quiet()[0])


def test_the_first_noise_is_that_of_earlier_versions() -> None:
    seed = int(np.random.SeedSequence([3, 5]).generate_state(1, np.uint64)[0])
    expected = torch.rand(9, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(torch.rand(9, generator=generator(3, 5, torch.device("cpu"))), expected)


def test_one_process_alone_changes_nothing() -> None:
    network = nn.Linear(2, 1)
    ALONE.sum_gradients(network)
    assert network.weight.grad is None
    assert ALONE.total({"loss": 0.1}) == {"loss": 0.1}
    assert ALONE.from_first(lambda: 7) == 7
    assert ALONE.gather("x") == ["x"]
    ALONE.agree({"seed": 1})


def test_a_process_that_torchrun_did_not_start_is_alone() -> None:
    with joined("cpu") as processes:
        assert processes == current() == ALONE
    assert not dist.is_initialized()


def test_a_process_without_a_gpu_of_its_own_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(dist, "get_node_local_rank", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with (
        pytest.raises(ModelError, match="process 2 of this machine needs a GPU of its own and torch finds 1; start"),
        joined("auto"),
    ):
        pass


def test_another_number_of_processes_does_not_go_on_from_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = FitOptions(threads=1, device="cpu", precision="float32", checkpoint=tmp_path / "training.safetensors")
    create("pia", {**CONFIG, "epochs": 1}).fit(two_groups(), None, options)
    monkeypatch.setattr("models.gradient.current", lambda: Processes(0, 2))
    monkeypatch.setattr(Processes, "gather", lambda self, value: [value] * self.count)
    with pytest.raises(ModelError, match="its number of processes is 1, not 2; delete it"):
        create("pia", {**CONFIG, "epochs": 1}).fit(two_groups(), None, options)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
