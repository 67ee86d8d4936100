"""Assignment of users to arms: a pure function of salts and user id, and the same over arrays of users.

Two hashes decide. The layer's salt decides whether a user is in an experiment, the experiment's salt decides which arm;
were it one salt, each arm would hold its own slice of the layer. The hash is GrowthBook's (SDK specification,
https://docs.growthbook.io/lib/build-your-own): FNV-1a with 32 bits over UTF-16 code units, in version 2 taken twice.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

BUCKETS = 10_000

Ranges = Sequence[tuple[int, int]]
"""Half-open bucket ranges, one per arm, in the order of the arms."""

UserIds = Sequence[str] | NDArray[np.str_] | NDArray[np.object_]

_OFFSET = 2_166_136_261
_PRIME = 16_777_619
_MASK = 0xFFFF_FFFF
_DECIMAL_PLACES = tuple(10**place for place in range(9, -1, -1))  # 2**32 has ten digits
_USERS_PER_BLOCK = 1 << 14  # a block's columns stay in the processor's cache
_WEIGHT_TOLERANCE = 1e-6  # three weights of .3333333 are meant as thirds


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one user falls.

    Attributes:
        user_id: the user.
        layer_bucket: bucket under the layer's salt, in [0, 10000).
        in_layer: whether the experiment owns that bucket.
        arm_bucket: bucket under the experiment's salt, or None when not in the layer's range.
        arm_index: position of the arm, or None when in no arm.
    """

    user_id: str
    layer_bucket: int
    in_layer: bool
    arm_bucket: int | None
    arm_index: int | None


def unit_hash(seed: str, value: str, *, version: int = 2) -> float | None:
    """Hash a value to [0, 1) in steps of 1/10000 (version 2) or 1/1000 (version 1).

    Returns:
        The hash, or None for a version that does not exist, as the specification wants it.
    """
    if version == 2:
        return bucket(seed, value) / BUCKETS
    if version == 1:
        return _fnv1a(_code_units(value + seed)) % 1000 / 1000
    return None


def bucket(salt: str, user_id: str) -> int:
    """Return the user's bucket under a salt, in [0, 10000)."""
    return _bucket(salt, _code_units(user_id))


def buckets(salt: str, user_ids: UserIds) -> NDArray[np.int64]:
    """Return every user's bucket under a salt, equal to `bucket` of each.

    Args:
        salt: the layer's or the experiment's.
        user_ids: `(users,)`. A numpy array of fixed-width text has already lost NULs at the end of an id; a list,
            or an array of objects, keeps them.

    Returns:
        `(users,)` int64 in [0, 10000).
    """
    ids = _listed(user_ids)
    found = np.empty(len(ids), dtype=np.int64)
    for block in _blocks(len(ids)):
        [found[block]] = _buckets([salt], ids[block])
    return found


def arm_ranges(weights: Sequence[float], traffic: float) -> tuple[tuple[int, int], ...]:
    """Lay the arms out over the 10,000 buckets.

    The arms' starts are the rounded cumulative weights, so at full traffic the ranges tile the buckets whatever the
    weights. Less traffic cuts each range at its end, never at its start: a ramp adds users and moves nobody.

    Args:
        weights: share of each arm, at least 0 each, 1.0 in total.
        traffic: share of each arm's own range that is in, in [0, 1].

    Returns:
        Half-open ranges in the order of the weights; an arm of weight 0 has an empty one.

    Raises:
        ValueError: for weights or traffic that are not as above.
    """
    _check_weights(weights)
    if not 0.0 <= traffic <= 1.0:
        raise ValueError(f"traffic is {traffic}; it must be a fraction in [0, 1]")
    edges = [round(total * BUCKETS) for total in accumulate(weights, initial=0.0)]
    return tuple((start, start + round((end - start) * traffic)) for start, end in pairwise(edges))


def arm_at(arm_bucket: int, ranges: Ranges) -> int | None:
    """Return the position of the arm whose range holds the bucket, or None."""
    for index, (start, end) in enumerate(ranges):
        if start <= arm_bucket < end:
            return index
    return None


def assign(
    user_id: str, *, layer_salt: str, layer_start: int, layer_end: int, experiment_salt: str, ranges: Ranges
) -> Placement:
    """Place one user.

    Args:
        user_id: the user.
        layer_salt: decides whether the user is in.
        layer_start: first bucket of the layer that the experiment owns.
        layer_end: the bucket after its last.
        experiment_salt: decides which arm; differs from the layer's salt.
        ranges: of the arms, from `arm_ranges`.

    Raises:
        ValueError: when the two salts are the same.
    """
    _check_salts(layer_salt, experiment_salt)
    code_units = _code_units(user_id)
    layer_bucket = _bucket(layer_salt, code_units)
    if not layer_start <= layer_bucket < layer_end:
        return Placement(user_id, layer_bucket, in_layer=False, arm_bucket=None, arm_index=None)
    arm_bucket = _bucket(experiment_salt, code_units)
    return Placement(user_id, layer_bucket, in_layer=True, arm_bucket=arm_bucket, arm_index=arm_at(arm_bucket, ranges))


