"""The last layer of a network over items: large enough that for few users memory decides how long it takes."""

import torch
import torch.nn.functional as F  # noqa: N812 - its common name
from torch import Tensor, nn

FEW = 16  # users; up to here the product is faster the other way round, measured


class ItemLayer(nn.Linear):
    """A linear layer whose outputs are the items' logits; it has the weights of `nn.Linear`.

    Scoring few users, the library multiplies the users' rows by the weights on one thread: a user of 20,108 items took
    3.8 ms of two threads, and takes 1.2 ms as the second factor. A single user is written down twice, since a product
    with a vector, or with a view of it that has no stride, is again on one thread.
    """

    def forward(self, hidden: Tensor) -> Tensor:
        """Return logits (users, items) of hidden units (users, inputs)."""
        users = len(hidden)
        if torch.is_grad_enabled() or not 0 < users <= FEW:
            return F.linear(hidden, self.weight, self.bias)
        columns = hidden.repeat(2, 1) if users == 1 else hidden
        return torch.addmm(self.bias[:, None], self.weight, columns.T)[:, :users].T.contiguous()
