"""Diffusion denoised smoothing: a pretrained diffusion model takes the noise off in one step.

Carlini, Tramèr, Dvijotham, Rice, Sun, Kolter, "(Certified!!) Adversarial Robustness for Free!", ICLR 2023. The model is
given by the user as a folder of the diffusers library; nothing is trained and nothing is tuned.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import warnings
from copy import copy, deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bbsmooth.errors import UsageError
from oracles.local import pick_device, state_digest

_CONFIG, _SCHEDULE, _WEIGHTS = "config.json", "scheduler_config.json", "diffusion_pytorch_model.safetensors"
_NETWORK = "UNet2DModel"
_PREDICTIONS = ("epsilon", "sample", "v_prediction")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DiffusionDenoiser:
    """The one-step estimate of the clean image, as a `Coordinator` without parameters.

    Diffusion models see images in [-1, 1]. There 2 x + 2 sigma e - 1, times sqrt(a), is what the forward process makes
    of 2 x - 1 at the timestep whose cumulative product a of alphas has (1 - a) / a = (2 sigma)^2. The nearest timestep,
    by the logarithm of that ratio, is taken.

    Args:
        network: from (B, C, H, W) and a timestep to an object whose `sample` is what `prediction` names; set to
            evaluation, on the device where it shall compute.
        products: (T,) float64, the cumulative products of alphas by timestep.
        prediction: "epsilon" (the noise), "sample" (the clean image) or "v_prediction" (Salimans & Ho, ICLR 2022).
        image_shape: (C, H, W).
        sigma: standard deviation of the noise, white = 1.

    Raises:
        UsageError: no timestep of the model has that much noise, or that little.
    """

    network: nn.Module
    products: Tensor
    prediction: str
    image_shape: tuple[int, int, int]
    sigma: float
    timestep: int = field(init=False)
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        """Match the timestep, and digest everything."""
        object.__setattr__(self, "timestep", matching_timestep(self.products, self.sigma))
        settings = ("diffusion-1", self.prediction, self.image_shape, self.sigma, self.timestep, self._product)
        object.__setattr__(self, "fingerprint", state_digest(self.network, repr(settings)))

    def on(self, device: torch.device) -> DiffusionDenoiser:
        """The same on a device; it itself where it is there."""
        if next(self.network.parameters()).device == device:
            return self
        moved = copy(self)
        object.__setattr__(moved, "network", deepcopy(self.network).to(device))
        return moved

    def initial_parameters(self) -> Tensor:
        """(0,): there is nothing to tune."""
        return torch.zeros(0)

    def propose(self, images: Tensor, parameters: Tensor) -> Tensor:
        """The estimate (B, C, H, W) before it is clipped, differentiable in the images."""
        signal, noise = self._product**0.5, (1 - self._product) ** 0.5
        place = next(self.network.parameters()).device
        noisy = signal * (2 * images.to(place) - 1)
        said: Tensor = self.network(noisy, self.timestep).sample[:, : noisy.shape[1]]  # some also predict a variance
        match self.prediction:
            case "epsilon":
                clean = (noisy - noise * said) / signal
            case "sample":
                clean = said
            case _:
                clean = signal * noisy - noise * said
        image: Tensor = (clean + 1) / 2
        return image.to(images.device)

    def render(self, proposed: Tensor) -> Tensor:
        """The image, clipped to [0, 1]."""
        return proposed.clamp(0, 1)

    @property
    def _product(self) -> float:
        return float(self.products[self.timestep])


def matching_timestep(products: Tensor, sigma: float) -> int:
    """The timestep whose noise on images in [-1, 1], sqrt((1 - a) / a), is nearest to 2 sigma on a logarithmic scale.

    Args:
        products: (T,) the cumulative products of alphas, falling.
        sigma: standard deviation of the noise, white = 1.

    Raises:
        UsageError: it lies outside what the model was trained for.
    """
    levels = ((1 - products) / products).sqrt() / 2
    if not levels[0] <= sigma <= levels[-1]:
        raise UsageError(
            f"this diffusion model knows noise of sigma {float(levels[0]):.3g} to {float(levels[-1]):.3g}, not "
            f"{sigma:g}; choose a sigma between"
        )
    return int((levels.log() - torch.tensor(sigma).log()).abs().argmin())


def is_diffusion(folder: Path) -> bool:
    """True if a folder looks like a model of the diffusers library."""
    return any((folder / name).is_file() for name in ("model_index.json", f"unet/{_CONFIG}", _CONFIG))


def diffusion_digest(folder: Path) -> str:
    """Hexadecimal sha256 of the files that `load_diffusion` reads."""
    network, schedule = _places(folder)
    digest = hashlib.sha256()
    for path in (network / _CONFIG, network / _WEIGHTS, schedule / _SCHEDULE):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def load_diffusion(folder: Path, sigma: float, *, device: str = "auto") -> DiffusionDenoiser:
    """The denoiser in a folder as `DDPMPipeline.save_pretrained` writes it, or with all its files side by side.

    Nothing is downloaded, and only weights in safetensors are read.

    Args:
        folder: of an unconditional `UNet2DModel` and its scheduler.
        sigma: standard deviation of the noise, white = 1.
        device: see `oracles.local.pick_device`.

    Raises:
        UsageError: diffusers is not installed, the folder does not hold such a model, or sigma is none of its levels.
    """
    network, schedule = _places(folder)
    _refuse_other_networks(network / _CONFIG)
    diffusers = _import_diffusers()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            unet, loading = diffusers.UNet2DModel.from_pretrained(
                str(network), local_files_only=True, use_safetensors=True, output_loading_info=True
            )
            scheduler = diffusers.DDPMScheduler.from_pretrained(str(schedule), local_files_only=True)
    except Exception as error:  # whatever a library makes of somebody's files
        raise UsageError(f"diffusers cannot read the model in {folder}: {str(error).splitlines()[0]}") from error
    if lacking := sorted(loading["missing_keys"]):
        more = f" and {len(lacking) - 1} more tensors" if len(lacking) > 1 else ""
        raise UsageError(f"{network / _WEIGHTS} lacks {lacking[0]}{more}; save the whole model with save_pretrained")
    if scheduler.config.prediction_type not in _PREDICTIONS:
        raise UsageError(
            f"{schedule / _SCHEDULE} predicts {scheduler.config.prediction_type!r}; this needs one of "
            f"{', '.join(_PREDICTIONS)}"
        )
    size = unet.config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    return DiffusionDenoiser(
        network=unet.to(pick_device(device)).eval().requires_grad_(False),
        products=scheduler.alphas_cumprod.double(),
        prediction=scheduler.config.prediction_type,
        image_shape=(unet.config.in_channels, height, width),
        sigma=sigma,
    )


def _places(folder: Path) -> tuple[Path, Path]:
    """Folders of the network and of its schedule.

    Raises:
        UsageError: a file is missing.
    """
    network = folder / "unet" if (folder / "unet").is_dir() else folder
    schedule = folder / "scheduler" if (folder / "scheduler").is_dir() else folder
    for path in (network / _CONFIG, network / _WEIGHTS, schedule / _SCHEDULE):
        if not path.is_file():
            raise UsageError(f"{folder} is no whole diffusion model: {path} is missing; save it with save_pretrained")
    return network, schedule


def _refuse_other_networks(path: Path) -> None:
    try:
        config = json.loads(path.read_text())
        kind, size = config.get("_class_name"), config.get("sample_size")
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{path} is not the configuration of a network: {error}") from error
    if kind != _NETWORK or size is None:
        raise UsageError(f"{path} describes a {kind} for images of size {size}; this needs a {_NETWORK} with a size")
    if config.get("class_embed_type") or config.get("num_class_embeds"):
        raise UsageError(f"the network of {path} wants to be told a class; this needs an unconditional one")


def _import_diffusers() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            diffusers = importlib.import_module("diffusers")
            diffusers.utils.logging.set_verbosity_error()
    except ImportError:
        raise UsageError("a diffusion model needs `pip install 'bbsmooth[diffusion]'`") from None
    return diffusers
