"""Denoised smoothing (Salman et al., NeurIPS 2020): a denoiser before a classifier that is not touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bbsmooth.errors import UsageError
from bbsmooth.whitebox.noising import Noising
from bbsmooth.whitebox.objectives import Model


class DnCnn(nn.Module):
    """x minus what a plain stack of convolutions takes for noise (Zhang et al., TIP 2017).

    Args:
        channels: of the images.
        width: channels within.
        depth: convolutions.
    """

    def __init__(self, channels: int, width: int, depth: int) -> None:
        """Build the stack."""
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        self.noise = nn.Sequential(*layers, nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) denoised."""
        cleaned: Tensor = images - self.noise(images)
        return cleaned


class SmallUnet(nn.Module):
    """A U-Net (Ronneberger et al., MICCAI 2015) applied to x scaled to one size, plus a learnt share of x.

    So it need not tell the noise, which is several times as large as the image at a large sigma.

    Args:
        channels: of the images.
        width: channels at full size, twice and four times as many below.
    """

    def __init__(self, channels: int, width: int) -> None:
        """Build the two paths."""
        super().__init__()
        widths = (width, 2 * width, 4 * width)
        self.enter = _pair(channels, widths[0])
        self.down = nn.ModuleList(_pair(*pair) for pair in pairwise(widths))
        self.up = nn.ModuleList(_pair(below + here, here) for here, below in pairwise(widths))
        self.leave = nn.Conv2d(width, channels, 1)
        self.share = nn.Parameter(torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) denoised; height and width may be any."""
        size = images.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-6)
        features = [self.enter(images / size)]
        for block in self.down:
            features.append(block(F.avg_pool2d(features[-1], 2, ceil_mode=True)))
        values = features.pop()
        for block, skip in zip(reversed(self.up), reversed(features), strict=True):
            larger = F.interpolate(values, skip.shape[2:], mode="bilinear", align_corners=False)
            values = block(torch.cat([larger, skip], 1))
        cleaned: Tensor = self.leave(values) + self.share * images
        return cleaned


class Denoised(nn.Module):
    """A classifier behind a denoiser."""

    def __init__(self, denoiser: nn.Module, classifier: nn.Module) -> None:
        """Keep both."""
        super().__init__()
        self.denoiser, self.classifier = denoiser, classifier

    def train(self, mode: bool = True) -> Denoised:
        """Set the mode of the denoiser; the classifier stays in evaluation."""
        super().train(mode)
        self.classifier.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Normalised noisy images (B, C, H, W) to logits (B, K)."""
        logits: Tensor = self.classifier(self.denoiser(images))
        return logits


_NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "dncnn": lambda channels: DnCnn(channels, width=64, depth=17),
    "unet": lambda channels: SmallUnet(channels, width=24),
}


@dataclass(frozen=True, slots=True)
class DenoiserAdaptation:
    """A denoiser is trained, the classifier is not.

    Args:
        kind: "dncnn" (17 convolutions of width 64, as in the paper), or "unet" for a small U-Net of width 24.
    """

    kind: str = "unet"
    name: ClassVar[str] = "denoiser"
    moves_statistics: ClassVar[bool] = True

    def adapt(self, module: nn.Module, *, head: tuple[str, ...], example: Tensor, seed: int) -> nn.Module:
        """The classifier, frozen, behind a new denoiser."""
        if self.kind not in _NETWORKS:
            raise UsageError(f"`denoiser` must be one of {', '.join(_NETWORKS)}, got {self.kind!r}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = _NETWORKS[self.kind](example.shape[1])
        return Denoised(network, module.requires_grad_(False))


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoisingLoss:
    """Mean squared error, then stability: that the classifier says of the denoised what it says of the clean image.

    MSE: E ||D(x + e) - x||^2 (equation 2). Stability: E[-log F_c(D(x + e))] with c = argmax F(x) (equation 3); F is the
    classifier itself, or surrogates where its gradients are not to be had. Images are compared as the classifier takes
    them, normalised.

    Args:
        denoiser: from normalised images to normalised images.
        normalised: from images with white at 1 to what it takes.
        classifiers: from normalised images to logits; the loss is the mean over them.
        stability: share of the training, its last part, that is spent on stability.
    """

    denoiser: nn.Module
    normalised: Model
    classifiers: tuple[Model, ...]
    stability: float
    name: ClassVar[str] = "denoising"

    def loss(self, model: Model, images: Tensor, labels: Tensor, noising: Noising, *, trained: float) -> Tensor:
        """Mean over the batch; neither `model` nor `labels` are used."""
        clean = self.normalised(images)
        denoised: Tensor = self.denoiser(self.normalised(images + noising.like(images)))
        if trained < 1 - self.stability:
            return F.mse_loss(denoised, clean)
        losses = []
        for classifier in self.classifiers:
            with torch.no_grad():
                said = classifier(clean).argmax(1)
            losses.append(F.cross_entropy(classifier(denoised), said))
        return torch.stack(losses).mean()


def _pair(channels: int, width: int) -> nn.Sequential:
    """Two convolutions."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1), nn.SiLU()
    )
