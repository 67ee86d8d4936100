"""What is measured, in which order, and on which made-up matrices."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

from benchmarks.arms.side import Trial
from benchmarks.arms.world import MEAN_LENGTH, VERSION, World
from models.code_version import code_version

PEERS = {"with_recbole": "recbole", "with_cornac": "cornac"}
"""Whose environment a side needs; the others run in ours."""
SEEDS = (0, 1, 2)
GROWTH = {1: 0.25, 4: 1.0, 16: 4.0}
"""Size by size: items, and interactions of a user, are so many times those of MovieLens 20M."""
LARGE_BATCH = 24_576
"""That of NVIDIA's VAE-CF on one GPU."""


@dataclass(frozen=True)
class Sizes:
    """How large the measured things are.

    Attributes:
        users: to train on, one less than a multiple of the batch: RecBole adds a user who pads.
        held_out: users whose ranking is timed.
        items: in the catalogue.
        epochs: of a training that is judged.
        judged: held-out users that NDCG@100 is the mean of.
        bounded_epochs: of a training that is only timed.
        bounded_held_out: users of an evaluation that goes one user at a time.
        growth_users: at each size of the catalogue.
        growth_epochs: at each size of the catalogue.
        large_users: training users of MovieLens 20M.
        calls: slates for one user.
    """

    users: int = 9_999
    held_out: int = 10_000
    items: int = 20_108
    epochs: int = 8
    judged: int = 2_000
    bounded_epochs: int = 4
    bounded_held_out: int = 500
    growth_users: int = 2_000
    growth_epochs: int = 3
    large_users: int = 116_677
    calls: int = 500


SMALL = Sizes(
    users=999,
    held_out=1_000,
    items=2_000,
    epochs=3,
    judged=200,
    bounded_epochs=2,
    bounded_held_out=50,
    growth_users=500,
    growth_epochs=2,
    large_users=2_000,
    calls=50,
)
"""For a look at whether all runs; its figures say nothing."""


@dataclass(frozen=True)
class Planned:
    """One measurement: its name in the report, its trial, and the matrix that the trial reads."""

    name: str
    trial: Trial
    world: World

    @property
    def key(self) -> str:
        """Return what tells the measurement, and the code behind it, from all others."""
        trial = {name: value for name, value in asdict(self.trial).items() if name != "data"}
        return json.dumps([self.name, trial, asdict(self.world), VERSION, self._code()], separators=(",", ":"))

    def _code(self) -> str:
        if self.trial.side == "ours":
            return code_version("multi_vae")
        peer = PEERS.get(self.trial.side)
        return "" if peer is None else _digest(requirements(peer).read_text(encoding="utf-8"))


def planned(sizes: Sizes, folder: Path, *, threads: int, without: Sequence[str] = ()) -> list[Planned]:
    """List what is measured on the CPU; the sides stand between each other, so that a drift of the machine shows."""
    main = World(sizes.users, sizes.held_out, sizes.items)
    base = Trial(side="ours", data=_place(main, folder), epochs=sizes.epochs, threads=threads)
    judged = replace(base, evaluated=sizes.held_out, judged=sizes.judged)
    ours = [replace(judged, precision="float32", seed=seed, calls=sizes.calls) for seed in SEEDS]
    recbole = replace(judged, side="with_recbole", precision="float32")
    timed = replace(recbole, precision="bfloat16", epochs=sizes.bounded_epochs, evaluated=0, judged=0)
    bounded = replace(base, side="with_cornac", epochs=sizes.bounded_epochs, evaluated=sizes.bounded_held_out)
    named = [
        ("rates", replace(base, side="rates")),
        ("ours float32 0", ours[0]),
        ("recbole float32", recbole),
        ("ours bfloat16", replace(ours[0], precision="bfloat16")),
        ("recbole bfloat16", timed),
        ("floor", replace(judged, side="floor", evaluated=0)),
        ("ours float32 1", ours[1]),
        ("recbole whole", replace(recbole, deviation=1.0, evaluated=0)),
        ("cornac", bounded),
        ("ours float32 2", ours[2]),
    ]
    plan = [Planned(name, trial, main) for name, trial in named]
    plan += [*_growth(sizes, folder, base), _large(sizes, folder, base)]
    return [each for each in plan if PEERS.get(each.trial.side) not in without]


def planned_cuda(sizes: Sizes, folder: Path, *, threads: int) -> list[Planned]:
    """List what is measured on a GPU, on the matrix of MovieLens 20M's size."""
    large = _large(sizes, folder, Trial(side="ours", data="", epochs=sizes.growth_epochs, threads=threads))
    base = replace(large.trial, device="cuda", epochs=sizes.growth_epochs)
    trials = [("cuda rates", replace(base, side="rates", evaluated=0))]
    for batch in (base.batch, LARGE_BATCH):
        ours = replace(base, batch=batch)
        trials.append((f"cuda ours float32 {batch}", replace(ours, precision="float32")))
        trials.append((f"cuda ours bfloat16 {batch}", replace(ours, precision="bfloat16")))
        trials.append((f"cuda floor {batch}", replace(ours, side="floor", evaluated=0)))
    return [Planned(name, trial, large.world) for name, trial in trials]


def requirements(peer: str) -> Path:
    """Return the file of the packages of a peer's environment."""
    return Path(__file__).with_name(f"requirements-{peer}.txt")


def _growth(sizes: Sizes, folder: Path, base: Trial) -> Iterator[Planned]:
    for size, factor in GROWTH.items():
        users = sizes.growth_users
        world = World(users, users, round(sizes.items * factor), MEAN_LENGTH * factor)
        trial = replace(base, data=_place(world, folder), epochs=sizes.growth_epochs)
        yield Planned(f"growth ours {size}", replace(trial, evaluated=users), world)
        yield Planned(f"growth floor {size}", replace(trial, side="floor"), world)


def _large(sizes: Sizes, folder: Path, base: Trial) -> Planned:
    world = World(sizes.large_users, sizes.held_out, sizes.items)
    trial = replace(base, data=_place(world, folder), epochs=1, evaluated=sizes.held_out)
    return Planned("large", trial, world)


def _place(world: World, folder: Path) -> str:
    return str(folder / "data" / _digest(json.dumps([asdict(world), VERSION])))


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12]
