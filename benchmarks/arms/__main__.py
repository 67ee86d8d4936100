"""Train and rank beside RecBole, Cornac and a plain dense step, in one run on one machine, and write the tables.

    python -m benchmarks.arms --output docs/speed.md

Makes the peers' environments and the matrices on first use, in `ABP_HOME`. A measurement on record is made again only
with `--fresh`, or where our arm's code or a peer's packages changed. `--device cuda` measures the section of the GPU.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from ab_platform.settings import from_environment
from benchmarks import records
from benchmarks.arms import environments, gpu_report, matrices, processes, report
from benchmarks.arms.found import Found, Measured
from benchmarks.arms.plan import PEERS, SMALL, Planned, Sizes, planned, planned_cuda
from benchmarks.arms.side import Outcome, Rates, built

TITLE = "# Speed of the arms\n"
CPU, GPU = "arms-cpu", "arms-gpu"


def main() -> None:
    """Measure what has not been measured, and write the section."""
    options = _options()
    folder = from_environment().home / "benchmarks"
    sizes = SMALL if options.small else Sizes()
    if options.device == "cuda":
        if not torch.cuda.is_available():
            sys.exit("torch finds no CUDA here; run this on a machine with a GPU and torch for CUDA")
        plan = planned_cuda(sizes, folder / "arms", threads=options.threads)
        _write(options.output, GPU, gpu_report.section(_found(plan, folder, options), options.command))
        return
    plan = planned(sizes, folder / "arms", threads=options.threads, without=options.without)
    _write(options.output, CPU, report.section(_found(plan, folder, options), options.command))
    if f"<!-- {GPU}: begin" not in options.output.read_text(encoding="utf-8"):
        _write(options.output, GPU, gpu_report.ABSENT)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("docs/speed.md"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--without", nargs="+", choices=sorted(PEERS.values()), default=[], help="peers to leave out")
    parser.add_argument("--fresh", action="store_true", help="measure again what is done")
    parser.add_argument("--small", action="store_true", help="see whether all runs; the figures say nothing")
    parser.add_argument(
        "--torch",
        default=f"torch=={torch.__version__.partition('+')[0]}",
        help="what pip installs for the peers, with options; by default the version that is ours",
    )
    options = parser.parse_args()
    options.command = shlex.join(["python", "-m", "benchmarks.arms", *sys.argv[1:]])
    return options


def _found(plan: Sequence[Planned], folder: Path, options: argparse.Namespace) -> Found:
    """Return what each measurement found, those that are not on record made now."""
    path = folder / "arms.jsonl"
    done = {} if options.fresh else records.read(path)
    for number, each in enumerate(plan, 1):
        if each.key not in done:
            print(f"{number} of {len(plan)}: {each.name}", flush=True)
            done[each.key] = _measure(each, folder, options.torch)
            records.append(path, done[each.key])
    read = {each: done[each.key] for each in plan}
    machine, *sides = read
    measured = {each.name: Measured(each, built(read[each]["answer"], Outcome), read[each]["ndcg"]) for each in sides}
    rates = built(read[machine]["answer"], Rates)
    return Found(rates, measured, sum(record["seconds"] for record in read.values()))


def _measure(each: Planned, folder: Path, torch_wanted: str) -> dict[str, Any]:
    """Make what a measurement needs, make the measurement, and return its record."""
    peer, data = PEERS.get(each.trial.side), Path(each.trial.data)
    home = folder / "environments"
    python = Path(sys.executable) if peer is None else environments.python_of(peer, home, torch=torch_wanted)
    began = perf_counter()
    if not matrices.written(data):
        print(f"drawing {each.world}", flush=True)
        matrices.write(each.world.draw(), data)
    answer, ndcg = processes.run(each.trial, python)
    return {"key": each.key, "answer": asdict(answer), "ndcg": ndcg, "seconds": perf_counter() - began}


def _write(document: Path, name: str, text: str) -> None:
    if not document.exists():
        document.parent.mkdir(parents=True, exist_ok=True)
        document.write_text(TITLE, encoding="utf-8")
    records.put_section(document, name, text)


if __name__ == "__main__":
    main()
