"""A denoiser that somebody else made: noisy images and sigma in, images out."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bbsmooth.errors import FrontFailed, UsageError

Function = Callable[..., Any]
"""(B, C, H, W) float32 tensor, white = 1, not clipped, and sigma -> (B, C, H, W), a tensor or an array. A function of
one argument is not told sigma."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class GivenDenoiser:
    """A denoiser `denoiser(images, sigma)`, as deepinv calls them.

    Args:
        function: takes the noise off.
        name: what people call it.
        fingerprint: hexadecimal digest that changes whenever it could give other images.
        source: from which `open_denoiser` opens it again.
        concurrent: whether several threads may call it at once; nothing is known of a user's function.
        anywhere: whether it computes where its images are.
    """

    function: Function
    name: str
    fingerprint: str
    source: str
    concurrent: bool = False
    anywhere: bool = False
    _lock: AbstractContextManager[Any] = field(init=False, repr=False)
    _tells_sigma: bool = field(init=False)

    def __post_init__(self) -> None:
        """Learn whether it wants to know sigma."""
        object.__setattr__(self, "_lock", nullcontext() if self.concurrent else threading.Lock())
        object.__setattr__(self, "_tells_sigma", takes_sigma(self.function))

    def __call__(self, images: Tensor, sigma: float) -> Tensor:
        """Images (B, C, H, W) float32 for noisy ones, differentiable where the function is.

        Raises:
            FrontFailed: it raised something, or returned what are no such images.
        """
        given = images if self.anywhere else images.to(self._device)
        try:
            with self._lock:
                returned = self.function(given, sigma) if self._tells_sigma else self.function(given)
        except (Exception, SystemExit) as error:  # whatever a user's function raises
            said = (str(error).splitlines() or [""])[0]
            raise FrontFailed(f"the denoiser {self.name} raised {type(error).__name__}: {said}") from error
        if isinstance(returned, np.ndarray):
            returned = torch.from_numpy(np.ascontiguousarray(returned))
        if not isinstance(returned, Tensor) or returned.shape != images.shape or not returned.is_floating_point():
            raise FrontFailed(
                f"the denoiser {self.name} should return floats of shape {tuple(images.shape)}, got {_said(returned)}"
            )
        return returned.to(images.device, torch.float32)

    @property
    def _device(self) -> torch.device:
        """Where the function is given images: where a module's weights are, else on the processor."""
        weights = self.function.parameters() if isinstance(self.function, nn.Module) else iter(())
        first = next(weights, None)
        return torch.device("cpu") if first is None else first.device

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process by name, since functions of a user's file and TorchScript cannot be pickled."""
        from bbsmooth.coordinator.denoisers.opening import reopened

        return reopened, (self.source, self.fingerprint, self.name, None if is_named(self.source) else self.function)


PYTHON = "python:"
"""Begins the source of a denoiser that was handed over as an object."""


def is_named(source: str) -> bool:
    """True for a denoiser that can be opened by name in any process."""
    return not source.startswith(PYTHON)


def takes_sigma(function: Function) -> bool:
    """True for a function that is called with images and sigma, False for one that takes images alone.

    Raises:
        UsageError: it can be called with neither.
    """
    if isinstance(function, torch.jit.ScriptModule):
        return len(arguments_of(function)) > 1
    called = function.forward if isinstance(function, nn.Module) else function
    try:
        signature = inspect.signature(called)
    except (TypeError, ValueError):  # some builtins have none
        return True
    for arguments, told in (((None, None), True), ((None,), False)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return told
    raise UsageError(f"a denoiser is called with images and sigma, or with images; this one takes {signature}")


def arguments_of(module: torch.jit.ScriptModule) -> list[Any]:
    """What a TorchScript module is called with, each with a type, and whether it has a default value."""
    schema: Any = module.forward.schema  # type: ignore[attr-defined]
    return list(schema.arguments[1:])  # the first is the module itself


def _said(returned: object) -> str:
    if isinstance(returned, Tensor):
        return f"{returned.dtype} of shape {tuple(returned.shape)}"
    return type(returned).__name__