def assign_all(
    user_ids: UserIds, *, layer_salt: str, layer_start: int, layer_end: int, experiment_salt: str, ranges: Ranges
) -> NDArray[np.int64]:
    """Place every user; the arguments are those of `assign`.

    Returns:
        `(users,)` position of each user's arm, -1 when in no arm.

    Raises:
        ValueError: when the two salts are the same.
    """
    _check_salts(layer_salt, experiment_salt)
    ids = _listed(user_ids)
    arms = np.full(len(ids), -1, dtype=np.int64)
    for block in _blocks(len(ids)):
        layer_buckets, arm_buckets = _buckets([layer_salt, experiment_salt], ids[block])
        in_layer = (layer_start <= layer_buckets) & (layer_buckets < layer_end)
        for index, (start, end) in enumerate(ranges):
            arms[block][in_layer & (start <= arm_buckets) & (arm_buckets < end)] = index
    return arms


def _check_weights(weights: Sequence[float]) -> None:
    wrong = [weight for weight in weights if not 0.0 <= weight <= 1.0]
    if wrong:
        raise ValueError(f"arm weight is {wrong[0]}; it must be a fraction in [0, 1]")
    total = math.fsum(weights)
    if abs(total - 1.0) > _WEIGHT_TOLERANCE:
        raise ValueError(f"arm weights sum to {total:.10g}; they must sum to 1.0")


def _check_salts(layer_salt: str, experiment_salt: str) -> None:
    if layer_salt == experiment_salt:
        raise ValueError(
            f"layer and experiment share the salt {layer_salt!r}; they must differ, or the arm follows the gate"
        )


def _bucket(salt: str, code_units: Sequence[int]) -> int:
    once = _fnv1a(code_units, _salted(salt))
    return _fnv1a(b"%d" % once) % BUCKETS


@lru_cache(maxsize=1024)
def _salted(salt: str) -> int:
    """Return the state of the hash after the salt, which all users share."""
    return _fnv1a(_code_units(salt))


def _code_units(text: str) -> Sequence[int]:
    if text.isascii():
        return text.encode()
    encoded = _encode(text)
    return struct.unpack(f"<{len(encoded) // 2}H", encoded)


def _encode(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")  # half a surrogate pair is one code unit, as in JavaScript


def _fnv1a(code_units: Iterable[int], state: int = _OFFSET) -> int:
    prime, mask = _PRIME, _MASK  # a local name is found faster than a global one, once a letter
    for unit in code_units:
        state = (state ^ unit) * prime & mask
    return state


def _listed(user_ids: UserIds) -> Sequence[str]:
    return user_ids.tolist() if isinstance(user_ids, np.ndarray) else user_ids


def _blocks(users: int) -> Iterator[slice]:
    return (slice(start, min(start + _USERS_PER_BLOCK, users)) for start in range(0, users, _USERS_PER_BLOCK))


def _buckets(salts: Sequence[str], texts: Sequence[str]) -> NDArray[np.uint32]:
    """Return the bucket of each text under each salt, (salts, texts)."""
    salted = np.array([_salted(salt) for salt in salts], dtype=np.uint32)
    return _hash_decimals(_hash_texts(salted, texts)) % np.uint32(BUCKETS)


def _hash_texts(salted: NDArray[np.uint32], texts: Sequence[str]) -> NDArray[np.uint32]:
    """Continue FNV-1a from the states after the salts, one column of code units at a time over all texts.

    Returns:
        (salts, texts).
    """
    units, starts, lengths = _laid_out(texts)
    longest_first = np.argsort(-lengths, kind="stable")  # so the texts that reach a column are a prefix
    starts = starts[longest_first]
    reaching = np.searchsorted(-lengths[longest_first], -np.arange(lengths.max()), side="left")
    state = np.repeat(salted[:, None], len(texts), axis=1)
    for column, count in enumerate(reaching.tolist()):
        state[:, :count] = (state[:, :count] ^ units[starts[:count] + column]) * np.uint32(_PRIME)
    hashed = np.empty_like(state)
    hashed[:, longest_first] = state
    return hashed


def _laid_out(texts: Sequence[str]) -> tuple[NDArray[np.uint16], NDArray[np.int64], NDArray[np.int64]]:
    """Return all code units, and where among them each text starts and how many it has."""
    units = np.frombuffer(_encode("\0".join(texts)), dtype="<u2")
    ends = np.append(np.flatnonzero(units == 0), len(units))
    if len(ends) != len(texts):  # a text has a NUL of its own: measure each instead
        ends = np.cumsum([len(_encode(text)) // 2 + 1 for text in texts]) - 1
    starts = np.append(0, ends[:-1] + 1)
    return units, starts, ends - starts


def _hash_decimals(numbers: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Take FNV-1a of each number as written in decimal digits, without leading zeros."""
    state = np.full(numbers.shape, _OFFSET, dtype=np.uint32)
    rest = numbers
    for place in _DECIMAL_PLACES:
        digit = rest // np.uint32(place)
        rest = rest - digit * np.uint32(place)
        following = (state ^ (digit + np.uint32(ord("0")))) * np.uint32(_PRIME)
        state = np.where(numbers >= place, following, state) if place > 1 else following
    return state
