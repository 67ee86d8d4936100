"""The loop: what it reports, when it stops, and that a killed training ends where an uninterrupted one does."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from models.config import TrainingConfig
from models.errors import ModelError
from models.interactions import Interactions, UserSplit
from models.recommender import EpochReport, FitOptions
from models.registry import create
from models.training import resolve, threads
from tests.models.tastes import SMALL_VAE, two_groups

TRAIN = two_groups()


def split() -> UserSplit:
    return TRAIN.split_users(validation_users=20, test_users=20, seed=1)


def test_each_epoch_is_reported_with_its_terms() -> None:
    reports: list[EpochReport] = []
    world = split()
    create("pia", {**SMALL_VAE, "epochs": 3}).fit(
        world.train, world.validation, FitOptions(threads=1, on_epoch=reports.append)
    )
    assert [report.epoch for report in reports] == [1, 2, 3]
    assert reports[0].epochs == 3
    assert set(reports[0].losses) == {"loss", "reconstruction", "kl", "alignment", "anchor_spread"}
    assert all(report.ndcg is not None and report.seconds > 0 for report in reports)


def test_the_reported_loss_is_the_weighted_sum_of_its_terms() -> None:
    config = {**SMALL_VAE, "epochs": 1, "beta_max": 0.0, "alignment": 0.7}
    report = create("pia", config).fit(TRAIN, None, FitOptions(threads=1))
    losses = report.history[0].losses
    assert losses["loss"] == pytest.approx(losses["reconstruction"] + 0.7 * losses["alignment"], rel=1e-6)


def test_training_lowers_the_loss() -> None:
    history = create("multi_vae", SMALL_VAE).fit(TRAIN, None, FitOptions(threads=1)).history
    # From 10 log 32 nats, guessing among all titles, to about 10 log 16, guessing within the taste.
    assert history[0].losses["reconstruction"] > 33
    assert history[-1].losses["reconstruction"] < 29.5


def test_it_stops_when_patience_runs_out_and_keeps_the_best_epoch() -> None:
    world = split()
    recommender = create("multi_vae", {**SMALL_VAE, "epochs": 200, "patience": 4})
    report = recommender.fit(world.train, world.validation, FitOptions(threads=1))
    scores = [epoch.ndcg or 0.0 for epoch in report.history]
    assert report.epochs_run == report.best_epoch + 4 < 200
    assert report.ndcg == max(scores) == scores[report.best_epoch - 1]


def test_without_validation_users_the_last_epoch_is_kept() -> None:
    report = create("multi_vae", {**SMALL_VAE, "epochs": 3}).fit(TRAIN, None, FitOptions(threads=1))
    assert (report.best_epoch, report.epochs_run, report.ndcg) == (3, 3, None)


def test_a_diverging_training_is_stopped() -> None:
    with pytest.raises(ModelError, match=r"the loss is (nan|inf) in epoch \d+; .* lower the learning rate"):
        create("multi_vae", {**SMALL_VAE, "learning_rate": 1e30}).fit(TRAIN, None, FitOptions(threads=1))


class KilledError(Exception):
    pass


def stopped_at(epoch: int) -> FitOptions:
    def stop(report: EpochReport) -> None:
        if report.epoch == epoch:
            raise KilledError

    return FitOptions(threads=1, on_epoch=stop)


@pytest.mark.parametrize("name", ["multi_vae", "pia"])
def test_an_interrupted_training_goes_on_to_the_same_bits(name: str, tmp_path: Path) -> None:
    world, checkpoint = split(), tmp_path / "training.safetensors"
    config = {**SMALL_VAE, "epochs": 12, "patience": 5}
    whole, parts = create(name, config), create(name, config)
    expected = whole.fit(world.train, world.validation, FitOptions(threads=1))
    with pytest.raises(KilledError):
        parts.fit(world.train, world.validation, dataclasses.replace(stopped_at(6), checkpoint=checkpoint))
    report = parts.fit(world.train, world.validation, FitOptions(threads=1, checkpoint=checkpoint))
    assert report.best_epoch == expected.best_epoch
    assert [epoch.losses for epoch in report.history] == [epoch.losses for epoch in expected.history]
    for key, array in whole.arrays().items():
        np.testing.assert_array_equal(parts.arrays()[key], array)


KILLED_TRAINING = """
import sys
from pathlib import Path
from models.recommender import FitOptions
from models.registry import create
from tests.models.tastes import SMALL_VAE, two_groups

