"""Fronts: all that stands between the noise and the oracle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from bbsmooth.coordinator import CoordinatedOracle, Coordinator, Denoised, GivenDenoiser, Stored, load, save
from bbsmooth.coordinator.denoisers.checking import check_denoiser
from bbsmooth.coordinator.denoisers.opening import is_denoiser, open_denoiser
from bbsmooth.coordinator.diffusion import DiffusionDenoiser, diffusion_digest, is_diffusion, load_diffusion
from bbsmooth.coordinator.score_scaling import ScoreScaled
from bbsmooth.coordinator.storage import stored_queries
from bbsmooth.errors import UsageError
from bbsmooth.runs.layout import COORDINATOR, FRONT
from oracles import Oracle


def load_coordinator(path: Path, sigma: float) -> tuple[Coordinator, Tensor]:
    """The coordinator and its parameters (P,) in the directory of a `tune` run, or of a diffusion model; or a denoiser.

    Args:
        path: the directory, or the name of a denoiser as `open_denoiser` takes it.
        sigma: standard deviation of the noise, white = 1.

    Raises:
        UsageError: there is none, or it was made for another sigma.
    """
    if is_denoiser(str(path)):
        denoised = Denoised(denoiser=open_denoiser(str(path)), sigma=sigma)
        return denoised, denoised.initial_parameters()
    file = path / COORDINATOR
    if not file.is_file():
        if is_diffusion(path):
            diffusion = _diffusion(path, sigma, diffusion_digest(path))
            return diffusion, diffusion.initial_parameters()
        raise UsageError(
            f"{path} holds no {COORDINATOR}; name the directory of a finished `bbsmooth tune` run or of a diffusers "
            "model, a denoiser's file, or module:FILE.py:FUNCTION"
        )
    try:
        coordinator, parameters = load(file)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if coordinator.sigma != sigma:
        raise UsageError(f"{file} was made for sigma {coordinator.sigma:g}, not {sigma:g}; tune one for {sigma:g}")
    return coordinator, parameters


@lru_cache(maxsize=1)
def _diffusion(path: Path, sigma: float, digest: str) -> DiffusionDenoiser:
    """One model in memory for all purposes; `digest` tells whether its folder is still the same."""
    return load_diffusion(path, sigma)


@lru_cache(maxsize=4)
def _checked(denoiser: GivenDenoiser, image_shape: tuple[int, int, int], sigma: float) -> None:
    """Check each denoiser once."""
    check_denoiser(denoiser, image_shape, sigma)


@dataclass(frozen=True, slots=True)
class Front:
    """All that stands between the noise and the oracle.

    Args:
        path: directory of a `tune` run or of a diffusion model, or the name of a denoiser; None for nothing or for one
            that is held in memory.
        sigma: of the noise, to tell whether the coordinator was made for it.
        held: the coordinator and its parameters (P,), where no file needs to be read.
    """

    path: Path | None
    sigma: float
    held: tuple[Stored, Tensor] | None = None

    def __post_init__(self) -> None:
        """Refuse a coordinator in memory that was made for other noise."""
        if self.held is not None and self.held[0].sigma != self.sigma:
            raise UsageError(
                f"`front` was made for sigma {self.held[0].sigma:g}, not {self.sigma:g}; make one for {self.sigma:g}"
            )

    def before(self, oracle: Oracle, device: torch.device | None = None) -> Oracle:
        """The oracle with the coordinator in front of it, or as it is.

        Args:
            oracle: the oracle.
            device: see `CoordinatedOracle`.

        Raises:
            UsageError: there is no coordinator, or it does not fit the oracle's images or the noise; or a denoiser that
                must not stand there, see `check_denoiser`.
        """
        if (parts := self.parts) is None:
            return oracle
        coordinator, parameters = parts
        shape = oracle.spec.image_shape
        if shape is not None:
            self.check(shape)
        if shape is not None and coordinator.image_shape not in (None, shape):
            raise UsageError(
                f"{self.path or '`front`'} is a coordinator for images {coordinator.image_shape}, "
                f"the oracle takes {shape}"
            )
        if isinstance(coordinator, ScoreScaled) and (reason := coordinator.unfit(oracle.spec)):
            raise UsageError(
                f"{self.path or '`front`'} scales the scores of another oracle than {oracle.spec.name}: {reason}"
            )
        return CoordinatedOracle(coordinator, parameters, oracle, device)

    def check(self, image_shape: tuple[int, int, int]) -> None:
        """Look at a denoiser that somebody else made, on images (C, H, W), before anything is asked.

        Raises:
            UsageError: see `check_denoiser`.
        """
        if (parts := self.parts) is not None and isinstance(parts[0], Denoised):
            _checked(parts[0].denoiser, image_shape, self.sigma)

    @property
    def parts(self) -> tuple[Coordinator, Tensor] | None:
        """The coordinator and its parameters (P,), None for nothing.

        Raises:
            UsageError: there is no coordinator, or it was made for another sigma.
        """
        if self.held is not None or self.path is None:
            return self.held
        return load_coordinator(self.path, self.sigma)

    def keep(self, folder: Path) -> None:
        """Write a coordinator that is held in memory into a run directory, unless it is there."""
        file = folder / FRONT / COORDINATOR
        if self.held is not None and not file.exists():
            file.parent.mkdir(exist_ok=True)
            save(file, *self.held, queries=0)


def made_without_queries(path: Path) -> bool:
    """True where no oracle was asked for the coordinator: a denoiser, a folder that holds one, or a diffusion model.

    Raises:
        ValueError: its file cannot be read.
        OSError: likewise.
    """
    if is_denoiser(str(path)):
        return True
    file = path / COORDINATOR
    return is_diffusion(path) if not file.is_file() else stored_queries(file) == 0
