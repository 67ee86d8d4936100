"""One arm trained by several processes: what torchrun starts in each of them, and who starts torchrun.

    python -m ab_platform.training_command FOLDER

FOLDER holds `request.json`; the first process leaves `artifact` there, the first one to fail `failure.json`. Files and
not arguments, since everybody on a machine may read arguments, and the address of a database holds a password; the
request goes as soon as all have read it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from ab_platform.errors import DataError, PlatformError
from ab_platform.experiment import Arm, DataRule
from ab_platform.storage.store import open_store
from ab_platform.training import Workshop, fit_and_register, recipe, snapshot, take_part, trained
from models.errors import ModelError

if TYPE_CHECKING:
    from models.recommender import EpochReport

REQUEST, ARTIFACT, FAILURE = "request.json", "artifact", "failure.json"

EXIT_FAILED = 1
LAST_LINES = 40  # torchrun sums up in half as many
GRACE_SECONDS = 10.0

OnLine = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What to train, in values that another process can take up.

    Attributes:
        database_url: of the store that has the interactions and registers the artifact.
        workshop: where artifacts and checkpoints lie, on a disk that all processes see.
        rule: which interactions to learn from.
        arm: recommender, settings and seed.
        at: now.
    """

    database_url: str = field(repr=False)
    workshop: Workshop
    rule: DataRule
    arm: Arm
    at: datetime


_REQUESTS = TypeAdapter(Request)


def train_in_processes(request: Request, *, processes: int, on_line: OnLine) -> str:
    """Train an arm in child processes, unless its recipe was trained before; go on where a training was cut short.

    The children end when this process ends, however it ends.

    Args:
        request: what to train.
        processes: how many; each takes a GPU of its own where there is CUDA.
        on_line: called with each line that they print: one an epoch, and the log of torchrun.

    Returns:
        The id of the registered artifact.

    Raises:
        PlatformError: a process failed; of the kind and with the message that it failed with, else with its last lines.
    """
    with tempfile.TemporaryDirectory(prefix="abp-training-", ignore_cleanup_errors=True) as name:
        folder = Path(name)  # only its owner may enter
        (folder / REQUEST).write_bytes(_REQUESTS.dump_json(request))
        last: deque[str] = deque(maxlen=LAST_LINES)

        def seen(line: str) -> None:
            last.append(line)
            on_line(line)

        status = _run(torchrun_command(processes, folder), seen)
        if status:
            raise _failure(folder, request.arm, f"{processes} processes ended with status {status}", last)
        return (folder / ARTIFACT).read_text(encoding="utf-8")


def torchrun_command(processes: int, folder: Path) -> list[str]:
    """Return the command that trains what a folder requests.

    Raises:
        PlatformError: for less than one process.
    """
    if processes < 1:
        raise PlatformError(f"{processes} processes are to train; at least 1 is required")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    # Without --log-dir each run leaves a folder behind.
    return [*launcher, "--log-dir", str(folder), "--module", "ab_platform.training_command", str(folder)]


def main(folder: Path) -> int:
    """Train what a folder requests, as one of the processes that torchrun started or alone; return the exit status."""
    threading.Thread(target=_end_with_parent, args=[folder], daemon=True).start()
    try:
        _train(_REQUESTS.validate_json((folder / REQUEST).read_bytes()), folder)
    except Exception as error:
        _keep_failure(folder, error)
        traceback.print_exc()
        return EXIT_FAILED
    return 0


def _train(request: Request, folder: Path) -> None:
    """Train, or find what was trained before; only the first process registers and leaves the artifact's id."""
    # It loads torch, which whoever only starts the processes can do without.
    from models.distributed import joined

    with joined(request.workshop.device) as processes:
        (folder / REQUEST).unlink(missing_ok=True)  # nobody joins before all are there, and so have read it
        store = open_store(request.database_url, migrate=False)
        snap = snapshot(store, request.rule)
        made = recipe(snap, request.arm.recommender, request.arm.config, request.arm.seed)
        # Asked once for all: were each to ask, an artifact that somebody else registers meanwhile would part them.
        artifact = processes.from_first(lambda: trained(store, request.workshop, made))
        if artifact is None and processes.is_first:
            on_epoch = partial(_print, request.arm)
            artifact = fit_and_register(store, request.workshop, snap, made, at=request.at, on_epoch=on_epoch)
        elif artifact is None:
            take_part(request.workshop, snap, made)
        if processes.is_first and artifact is not None:
            (folder / ARTIFACT).write_text(artifact.artifact_id, encoding="utf-8")


def told(arm: Arm, report: EpochReport) -> str:
    """Say in a line what an epoch of an arm did."""
    ndcg = "" if report.ndcg is None else f"NDCG@100 {report.ndcg:.4f}, "
    terms = ", ".join(f"{name} {value:.4g}" for name, value in report.losses.items())
    return f"{arm.name}: epoch {report.epoch} of {report.epochs}, {ndcg}{terms}, {report.seconds:.1f} s"


def _print(arm: Arm, report: EpochReport) -> None:
    sys.stdout.write(f"{told(arm, report)}\n")
    sys.stdout.flush()


def _run(command: list[str], on_line: OnLine) -> int:
    """Run a command line by line to its end; it does not outlive this function."""
    # Nothing is ever written to its input: that it closes tells the processes that this one has ended.
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    try:
        for line in child.stdout or ():
            on_line(line.rstrip("\n"))
        return child.wait()
    finally:
        _end(child)


def _end(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        child.terminate()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _end_with_parent(folder: Path) -> None:
    """Wait until the input closes, as it does when the process that asked for the training ends, and end this one."""
    while os.read(0, 1):
        pass
    (folder / REQUEST).unlink(missing_ok=True)
    os._exit(EXIT_FAILED)  # at once: the other threads may wait for a process that is gone


def _keep_failure(folder: Path, error: Exception) -> None:
    """Leave the error for the process that asked; of several, the first is the cause of the others."""
    # As in a single process, where what the recommenders refuse is the data's.
    kind = DataError if isinstance(error, ModelError) else type(error)
    message = str(error) if issubclass(kind, PlatformError) else f"{kind.__name__}: {error}"
    draft = folder / f"{FAILURE}.{os.getpid()}"
    draft.write_text(json.dumps({"kind": kind.__name__, "message": message}), encoding="utf-8")
    with suppress(FileExistsError):
        (folder / FAILURE).hardlink_to(draft)


def _failure(folder: Path, arm: Arm, ending: str, last: Iterable[str]) -> PlatformError:
    """Return the error that ended a training."""
    path = folder / FAILURE
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"kind": "", "message": "none said why"}
    kinds = {kind.__name__: kind for kind in PlatformError.__subclasses__()}
    if found["kind"] in kinds:
        return kinds[found["kind"]](found["message"])
    said = "\n".join(last)
    return PlatformError(
        f"training arm {arm.name}: {ending}: {found['message']}; mend what it tells of, or start the training again "
        f"and it goes on where it stopped; the last lines were\n{said}"
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
