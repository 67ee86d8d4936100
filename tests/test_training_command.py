"""Arms trained by several real processes, on the real command: what is left, what is told, and that they end.

As a program it starts a long training in two processes, to be killed: python -m tests.test_training_command HOME
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from ab_platform.errors import DataError, OutOfMemoryError, PlatformError
from ab_platform.experiment import Arm, DataRule
from ab_platform.storage.store import Store
from ab_platform.training import Workshop, load_arm, snapshot, train
from ab_platform.training_command import Request, torchrun_command, train_in_processes

ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 3, 1, tzinfo=UTC)
RULE = DataRule("small", least_interactions=3)
SMALL = {"hidden": 8, "latent": 4, "batch": 16}
ARM = Arm("vae", "multi_vae", 1.0, config={**SMALL, "epochs": 5, "patience": 5})
LONG = replace(ARM, config={**SMALL, "epochs": 100_000, "patience": 100_000})

pytestmark = pytest.mark.xdist_group("two processes")  # one test of them at a time is enough for a small machine


def fill(store: Store) -> None:
    """Bring in 40 users of 10 titles each."""
    rng = np.random.default_rng(7)
    users = [f"u{user:02d}" for user in range(40) for _ in range(10)]
    titles = [f"t{title:02d}" for _ in range(40) for title in rng.permutation(30)[:10]]
    with store.ingesting("small", "hash", "made by a test", NOW) as writer:
        writer.write_interactions(users, titles, np.full(400, 5.0), np.arange(400, dtype=np.int64) + 1_000_000_000)
        writer.finish(0)


@pytest.fixture
def request_of(store: Store, sqlite_url: str, tmp_path: Path) -> Callable[[Arm], Request]:
    """Make the request to train an arm, in a folder and with a store that has data."""
    fill(store)
    workshop = Workshop(tmp_path / "artifacts", tmp_path / "checkpoints", device="cpu", precision="float32")
    return lambda arm: Request(sqlite_url, workshop, RULE, arm, NOW)


def epochs(lines: list[str]) -> list[int]:
    """Return the epochs that the lines report."""
    return [int(line.split()[2]) for line in lines if line.startswith("vae: epoch ")]


def test_two_processes_train_one_arm_and_register_it_once(request_of: Callable[[Arm], Request], store: Store) -> None:
    request, lines = request_of(ARM), list[str]()
    artifact_id = train_in_processes(request, processes=2, on_line=lines.append)
    assert [each.artifact_id for each in store.artifacts()] == [artifact_id]
    assert epochs(lines) == [1, 2, 3, 4, 5]
    assert any("NDCG@100 0." in line and "reconstruction" in line for line in lines)
    manifest = json.loads((request.workshop.artifacts / artifact_id / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["device"] == "cpu x 2"
    assert [each.name for each in request.workshop.artifacts.iterdir()] == [artifact_id]
    assert list(request.workshop.checkpoints.iterdir()) == []
    snap = snapshot(store, RULE)
    assert load_arm(request.workshop, artifact_id).score(snap.history.matrix).shape == (40, 30)


def test_what_one_process_trained_several_do_not_train_again(
    request_of: Callable[[Arm], Request], store: Store
) -> None:
    request, lines = request_of(ARM), list[str]()
    made = train(store, request.workshop, snapshot(store, RULE), ARM, at=NOW)
    assert train_in_processes(request, processes=2, on_line=lines.append) == made.artifact_id
    assert epochs(lines) == []


def test_a_single_process_makes_the_artifact_of_a_plain_training(
    request_of: Callable[[Arm], Request], other_store: Store, tmp_path: Path
) -> None:
    fill(other_store)
    request = request_of(ARM)
    workshop = replace(request.workshop, artifacts=tmp_path / "plain")
    plain = train(other_store, workshop, snapshot(other_store, RULE), ARM, at=NOW)
    assert train_in_processes(request, processes=1, on_line=lambda line: None) == plain.artifact_id


def test_a_refusal_is_of_the_same_kind_and_says_the_same_as_in_one_process(
    request_of: Callable[[Arm], Request], store: Store
) -> None:
    request = replace(request_of(ARM), rule=DataRule("large"))
    with pytest.raises(DataError) as alone:
        snapshot(store, request.rule)
    with pytest.raises(DataError) as raised:
        train_in_processes(request, processes=2, on_line=lambda line: None)
    assert str(raised.value) == str(alone.value)


def test_a_training_that_does_not_fit_into_memory_is_told_as_that(request_of: Callable[[Arm], Request]) -> None:
    arm = replace(ARM, config={**ARM.config, "hidden": 10**13})  # more than can be addressed, so nothing is touched
    with pytest.raises(OutOfMemoryError, match="ran out of memory"):
        train_in_processes(request_of(arm), processes=2, on_line=lambda line: None)


def test_what_fails_for_another_reason_has_its_cause_and_the_last_lines(request_of: Callable[[Arm], Request]) -> None:
    request = request_of(ARM)
    request.workshop.artifacts.write_text("a file in the place of the folder", encoding="utf-8")
    with pytest.raises(PlatformError) as raised:
        train_in_processes(request, processes=2, on_line=lambda line: None)
    told = str(raised.value)
    assert told.startswith("training arm vae: 2 processes ended with status 1: FileExistsError: ")
    assert "start the training again and it goes on where it stopped; the last lines were\n" in told


def test_one_process_that_is_killed_ends_all_and_the_next_training_goes_on_to_the_same_bits(
    request_of: Callable[[Arm], Request], tmp_path: Path, other_store: Store
) -> None:
    arm = replace(ARM, config={**ARM.config, "epochs": 60, "patience": 60})
    request, before, after = request_of(arm), list[str](), list[str]()
    workers: list[psutil.Process] = []

    def kill_one(line: str) -> None:
        before.append(line)
        if epochs([line]) and not workers:
            workers.extend(trainers(psutil.Process()))
            workers[-1].kill()

    with pytest.raises(PlatformError, match=r"training arm vae: 2 processes ended with status 1: (?s:.*)SIGKILL"):
        train_in_processes(request, processes=2, on_line=kill_one)
    assert len(workers) == 2
    assert psutil.wait_procs(workers, timeout=0)[1] == []
    resumed = train_in_processes(request, processes=2, on_line=after.append)
    assert 1 < epochs(after)[0] <= 60

    fill(other_store)
    calm = replace(request.workshop, artifacts=tmp_path / "calm", checkpoints=tmp_path / "calm checkpoints")
    calm_request = replace(request, workshop=calm, database_url=f"sqlite:///{tmp_path / 'other.db'}")
    assert train_in_processes(calm_request, processes=2, on_line=lambda line: None) == resumed


@pytest.fixture
def long_training(tmp_path: Path, store: Store) -> Iterator[subprocess.Popen[str]]:
    """A process that trains in two processes for longer than a test lasts."""
    fill(store)
    command = [sys.executable, "-m", "tests.test_training_command", str(tmp_path)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )
    children: list[psutil.Process] = []
    try:
        for line in process.stdout or ():
            if epochs([line]):
                break
        children = psutil.Process(process.pid).children(recursive=True)
        yield process
    finally:
        process.kill()
        for each in children:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.communicate()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_when_who_started_them_ends_the_processes_end(
    how: signal.Signals, long_training: subprocess.Popen[str], sqlite_url: str, tmp_path: Path
) -> None:
    descendants = psutil.Process(long_training.pid).children(recursive=True)
    assert len(trainers(psutil.Process(long_training.pid))) == 2
    # The address may hold a password: neither in an argument nor, once the training is under way, in a file.
    assert not any(sqlite_url in " ".join(each.cmdline()) for each in descendants)
    assert list(tmp_path.glob("abp-training-*"))
    assert not list(tmp_path.glob("abp-training-*/request.json"))
    long_training.send_signal(how)
    assert psutil.wait_procs(descendants, timeout=30)[1] == []


def test_less_than_one_process_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="0 processes are to train; at least 1 is required"):
        torchrun_command(0, tmp_path)


def test_the_command_is_torchrun_on_this_python_and_this_machine(tmp_path: Path) -> None:
    command = torchrun_command(4, tmp_path)
    assert command[:3] == [sys.executable, "-m", "torch.distributed.run"]
    assert command[command.index("--nproc-per-node") + 1] == "4"
    assert command[-2:] == ["ab_platform.training_command", str(tmp_path)]


def trainers(process: psutil.Process) -> list[psutil.Process]:
    """Return the processes that train for a process: its grandchildren, as torchrun stands between."""
    launchers = [child for child in process.children() if "torch.distributed.run" in child.cmdline()]
    return [each for launcher in launchers for each in launcher.children()]


if __name__ == "__main__":
    # Whoever runs the tests in the background of a shell has it ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    home = Path(sys.argv[1])
    places = Workshop(home / "artifacts", home / "checkpoints", device="cpu", precision="float32")
    long_request = Request(f"sqlite:///{home / 'abp.db'}", places, RULE, LONG, NOW)
    train_in_processes(long_request, processes=2, on_line=lambda line: print(line, flush=True))  # noqa: T201 - what the test waits for
