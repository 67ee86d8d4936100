"""What the training loop asks of a network: its losses, and where it differs from the plain case."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.rows import Rows

Noise = torch.Generator


@dataclass(frozen=True, eq=False)
class Term:
    """One term of a loss: its mean over the users of a batch, and its weight in the sum that is minimised."""

    value: Tensor
    weight: float | Tensor = 1.0


Losses = Callable[[Rows, Tensor, Noise], Mapping[str, Term]]


def _nothing() -> None:
    """Do nothing: how a pass begins that has nothing to make ready."""


@dataclass(frozen=True, eq=False)
class Pass:
    """One pass over all users in an epoch, a step a batch.

    Attributes:
        losses: returns the named terms for a batch, as `Learner.losses` does.
        name: goes before the terms' names in the report; the only pass of an epoch needs none.
        trains: the parameters that a step changes; None is all.
        learning_rate: of its steps; None is that of the settings.
        begin: called once, before the first step.
        afresh: whether Adam forgets its averages of those parameters' gradients, which were of another loss.
    """

    losses: Losses
    name: str = ""
    trains: Sequence[nn.Parameter] | None = None
    learning_rate: float | None = None
    begin: Callable[[], None] = _nothing
    afresh: bool = False


class Learner(nn.Module):
    """A network that the loop can train.

    Only `forward` and `losses` must be there; a network that is plain leaves the rest as it is.

    Attributes:
        training_only: how the names of those parameters and buffers begin that scoring does not need; artifacts go
            without them.
        least_epochs: patience is counted from here on, for a network whose first epochs only prepare.
    """

    training_only: tuple[str, ...] = ()
    least_epochs: int = 0

    def forward(self, rows: Rows) -> tuple[Tensor, object]:
        """Return logits (users, items) on whole histories without noise, and the posterior; None without one."""
        raise NotImplementedError

    def losses(self, rows: Rows, epochs_done: Tensor, noise: Noise) -> Mapping[str, Term]:
        """Return the named terms for a batch.

        Args:
            rows: the users' items.
            epochs_done: how far training is, in epochs and fractions of one, (); a tensor, so that one compiled step
                serves all of training.
            noise: the source of all chance.
        """
        raise NotImplementedError

    def passes(self, epoch: int) -> Sequence[Pass]:
        """Return the passes over the users that an epoch, from 1, consists of."""
        return (Pass(self.losses),)

    def prepare(self, rows: Rows, chance: torch.Generator) -> None:
        """Take up what depends on the training users, on the CPU, before the first epoch and before a resumed one.

        Args:
            rows: all training users' items; `rows.ids` counts them from 0.
            chance: for weights that are drawn.
        """

    def refresh(self) -> None:
        """Bring up to date what scoring derives from the weights; called before each validation and at the end."""

    def diagnostics(self) -> Mapping[str, float]:
        """Return named figures to log after each epoch beside the terms."""
        return {}

    def served(self) -> Mapping[str, Tensor]:
        """Return what scoring needs of the parameters and buffers, by name."""
        state = self.state_dict()
        return {name: tensor for name, tensor in state.items() if not name.startswith(self.training_only or ("\0",))}
