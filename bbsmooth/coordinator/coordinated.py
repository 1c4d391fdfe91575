"""A coordinator in front of an oracle is an oracle again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from bbsmooth.coordinator.autoencoder import Coordinator, show
from bbsmooth.coordinator.residual_unet import images_a_pass
from bbsmooth.coordinator.score_scaling import ScoreScaled, read
from oracles import Answers, Feedback, Oracle, OracleSpec
from oracles.local import images_per_pass

_MOST_A_PASS = 64
"""On the processor, fewer of images above 32 x 32 pixels; elsewhere as many as fit one pass there."""

_WHITE = 255


@dataclass(frozen=True, slots=True, eq=False)
class CoordinatedOracle:
    """Shows every image to a coordinator, and what comes out to the oracle.

    Images pass the coordinator in micro-batches whose size their shape fixes, the last filled up with black. So memory
    is flat, and what the oracle is shown for an image does not depend on how many others came along: kernels are chosen
    by shape, and each row of a convolution is computed by itself.

    Args:
        coordinator: the local network.
        parameters: (P,) float32, for example tuned.
        oracle: asked about what the coordinator shows.
        device: where the coordinator computes and the oracle is given its images; None leaves the coordinator where it
            is, and images where they are.

    Raises:
        ValueError: the oracle takes images of another shape or gives other scores than the coordinator reads, or
            `parameters` do not fit the coordinator.
    """

    coordinator: Coordinator
    parameters: Tensor
    oracle: Oracle
    device: torch.device | None = None
    spec: OracleSpec = field(init=False)

    def __post_init__(self) -> None:
        """Check that the parts fit, and derive the specification."""
        inner, own = self.oracle.spec, self.coordinator.image_shape
        shape = inner.image_shape if own is None else own
        if inner.image_shape not in (None, shape):
            raise ValueError(f"the coordinator gives images of shape {shape}, {inner.name} takes {inner.image_shape}")
        scales = isinstance(self.coordinator, ScoreScaled)
        if isinstance(self.coordinator, ScoreScaled) and (reason := self.coordinator.unfit(inner)):
            raise ValueError(f"the coordinator does not fit {inner.name}: {reason}")
        wanted = tuple(self.coordinator.initial_parameters().shape)
        if tuple(self.parameters.shape) != wanted:
            raise ValueError(f"the coordinator has parameters of shape {wanted}, got {tuple(self.parameters.shape)}")
        values = self.parameters.detach().to("cpu", torch.float32).contiguous().clone()
        parts = (self.coordinator.fingerprint, hashlib.sha256(values.numpy().tobytes()).hexdigest(), inner.fingerprint)
        fingerprint = hashlib.sha256(repr(("coordinated", *parts)).encode()).hexdigest()
        spec = replace(
            inner,
            name=f"coordinator in front of {inner.name}",
            fingerprint=fingerprint,
            image_shape=shape,
            eight_bit=False,
            feedback=Feedback.PROBABILITIES if scales else inner.feedback,
        )
        if self.device is not None:
            object.__setattr__(self, "coordinator", self.coordinator.on(self.device))
        object.__setattr__(self, "parameters", values.to(self.device))
        object.__setattr__(self, "spec", spec)

    def query(self, images: Tensor) -> Answers:
        """Answers to what is shown for `images` (B, C, H, W), uint8 or floating point, as it is read."""
        self.spec.check(images)
        answers = self.oracle.query(self.show(images))
        return read(self.coordinator, answers, self.oracle.spec.feedback, self.parameters)[0]

    def show(self, images: Tensor) -> Tensor:
        """Images that the oracle is shown for `images` (B, C, H, W): float32 in [0, 1], the same for any batch size."""
        images = images.to(self.device)
        values = images.to(torch.float32) / _WHITE if images.dtype == torch.uint8 else images.to(torch.float32)
        with torch.inference_mode():
            size = self._micro_batch(images)
            shown = [self._show(part, size) for part in torch.split(values, size)]
        return torch.cat(shown)

    def _micro_batch(self, images: Tensor) -> int:
        _, channels, height, width = images.shape
        if self.device is None or self.device.type == "cpu":
            return min(_MOST_A_PASS, images_a_pass(height, width))
        return images_per_pass((channels, height, width), self.device)

    def _show(self, part: Tensor, size: int) -> Tensor:
        missing = size - len(part)
        full = F.pad(part, (0, 0, 0, 0, 0, 0, 0, missing)) if missing else part
        return show(self.coordinator, full.contiguous(), self.parameters)[: len(part)]
