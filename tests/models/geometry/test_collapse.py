"""Whether spaces and anchors have fallen together."""

import pytest
import torch

from models.geometry import active_dimensions, effective_rank
from models.multi_vae import Posterior


def test_a_dimension_that_is_the_prior_for_everyone_is_not_active() -> None:
    mean = torch.zeros(50, 3)
    mean[:, 1] = torch.linspace(-2, 2, 50)
    assert active_dimensions(Posterior(torch.zeros(50, 3), torch.zeros(50, 3))) == 0
    assert active_dimensions(Posterior(mean, torch.zeros(50, 3))) == 1


def test_the_effective_rank_counts_the_dimensions_that_points_fill_evenly() -> None:
    cross = torch.cat([torch.eye(4), -torch.eye(4)])
    assert effective_rank(cross + 5.0) == pytest.approx(4.0, rel=1e-5)
    assert effective_rank(torch.linspace(0, 1, 9)[:, None] * torch.ones(4)) == pytest.approx(1.0, rel=1e-3)
    assert effective_rank(torch.full((6, 4), 0.3)) == 0.0
