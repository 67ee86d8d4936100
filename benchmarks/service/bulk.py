"""Assignment of many users at once without the service, beside GrowthBook's SDK for Python."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from time import perf_counter

from growthbook import Experiment, GrowthBook

from ab_platform.assignment import arm_ranges, assign, assign_all
from benchmarks.service.found import Bulk, Pair, Ratio

LAYER, SALT = "recommender", "pia-vs-multivae"
LAYER_BUCKETS = (0, 8_000)
ARMS = arm_ranges([0.5, 0.5], 1.0)
IDS_AT_ONCE = 500_000
"""Ids that are in memory at a time."""


@dataclass(frozen=True)
class Sizes:
    """How many users: all, in a round of the comparison, and rounds."""

    users: int = 25_000_000
    compared: int = 10_000
    rounds: int = 5


def measure(sizes: Sizes) -> Bulk:
    """Measure both; the experiment owns four fifths of its layer, so both hashes are needed."""
    half = sizes.users // 2
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_seconds, [(0, 1_000)] * 2))
        one = pool.submit(_seconds, (0, sizes.users)).result()
        two = max(pool.map(_seconds, [(0, half), (half, sizes.users)]))
    ids = [f"user-{number}" for number in range(sizes.compared)]
    single, at_once = list[Pair](), list[Pair]()
    for _ in range(sizes.rounds):
        theirs = _rate(_theirs, ids)
        single.append(Pair(_rate(_one_by_one, ids), theirs))
        at_once.append(Pair(_rate(_all_at_once, ids), theirs))
    different = sum(own != other for own, other in zip(_one_by_one(ids), _theirs(ids), strict=True))
    ratios = Ratio(tuple(single)), Ratio(tuple(at_once))
    return Bulk(sizes.users, one, two, *ratios, len(ids), different, version("growthbook"))


def _seconds(numbers: tuple[int, int]) -> float:
    """Return the seconds that the assignment of these users takes; making their ids does not count."""
    took = 0.0
    edges = [*range(*numbers, IDS_AT_ONCE), numbers[1]]
    for start, end in pairwise(edges):
        ids = [f"user-{number}" for number in range(start, end)]
        began = perf_counter()
        _all_at_once(ids)
        took += perf_counter() - began
    return took


def _rate(assigning: Callable[[Sequence[str]], Sequence[int]], ids: Sequence[str]) -> float:
    began = perf_counter()
    assigning(ids)
    return len(ids) / (perf_counter() - began)


def _all_at_once(ids: Sequence[str]) -> list[int]:
    low, high = LAYER_BUCKETS
    placed: list[int] = assign_all(
        ids, layer_salt=LAYER, layer_start=low, layer_end=high, experiment_salt=SALT, ranges=ARMS
    ).tolist()
    return placed


def _one_by_one(ids: Sequence[str]) -> list[int]:
    low, high = LAYER_BUCKETS
    found = (
        assign(user, layer_salt=LAYER, layer_start=low, layer_end=high, experiment_salt=SALT, ranges=ARMS).arm_index
        for user in ids
    )
    return [-1 if index is None else index for index in found]


def _theirs(ids: Sequence[str]) -> list[int]:
    """Ask the SDK for the same experiment: its filter is our layer, its ranges are our arms."""
    low, high = LAYER_BUCKETS
    experiment = Experiment(
        SALT,
        ["control", "treatment"],
        hashVersion=2,
        seed=SALT,
        ranges=[(start / 10_000, end / 10_000) for start, end in ARMS],
        filters=[{"seed": LAYER, "ranges": [(low / 10_000, high / 10_000)], "hashVersion": 2, "attribute": "id"}],
    )
    client = GrowthBook()
    found = []
    for user in ids:
        client.set_attributes({"id": user})
        result = client.run(experiment)
        found.append(result.variationId if result.inExperiment else -1)
    return found