world = two_groups().split_users(validation_users=20, test_users=20, seed=1)
options = FitOptions(threads=1, checkpoint=Path(sys.argv[1]), on_epoch=lambda report: print(report.epoch, flush=True))
create("pia", {**SMALL_VAE, "epochs": 40, "patience": 40}).fit(world.train, world.validation, options)
"""


@pytest.fixture
def training_process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", KILLED_TRAINING, str(tmp_path / "training.safetensors")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        yield process
        process.kill()


def test_a_training_killed_in_the_middle_goes_on_to_the_same_bits(
    training_process: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert training_process.stdout is not None
    epochs = (int(line) for line in training_process.stdout)
    assert next(epoch for epoch in epochs if epoch >= 10) < 40
    time.sleep(0.01)  # into the next epoch, away from the callback
    training_process.send_signal(signal.SIGKILL)
    assert training_process.wait() == -signal.SIGKILL

    world, config = split(), {**SMALL_VAE, "epochs": 40, "patience": 40}
    resumed, whole = create("pia", config), create("pia", config)
    epochs_left: list[int] = []
    options = FitOptions(
        threads=1,
        checkpoint=tmp_path / "training.safetensors",
        on_epoch=lambda report: epochs_left.append(report.epoch),
    )
    resumed.fit(world.train, world.validation, options)
    whole.fit(world.train, world.validation, FitOptions(threads=1))
    assert 1 < epochs_left[0] < 40
    for key, array in whole.arrays().items():
        np.testing.assert_array_equal(resumed.arrays()[key], array)


def unexpected(report: EpochReport) -> None:
    raise AssertionError(f"epoch {report.epoch} was trained again")


def test_a_finished_training_returns_at_once(tmp_path: Path) -> None:
    world = split()
    options = FitOptions(threads=1, checkpoint=tmp_path / "training.safetensors")
    first, again = create("multi_vae", SMALL_VAE), create("multi_vae", SMALL_VAE)
    report = first.fit(world.train, world.validation, options)
    assert again.fit(world.train, world.validation, dataclasses.replace(options, on_epoch=unexpected)) == report
    np.testing.assert_array_equal(again.score(TRAIN.matrix), first.score(TRAIN.matrix))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"config": {"hidden": 17}}, "its hidden is 16, not 17"),
        ({"seed": 1}, "its seed is 0, not 1"),
        ({"name": "pia"}, "its alignment is None, not 0.3"),
        ({"data": two_groups(seed=9)}, "its training data is '[0-9a-f]{64}', not"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(change: dict[str, object], told: str, tmp_path: Path) -> None:
    checkpoint = tmp_path / "training.safetensors"
    config = {**SMALL_VAE, "epochs": 1}
    create("multi_vae", config).fit(TRAIN, None, FitOptions(threads=1, checkpoint=checkpoint))
    other = create(str(change.get("name", "multi_vae")), {**config, **_mapping(change.get("config", {}))})
    data = change.get("data", TRAIN)
    assert isinstance(data, Interactions)
    seed = change.get("seed", 0)
    assert isinstance(seed, int)
    with pytest.raises(ModelError, match=f"{told}.*; delete it, or give another path"):
        other.fit(data, None, FitOptions(seed=seed, threads=1, checkpoint=checkpoint))


def _mapping(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "training.safetensors"
    recommender = create("multi_vae", {**SMALL_VAE, "epochs": 1})
    recommender.fit(TRAIN, None, FitOptions(threads=1, checkpoint=checkpoint))
    os.truncate(checkpoint, 1_000)
    with pytest.raises(ModelError, match=r"is damaged: .*; delete it to start over"):
        recommender.fit(TRAIN, None, FitOptions(threads=1, checkpoint=checkpoint))


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_cuda_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="the device is cuda and torch finds none"):
        resolve(FitOptions(device="cuda"))
    assert str(resolve(FitOptions()).device) == "cpu"


@pytest.mark.parametrize(
    ("tiles", "dots", "precision"),
    [(True, True, "bfloat16"), (False, True, "bfloat16"), (True, False, "bfloat16"), (False, False, "float32")],
)
def test_bfloat16_is_the_choice_where_the_processor_multiplies_it(
    tiles: bool, dots: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: dots, raising=False)
    assert resolve(FitOptions(device="cpu")).precision == precision
    assert resolve(FitOptions(device="cpu", precision="float32")).precision == "float32"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_gpu_reaches_what_the_cpu_reaches(precision: str) -> None:
    world = split()
    scores = []
    for options in (FitOptions(device="cpu"), FitOptions(device="cuda", precision=precision)):  # type: ignore[arg-type]
        report = create("pia", SMALL_VAE).fit(world.train, world.validation, options)
        assert report.device.startswith(options.device)
        scores.append(report.ndcg)
    assert scores[0] == pytest.approx(scores[1], abs=0.02)


def test_the_defaults_are_those_of_the_source() -> None:
    config = create("multi_vae").config
    assert isinstance(config, TrainingConfig)
    assert (config.learning_rate, config.batch, config.epochs) == (1e-3, 500, 200)


@pytest.mark.skipif(shutil.which("c++") is None, reason="torch compiles with a C++ compiler, and there is none")
def test_compiled_steps_find_what_plain_ones_find() -> None:
    config = {**SMALL_VAE, "epochs": 2}
    plain, compiled = create("pia", config), create("pia", config)
    told = plain.fit(TRAIN, None, FitOptions(threads=1, precision="float32"))
    also = compiled.fit(TRAIN, None, FitOptions(threads=1, precision="float32", compiled=True))
    for one, other in zip(told.history, also.history, strict=True):
        assert one.losses == pytest.approx(other.losses, rel=1e-4)
    np.testing.assert_allclose(compiled.score(TRAIN.matrix), plain.score(TRAIN.matrix), atol=1e-2)
