"""Draws by a hash: uniform, unrelated, and with the moments of the distributions they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from ab_platform.simulation.archived import draws


@pytest.mark.parametrize("shape", [0.3, 0.7, 3.0])
def test_gamma_steps_have_the_mean_and_nearly_the_variance(shape: float) -> None:
    drawn = draws.gamma((np.arange(draws.STEPS) + 0.5) / draws.STEPS, shape)
    assert drawn.mean() == pytest.approx(1.0, rel=1e-12)
    assert drawn.var() == pytest.approx(1.0 / shape, rel=1.5e-4)


@pytest.mark.parametrize(("a", "b"), [(1.6, 0.4), (1.2, 2.8), (0.6, 1.4)])
def test_beta_steps_have_the_moments(a: float, b: float) -> None:
    drawn = draws.beta((np.arange(draws.STEPS) + 0.5) / draws.STEPS, a, b)
    assert drawn.mean() == pytest.approx(a / (a + b), rel=1e-9)
    for shown in (2, 7, 14):
        never = np.exp(special.betaln(a, b + shown) - special.betaln(a, b))
        assert ((1.0 - drawn) ** shown).mean() == pytest.approx(never, rel=1e-4)


def test_draws_are_uniform_and_streams_unrelated() -> None:
    numbers = np.arange(200_000, dtype=np.uint64)
    source = draws.Source(1, "table2")
    one, other = source.uniforms("one", numbers), source.uniforms("other", numbers)
    assert stats.kstest(one, "uniform").pvalue > 0.001
    for these, those in ((one, other), (one[1:], one[:-1]), (one, draws.Source(2, "table2").uniforms("one", numbers))):
        assert abs(np.corrcoef(these, those)[0, 1]) < 4 / np.sqrt(len(those))
    counted = np.bincount(draws.binomial(one, 6, 0.25), minlength=7)
    assert stats.chisquare(counted, stats.binom(6, 0.25).pmf(range(7)) * len(one)).pvalue > 0.001
    halves = draws.gamma_of_shape_2(one, other)
    assert abs(halves.mean() - 1.0) < 4 * np.sqrt(0.5 / len(halves))
