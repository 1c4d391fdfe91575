"""A few steps of gradient descent on a loss that costs no query."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_BETAS = (0.9, 0.99)
_RISING_SHARE = 0.2
_LONGEST_GRADIENT = 1.0


def minimise(
    tensors: Sequence[Tensor],
    loss_at: Callable[[], Tensor],
    *,
    steps: int,
    learning_rate: float,
    weight_decay: float = 0.0,
) -> float:
    """Change `tensors` in place by AdamW, at a rate that rises and then falls, so that short runs settle too.

    Args:
        tensors: leaves on which the loss depends; left without gradient.
        loss_at: the loss on the next batch.
        steps: how many.
        learning_rate: at its peak.
        weight_decay: of AdamW.

    Returns:
        The mean loss over all steps.
    """
    for tensor in tensors:
        tensor.requires_grad_(True)
    optimiser = torch.optim.AdamW(tensors, lr=learning_rate, betas=_BETAS, weight_decay=weight_decay, foreach=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _share_of_peak(step, steps))
    total = 0.0
    with torch.enable_grad():
        for _ in range(steps):
            loss = loss_at()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(tensors, _LONGEST_GRADIENT)
            optimiser.step()
            schedule.step()
            total += loss.item()
    for tensor in tensors:
        tensor.requires_grad_(False)
    return total / steps


def _share_of_peak(step: int, steps: int) -> float:
    """The learning rate of step 0, 1, ..., as a share of its peak: up over a fifth of the way, then down, in lines."""
    return min((step + 1) / (_RISING_SHARE * steps), (steps - step) / ((1 - _RISING_SHARE) * steps), 1.0)
