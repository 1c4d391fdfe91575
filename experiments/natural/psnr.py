"""The shipped denoisers beside classical ones: peak signal to noise on pictures that none has seen.

`python -m experiments.natural.psnr` writes `psnr.json`: for each sigma the decibels of 1,000 test images of CIFAR-10
and of 100 ImageNet pictures of 96 x 96, noisy, by a 3 x 3 median, by total variation (Rudin, Osher, Fatemi 1992, as
deepinv has it) at the strength that is best on other images, and by `natural-small` and `natural`. Nothing is clipped
but what a network clips itself.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from deepinv.models import MedianFilter, TVDenoiser
from torch import Tensor

from bbsmooth import data
from bbsmooth.coordinator import CoordinatedOracle
from bbsmooth.coordinator.natural import natural
from experiments.natural.results import keep
from experiments.natural.run import psnr
from experiments.tuning.resnet20 import shared
from oracles import HalfspaceOracle

RESULT = Path(__file__).with_name("psnr.json")
SIGMAS = (0.05, 0.12, 0.25, 0.5, 1.0)
IMAGES, PICTURES, SIDE, CHOOSING = 1_000, 100, 96, 100
STRENGTHS = (0.5, 0.7, 1.0, 1.4, 2.0)
"""Of total variation, times sigma."""

_ITERATIONS = 100
_EVERY = 5
"""Every fifth picture judges: the others trained the denoisers."""

Denoise = Callable[[Tensor], Tensor]


def main() -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    sets = {"CIFAR-10, 32 x 32": _cifar10(), "ImageNet, 96 x 96": _pictures()}
    for sigma in SIGMAS:
        for name, (judging, choosing) in sets.items():
            strength = max(STRENGTHS, key=lambda each: psnr(choosing, sigma, _total_variation(sigma * each)))
            ways: dict[str, Denoise] = {
                "noisy": lambda noisy: noisy,
                "median": MedianFilter(kernel_size=3),
                "total variation": _total_variation(sigma * strength),
                "natural-small": _network(judging, sigma, "small"),
                "natural": _network(judging, sigma, "base"),
            }
            row = {way: round(psnr(judging, sigma, denoise), 2) for way, denoise in ways.items()}
            keep(name, f"{sigma:g}", row | {"strength": strength}, RESULT)


def _total_variation(strength: float) -> Denoise:
    """A fresh one each time: the class begins where its last call ended."""
    return lambda noisy: TVDenoiser(n_it_max=_ITERATIONS)(noisy, strength)


def _network(images: Tensor, sigma: float, size: str) -> Denoise:
    channels, height, width = images.shape[1:]
    coordinator = natural((channels, height, width), sigma, size=size)
    plane = HalfspaceOracle(normal=torch.ones(channels, height, width), offset=0.0)
    return CoordinatedOracle(coordinator, coordinator.initial_parameters(), plane).show


def _cifar10() -> tuple[Tensor, Tensor]:
    """Test images that judge, and training images by which a strength is chosen."""
    name = f"hf:{shared() / 'data' / 'cifar10'}"
    judging, choosing = (data.load(name, split=split) for split in ("test", "train"))
    return judging.images(range(IMAGES)), choosing.images(range(CHOOSING))


def _pictures() -> tuple[Tensor, Tensor]:
    """Pictures that judge, made smaller, and others."""
    folder = shared() / "data" / "imagenet-sample"
    pictures = data.load(f"folder:{folder}", image_shape=(3, SIDE, SIDE), resize=True)
    judging = range(0, len(pictures), _EVERY)[:PICTURES]
    return pictures.images(judging), pictures.images([index + 1 for index in judging])


if __name__ == "__main__":
    main()
