"""The search space of BlackVIP: the decoder, and features that do not come from the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from bbsmooth.coordinator.network import TRIGGER, Architecture, Weights
from bbsmooth.coordinator.spaces import DecoderSpace


@dataclass(frozen=True, slots=True)
class TriggerSpace:
    """Every weight of the decoder, and a trigger: features of its own that it gets with those of the image.

    Oh et al. (BlackVIP), CVPR 2023, section 4.1, give the decoder both side by side. Here they are added: its first
    layer takes each cell by itself, and so is a sum over both there too.
    """

    def size(self, architecture: Architecture) -> int:
        """Those of `DecoderSpace`, and the coarsest features."""
        return DecoderSpace().size(architecture) + math.prod(architecture.coarsest)

    def weights(self, architecture: Architecture, weights: Weights, parameters: Tensor) -> dict[str, Tensor]:
        """Weights with a changed decoder and trigger; the trigger stands last in the parameters."""
        trigger = parameters[DecoderSpace().size(architecture) :].view(architecture.coarsest)
        tuned = DecoderSpace().weights(architecture, weights, parameters[: -trigger.numel()])
        return tuned | {TRIGGER: weights[TRIGGER] + trigger if TRIGGER in weights else trigger}
