"""Assignment: the published vectors, equality of the scalar and the array, tiling, ramps, independence."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ab_platform.assignment import (
    BUCKETS,
    Placement,
    arm_at,
    arm_ranges,
    assign,
    assign_all,
    bucket,
    buckets,
    unit_hash,
)

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "growthbook_vectors.json").read_text("utf-8"))
USERS = [f"user-{number}" for number in range(100_000)]

any_text = st.text(st.characters(), max_size=12)  # surrogates and NUL among them
shares = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6).filter(lambda drawn: sum(drawn) > 1e-3)
weights_of_arms = shares.map(lambda drawn: [each / sum(drawn) for each in drawn])


def as_buckets(ranges: list[list[float]]) -> tuple[tuple[int, int], ...]:
    return tuple((round(start * BUCKETS), round(end * BUCKETS)) for start, end in ranges)


@pytest.mark.parametrize(("seed", "value", "version", "expected"), VECTORS["hash"] + VECTORS["nonAsciiHash"])
def test_the_hash_is_the_published_one(seed: str, value: str, version: int, expected: float | None) -> None:
    assert unit_hash(seed, value, version=version) == expected


def test_the_array_hash_is_the_published_one() -> None:
    cases = [case for case in VECTORS["hash"] + VECTORS["nonAsciiHash"] if case[2] == 2]
    found = [buckets(seed, [value]).item() for seed, value, _, _ in cases]
    assert found == [round(expected * BUCKETS) for *_, expected in cases]


VALID_RANGES = [
    "normal 50/50",
    "reduced coverage",
    "zero coverage",
    "4 variations",
    "uneven weights",
    "uneven weights, 3 variations",
    "uneven weights, reduced coverage, 3 variations",
]


@pytest.mark.parametrize("case", [each for each in VECTORS["getBucketRange"] if each[0] in VALID_RANGES], ids=str)
def test_arm_ranges_are_the_published_ones(case: list[Any]) -> None:
    _, (arms, coverage, weights), expected = case
    assert arm_ranges(weights or [1.0 / arms] * arms, coverage) == as_buckets(expected)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("negative coverage", "traffic is -0.2; it must be a fraction in [0, 1]"),
        ("coverage above 1", "traffic is 1.5; it must be a fraction in [0, 1]"),
        ("weights sum below 1", "arm weights sum to 0.5; they must sum to 1.0"),
        ("weights sum above 1", "arm weights sum to 1.3; they must sum to 1.0"),
        ("weights sum almost equals 1", "arm weights sum to 0.9999; they must sum to 1.0"),
    ],
)
def test_what_the_specification_repairs_in_silence_is_refused(name: str, message: str) -> None:
    arms, coverage, weights = next(case[1] for case in VECTORS["getBucketRange"] if case[0] == name)
    with pytest.raises(ValueError, match="must") as refused:
        arm_ranges(weights or [1.0 / arms] * arms, coverage)
    assert str(refused.value) == message


@pytest.mark.parametrize("case", VECTORS["chooseVariation"], ids=str)
def test_the_arm_of_a_bucket_is_the_published_one(case: list[Any]) -> None:
    _, hashed, ranges, expected = case
    found = arm_at(round(hashed * BUCKETS), as_buckets(ranges))
    assert found == (None if expected == -1 else expected)


@pytest.mark.parametrize("case", VECTORS["inNamespace"], ids=str)
def test_namespaces_hold_the_published_users(case: list[Any]) -> None:
    _, user_id, (namespace, start, end), expected = case
    hashed = unit_hash("__" + namespace, user_id, version=1)
    assert hashed is not None
    assert (arm_at(round(hashed * BUCKETS), as_buckets([[start, end]])) == 0) is expected


@pytest.mark.parametrize(("arms", "weights"), [case for case in VECTORS["getEqualWeights"] if case[0] > 0])
def test_published_equal_weights_tile_all_buckets(arms: int, weights: list[float]) -> None:
    ranges = arm_ranges(weights, 1.0)
    assert len(ranges) == arms
    assert ranges[-1][1] == BUCKETS


@settings(deadline=None)
@given(salt=any_text, user_ids=st.lists(any_text, max_size=8))
def test_the_array_of_buckets_equals_the_scalar(salt: str, user_ids: list[str]) -> None:
    expected = [bucket(salt, user_id) for user_id in user_ids]
    assert buckets(salt, user_ids).tolist() == expected
    assert buckets(salt, np.array(user_ids, dtype=object)).tolist() == expected


def test_long_arrays_are_hashed_in_blocks_without_a_seam() -> None:
    mixed = [user_id + "é😀"[: number % 3] for number, user_id in enumerate(USERS[:40_000])]
    assert buckets("salt", mixed).tolist() == [bucket("salt", user_id) for user_id in mixed]


def test_numpy_text_is_hashed_like_the_list() -> None:
    assert buckets("salt", np.array(USERS[:500])).tolist() == buckets("salt", USERS[:500]).tolist()


def test_a_nul_at_the_end_is_part_of_the_id() -> None:
    assert bucket("salt", "user\0") != bucket("salt", "user")
    assert buckets("salt", ["user\0", "user"]).tolist() == [bucket("salt", "user\0"), bucket("salt", "user")]


def test_half_a_surrogate_pair_is_part_of_the_id() -> None:
    assert bucket("salt", "user\ud83d") != bucket("salt", "user")
    assert bucket("salt", "user\ud83d" + "\ude00") == bucket("salt", "user😀")  # the same code units


def test_a_first_hash_of_0_is_written_as_one_digit() -> None:
    user_id = "\xcc$1\xc4"  # the shortest input of FNV-1a 0 (Noll)
    assert bucket("", user_id) == 0x350CA8AF % BUCKETS  # FNV-1a of "0"
    assert buckets("", [user_id]).tolist() == [bucket("", user_id)]


def test_no_users_have_no_buckets() -> None:
    assert buckets("salt", []).shape == (0,)


@given(weights=weights_of_arms)
def test_full_traffic_tiles_every_bucket_whatever_the_weights(weights: list[float]) -> None:
    ranges = arm_ranges(weights, 1.0)
    assert [start for start, _ in ranges] == [0, *(end for _, end in ranges[:-1])]
    assert ranges[-1][1] == BUCKETS
    for weight, (start, end) in zip(weights, ranges, strict=True):
        assert abs((end - start) - weight * BUCKETS) <= 1.0 + 1e-6


@given(weights=weights_of_arms, traffic=st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)))
def test_a_ramp_never_moves_a_user_to_another_arm(weights: list[float], traffic: tuple[float, float]) -> None:
    less, more = (arm_ranges(weights, each) for each in sorted(traffic))
    for (start_before, end_before), (start_after, end_after) in zip(less, more, strict=True):
        assert start_before == start_after
        assert end_before <= end_after


def test_a_ramped_user_keeps_the_arm_and_the_others_join() -> None:
    arms_of = [
        assign_all(
            USERS,
            layer_salt="layer",
            layer_start=1_000,
            layer_end=9_000,
            experiment_salt="home",
            ranges=arm_ranges([0.5, 0.5], traffic),
        )
        for traffic in (0.1, 0.4, 1.0)
    ]
    for before, after in pairwise(arms_of):
        assert np.array_equal(after[before >= 0], before[before >= 0])
        assert np.count_nonzero(after >= 0) > np.count_nonzero(before >= 0)


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match=r"arm weight is -0\.5; it must be a fraction in \[0, 1\]"):
        arm_ranges([1.0, 0.5, -0.5], 1.0)


@settings(deadline=None)
@given(
    user_ids=st.lists(any_text, max_size=20),
    edges=st.tuples(st.integers(0, BUCKETS), st.integers(0, BUCKETS)),
    weights=weights_of_arms,
    traffic=st.floats(0.0, 1.0),
)
def test_one_user_and_all_users_are_placed_alike(
    user_ids: list[str], edges: tuple[int, int], weights: list[float], traffic: float
) -> None:
    start, end = sorted(edges)
    ranges = arm_ranges(weights, traffic)
    every = assign_all(
        user_ids, layer_salt="layer", layer_start=start, layer_end=end, experiment_salt="home", ranges=ranges
    )
    for user_id, arm in zip(user_ids, every.tolist(), strict=True):
        placement = assign(
            user_id, layer_salt="layer", layer_start=start, layer_end=end, experiment_salt="home", ranges=ranges
        )
        assert placement.arm_index == (None if arm == -1 else arm)


def test_a_user_outside_the_layers_range_gets_no_arm_bucket() -> None:
    layer_bucket = bucket("layer", "maria")
    outside = assign(
        "maria",
        layer_salt="layer",
        layer_start=layer_bucket + 1,
        layer_end=BUCKETS,
        experiment_salt="home",
        ranges=((0, BUCKETS),),
    )
    assert outside == Placement("maria", layer_bucket, in_layer=False, arm_bucket=None, arm_index=None)


def test_a_layers_range_holds_its_start_and_not_its_end() -> None:
    layer_bucket = bucket("layer", "maria")
    for start, end, expected in ((layer_bucket, layer_bucket + 1, True), (0, layer_bucket, False)):
        placement = assign(
            "maria",
            layer_salt="layer",
            layer_start=start,
            layer_end=end,
            experiment_salt="home",
            ranges=((0, BUCKETS),),
        )
        assert placement.in_layer is expected


def test_gate_and_arm_are_refused_one_salt() -> None:
    with pytest.raises(ValueError, match="share the salt 'home'; they must differ"):
        assign("maria", layer_salt="home", layer_start=0, layer_end=5_000, experiment_salt="home", ranges=((0, 5_000),))
    with pytest.raises(ValueError, match="share the salt 'home'; they must differ"):
        assign_all(
            ["maria"], layer_salt="home", layer_start=0, layer_end=5_000, experiment_salt="home", ranges=((0, 5_000),)
        )


@pytest.mark.parametrize(("one", "other"), [("layer", "home"), ("recommender", "recommender-2"), ("a", "b")])
def test_buckets_of_two_salts_are_independent(one: str, other: str) -> None:
    first, second = (buckets(salt, USERS) // 1_000 for salt in (one, other))
    table = np.bincount(10 * first + second, minlength=100).reshape(10, 10)
    assert stats.chi2_contingency(table).pvalue > 0.001  # of 100,000 users; the outcome is fixed by the hash


@pytest.mark.parametrize("salt", ["layer", "home", "recommender", ""])
def test_buckets_are_uniform(salt: str) -> None:
    counts = np.bincount(buckets(salt, USERS) // 100, minlength=100)
    assert stats.chisquare(counts).pvalue > 0.001


def test_experiments_with_disjoint_ranges_share_no_user() -> None:
    ranges = arm_ranges([0.5, 0.5], 1.0)
    first, second = (
        assign_all(USERS, layer_salt="layer", layer_start=start, layer_end=end, experiment_salt=salt, ranges=ranges)
        >= 0
        for start, end, salt in ((0, 4_000, "home"), (4_000, 8_000, "movie"))
    )
    assert not np.any(first & second)
    assert 0.78 < np.mean(first | second) < 0.82
