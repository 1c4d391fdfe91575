"""The angle between the gradients of two objectives: AutoLoRa's diagnosis of robust fine-tuning.

Xu, Zhang, Kankanhalli, ICLR 2024, section 3.1: where natural and adversarial images are both fitted through the feature
extractor, the gradients of the two objectives diverge, which makes training unstable.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def gradient_similarity(first: Tensor, second: Tensor, weights: Sequence[Tensor]) -> float:
    """The cosine of the angle between the gradients of two losses; 0 where one of them vanishes.

    Args:
        first: a scalar.
        second: a scalar; both may share a graph.
        weights: with respect to which the gradients are taken. A loss that does not depend on one has gradient 0 there.

    Returns:
        From -1, the objectives undo each other, to 1, they want the same.
    """
    one, other = (
        torch.cat(
            [part.flatten() for part in torch.autograd.grad(loss, weights, retain_graph=True, materialize_grads=True)]
        )
        for loss in (first, second)
    )
    length = torch.linalg.vector_norm(one) * torch.linalg.vector_norm(other)
    return float(one @ other / length) if length > 0 else 0.0
