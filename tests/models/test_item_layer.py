"""The last layer gives few users the logits that it gives many, and trains as any linear layer."""

import pytest
import torch

from models.item_layer import FEW, ItemLayer


def layer() -> ItemLayer:
    torch.manual_seed(0)
    return ItemLayer(7, 50)


@pytest.mark.parametrize("users", [0, 1, 2, FEW, FEW + 1])
def test_any_number_of_users_gets_the_same_logits(users: int) -> None:
    built, hidden = layer(), torch.randn(users, 7, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = built(hidden)
    assert found.shape == (users, 50)
    assert found.is_contiguous()
    torch.testing.assert_close(found, hidden @ built.weight.T + built.bias)


def test_few_users_in_training_give_every_weight_its_gradient() -> None:
    built, hidden = layer(), torch.ones(1, 7)
    built(hidden).sum().backward()
    torch.testing.assert_close(built.weight.grad, torch.ones(50, 7))
    torch.testing.assert_close(built.bias.grad, torch.ones(50))


def test_it_goes_by_the_names_of_a_linear_layer() -> None:
    assert layer().state_dict().keys() == torch.nn.Linear(7, 50).state_dict().keys()
