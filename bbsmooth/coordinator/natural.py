"""The denoiser that is already there, trained on natural images for all levels of noise: no image of yours is needed.

Its file holds a `ResidualUNet` for colour images, and what the level of noise does to it: each block's first layer has
a gain and a shift for every channel that depend on sigma (FiLM: Perez et al., AAAI 2018). For one sigma they are folded
into the weights, and for grey images so is the colour: what is left is a plain network. `experiments/natural` has the
recipe and what it was measured at.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from bbsmooth.coordinator.autoencoder import Autoencoder
from bbsmooth.coordinator.equaliser import UNITS
from bbsmooth.coordinator.forms import CleanedImage, Scaling
from bbsmooth.coordinator.residual_unet import ResidualUNet
from bbsmooth.coordinator.spaces import FilmSpace, Space

NATURAL = "natural"
SHIPPED = ("small", "base")
LEVELS = (0.04, 1.1)
"""Least and largest sigma that it was trained for, white = 1."""

UNIT_LEVELS = (0.04, 0.07, 0.12, 0.2, 0.35, 0.6, 1.1)
"""Noise levels at which the units of its channels were measured; between them lie straight lines over log sigma."""

_FORMAT = "bbsmooth-natural-1"
_WEIGHTS = Path(__file__).parent / "weights"
_MIDDLE = 0.25
_COLOURS = 3


def natural(
    image_shape: tuple[int, int, int], sigma: float, *, size: str = "base", space: Space | None = None
) -> Autoencoder:
    """The shipped denoiser for images of one shape and one level of noise.

    Args:
        image_shape: (channels, height, width): 1 or 3 channels, sides from 8 pixels up.
        sigma: standard deviation of the noise, white = 1.
        size: "small" or "base".
        space: what may be tuned; by default a scale and a shift for each channel of the decoder.

    Raises:
        ValueError: images or a sigma that it was not trained for, or a size that does not ship.
    """
    refuse_unfit(image_shape, sigma, size)
    channels = image_shape[0]
    settings, tensors = _read(size)
    colour = ResidualUNet.of_size(size, (_COLOURS, *image_shape[1:]))
    weights = folded(colour, tensors, sigma)
    architecture = colour if channels == _COLOURS else ResidualUNet.of_size(size, image_shape)
    return Autoencoder(
        architecture=architecture,
        scaling=Scaling(sigma=sigma, mean=settings["mean"], spread=settings["spread"]),
        form=CleanedImage(),
        space=space or FilmSpace(),
        weights=weights if channels == _COLOURS else _grey(weights),
    )


def takes(image_shape: tuple[int, int, int], sigma: float) -> bool:
    """True for images (C, H, W) and a sigma that the natural denoiser was trained for."""
    return image_shape[0] in (1, _COLOURS) and LEVELS[0] <= sigma <= LEVELS[1]


def refuse_unfit(image_shape: tuple[int, int, int], sigma: float, size: str) -> None:
    """Refuse images (C, H, W), a sigma or a size that the natural denoiser was not made for.

    Raises:
        ValueError: with what it is made for.
    """
    if size not in SHIPPED:
        raise ValueError(f"the natural denoiser comes in the sizes {' and '.join(SHIPPED)}, got {size!r}")
    if not takes(image_shape, sigma):
        raise ValueError(
            f"the natural denoiser takes grey or colour images under noise of sigma {LEVELS[0]} to {LEVELS[1]}, got "
            f"{image_shape[0]} channels and sigma {sigma:g}; pre-train one on your own images instead"
        )
    ResidualUNet.of_size(size, image_shape)


@dataclass(frozen=True, slots=True)
class AnyShape:
    """The shipped denoiser as a function of noisy images of any shape, and sigma.

    Args:
        size: "small" or "base".
    """

    size: str

    def __call__(self, images: Tensor, sigma: float) -> Tensor:
        """Images (B, C, H, W), not clipped; see `natural` for what is refused."""
        channels, height, width = images.shape[1:]
        made = _made((channels, height, width), sigma, self.size, images.device)
        return made.propose(images, made.initial_parameters())


@lru_cache(maxsize=32)  # a machine's devices, and more
def _made(image_shape: tuple[int, int, int], sigma: float, size: str, device: torch.device) -> Autoencoder:
    with torch.inference_mode(False):
        return natural(image_shape, sigma, size=size).on(device)


def natural_digest(size: str) -> str:
    """Hexadecimal sha256 of the shipped file."""
    return hashlib.sha256(_file(size).read_bytes()).hexdigest()


def folded(architecture: ResidualUNet, tensors: dict[str, Tensor], sigma: float) -> dict[str, Tensor]:
    """Weights and units of the network for one level of noise.

    Args:
        architecture: of the colour network.
        tensors: of the file: "<layer>.weight" and "<layer>.bias", "level.*" of the two layers that turn log sigma into
            gains and shifts, and "unit.*" at each of `UNIT_LEVELS`.
        sigma: white = 1.
    """
    level = torch.tensor([math.log(sigma / _MIDDLE)])
    hidden = torch.tanh(tensors["level.hidden.weight"] @ level + tensors["level.hidden.bias"])
    modulation = tensors["level.out.weight"] @ hidden + tensors["level.out.bias"]
    weights = {
        f"{name}.{part}": tensors[f"{name}.{part}"] for name in architecture.layers for part in ("weight", "bias")
    }
    for name in modulated(architecture):
        outputs = architecture.layers[name].outputs
        gain, shift, modulation = modulation[:outputs], modulation[outputs : 2 * outputs], modulation[2 * outputs :]
        weights[f"{name}.weight"] = weights[f"{name}.weight"] * (1 + gain)[:, None, None, None]
        weights[f"{name}.bias"] = weights[f"{name}.bias"] * (1 + gain) + shift
    units = {f"{name}.unit": _between(tensors[f"unit.{name}"], sigma) for name in architecture.decoder_layers}
    packed = {name: tensor.contiguous(memory_format=_layout(tensor)) for name, tensor in weights.items()}
    return packed | units | {UNITS: _between(tensors[f"unit.{UNITS}"], sigma)}


def modulated(architecture: ResidualUNet) -> list[str]:
    """Names of the layers whose gains and shifts depend on the level of noise, in the order of the file."""
    return [name for name in architecture.layers if ".begin" in name]


def _between(table: Tensor, sigma: float) -> Tensor:
    """A row of a table (levels, n), between those of the two levels beside sigma."""
    for number, (low, high) in enumerate(pairwise(UNIT_LEVELS)):
        if sigma <= high:
            share = math.log(sigma / low) / math.log(high / low)
            return torch.lerp(table[number], table[number + 1], share)
    return table[-1]


def _grey(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights for grey images: as if all three colours were the same, and their mean came out."""
    stem, head = "encoder.stem", "decoder.head"
    return weights | {
        f"{stem}.weight": weights[f"{stem}.weight"].sum(1, keepdim=True),
        f"{head}.weight": weights[f"{head}.weight"].mean(0, keepdim=True),
        f"{head}.bias": weights[f"{head}.bias"].mean(0, keepdim=True),
        f"{head}.unit": weights[f"{head}.unit"].mean(0, keepdim=True),
    }


@cache
def _read(size: str) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Mean and spread that the network was trained with, and its tensors as float32."""
    path = _file(size)
    with torch.inference_mode(False), safe_open(str(path), framework="pt") as file:
        metadata = file.metadata() or {}
        if metadata.get("format") != _FORMAT:
            raise ValueError(f"{path} is not the natural denoiser of this version; install the package anew")
        return json.loads(metadata["settings"]), {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118


def _file(size: str) -> Path:
    return _WEIGHTS / f"{NATURAL}-{size}.safetensors"


def _layout(tensor: Tensor) -> torch.memory_format:
    return torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
