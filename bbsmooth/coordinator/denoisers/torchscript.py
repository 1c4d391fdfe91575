"""A denoiser that was exported with its code: TorchScript."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from bbsmooth.coordinator.denoisers.given import arguments_of
from bbsmooth.errors import UsageError


class Scripted(nn.Module):
    """A TorchScript module, told sigma as it wants it: not at all, as a number, or as a tensor (B,).

    Args:
        module: of images, or of images and sigma.
        device: where it computes.

    Raises:
        UsageError: it takes something else.
    """

    def __init__(self, module: torch.jit.ScriptModule, device: torch.device) -> None:
        """Look at what it takes."""
        super().__init__()
        arguments = arguments_of(module)
        needed = [argument for argument in arguments if not argument.has_default_value()]
        if not arguments or len(needed) > 2:
            raise UsageError(
                f"a TorchScript denoiser takes images, or images and sigma; this one takes {len(needed)} arguments"
            )
        self.module, self.device = module, device
        self.told = "nothing" if len(arguments) < 2 else str(arguments[1].type)

    def forward(self, images: Tensor, sigma: float) -> Tensor:
        """What it returns, on the device of the images."""
        moved = images.to(self.device)
        if self.told == "nothing":
            shown: Tensor = self.module(moved)
        elif self.told == "Tensor":
            shown = self.module(moved, torch.full((len(moved),), sigma, device=self.device))
        else:
            shown = self.module(moved, sigma)
        return shown.to(images.device)

    @classmethod
    def read(cls, path: Path, device: torch.device) -> Scripted:
        """The module in a file, set to evaluation.

        Raises:
            UsageError: it cannot be read.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # TorchScript is called old, and works
                module = torch.jit.load(str(path), map_location=device).eval()  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError, OSError) as error:
            raise UsageError(f"{path} cannot be read as TorchScript: {str(error).splitlines()[0]}") from error
        return cls(module, device)
