"""Draws that depend on the seed, the stream and a number only: whatever is drawn beside them, in whichever order.

A number is hashed as the state of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
OOPSLA 2014): the n-th output of a generator that starts where the stream's name says. Quantile functions turn the
uniforms into what is wanted. Those without a fast formula are tabulated as steps of equal probability, each as high as
the mean over it, so that the mean is that of the distribution, to 1 part in a billion.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

Vector = NDArray[np.float64]
Numbers = NDArray[np.uint64]

STEPS = 1 << 15
"""Of a tabulated quantile function. Variances come out too small by what lies within a step: of the gamma distribution
of the watches by 1 part in 20,000, nearly all of it in the last step, and of beta distributions by far less."""

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Source:
    """Where all draws of a simulation come from.

    Attributes:
        seed: of the simulation.
        world: its name, so that no two worlds resemble each other.
    """

    seed: int
    world: str

    def uniforms(self, stream: str, numbers: Numbers) -> Vector:
        """Draw from (0, 1), one for each number; the same for the same stream and number."""
        hashed = mixed(numbers * _GAMMA + start_of(f"{self.seed}/{self.world}/{stream}"))
        uniform: Vector = ((hashed >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
        return uniform


def mixed(states: Numbers) -> Numbers:
    """Hash 64 bits to 64 bits, no two to the same: the finalizer of SplitMix64."""
    first = (states ^ (states >> np.uint64(30))) * _FIRST
    second = (first ^ (first >> np.uint64(27))) * _SECOND
    hashed: Numbers = second ^ (second >> np.uint64(31))
    return hashed


@cache
def start_of(name: str) -> np.uint64:
    """Return where the numbers of a name start."""
    return np.uint64(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()))


def binomial(uniforms: Vector, tries: int, chance: float) -> NDArray[np.int64]:
    """Return how many of some tries succeed, by the inverse of the distribution function; exact."""
    reached = special.bdtr(np.arange(tries), tries, chance)
    return np.searchsorted(reached, uniforms, side="right").astype(np.int64)


def beta(uniforms: Vector, a: float, b: float) -> Vector:
    """Return quantiles of a beta distribution, from its steps."""
    return _step(_beta_steps(a, b), uniforms)


def gamma(uniforms: Vector, shape: float) -> Vector:
    """Return quantiles of the gamma distribution of mean 1, from its steps."""
    return _step(_gamma_steps(shape), uniforms)


def gamma_of_shape_2(one: Vector, other: Vector) -> Vector:
    """Return draws of the gamma distribution of shape 2 and mean 1, the sum of two exponential ones; exact."""
    drawn: Vector = -0.5 * np.log(one * other)
    return drawn


def _step(steps: Vector, uniforms: Vector) -> Vector:
    found: Vector = steps[(uniforms * STEPS).astype(np.int64)]
    return found


@cache
def _beta_steps(a: float, b: float) -> Vector:
    """Return the mean over each step: x times the density of (a, b) is the mean times the density of (a + 1, b)."""
    edges = special.betaincinv(a, b, np.linspace(0.0, 1.0, STEPS + 1))
    means: Vector = a / (a + b) * STEPS * np.diff(special.betainc(a + 1.0, b, edges))
    return np.clip(means, 0.0, 1.0)


@cache
def _gamma_steps(shape: float) -> Vector:
    """Return the mean over each step: x times the density of a shape is the mean times the density of one more."""
    edges = special.gammaincinv(shape, np.linspace(0.0, 1.0, STEPS + 1))
    reached = np.asarray(special.gammainc(shape + 1.0, edges), dtype=np.float64)
    return np.asarray(STEPS * np.diff(reached), dtype=np.float64)
