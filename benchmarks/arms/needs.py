"""What a training step of Multi-VAE needs of a machine, however it is written: operations and bytes."""

from __future__ import annotations

from benchmarks.arms.side import HIDDEN, LATENT

FLOAT = 4
"""Bytes of a number; weights and the optimizer's moments stay in float32."""


def flops(items: int, length: float) -> float:
    """Return the floating-point operations of a training user.

    A dense layer is three products in a step, its output and the gradients of both its factors, of two operations a
    weight each. The first layer sums one row an item of the history, and hands its gradient back to these rows.

    Args:
        items: in the catalogue.
        length: items of the user.
    """
    dense = HIDDEN * items + HIDDEN * 2 * LATENT + LATENT * HIDDEN
    return 3 * 2 * dense + 2 * 2 * HIDDEN * length


def step_bytes(items: int, batch: int, *, of_logit: int) -> float:
    """Return the bytes that a step reads and writes in memory, if nothing that large stays in a cache.

    Adam reads a weight, its gradient and two moments, and writes the weight and the moments; the gradient was written
    before. The logits are written, read by the softmax, written back as their gradient, and read by two products.

    Args:
        items: in the catalogue.
        batch: users in the step.
        of_logit: bytes of a logit.
    """
    weights = 2 * HIDDEN * items + HIDDEN * 2 * LATENT + LATENT * HIDDEN
    return 8 * FLOAT * weights + 5 * of_logit * batch * items
