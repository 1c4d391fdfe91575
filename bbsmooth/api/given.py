"""Denoisers that are there already, as objects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from bbsmooth.api.oracle import function_digest
from bbsmooth.coordinator import GivenDenoiser
from bbsmooth.coordinator.denoisers.opening import hand_over, open_denoiser
from bbsmooth.errors import UsageError
from oracles.local import state_digest


def denoiser(
    source: GivenDenoiser | Callable[..., Any] | nn.Module | Path | str,
    *,
    name: str | None = None,
    fingerprint: str | None = None,
    device: str = "auto",
) -> GivenDenoiser:
    """A denoiser that can stand before an oracle: as `front` of every call, and as `start` of `tune`.

    A run that was tuned behind an object remembers what it was, and in another process asks for it: hand the same
    object over to this function again. Its range, and whether its images depend on each other, are looked at by the
    call that it is given to, before the first query.

    Args:
        source: a function or torch module `denoiser(images, sigma)`, as those of deepinv, or of images alone, from a
            float32 tensor (B, C, H, W) with white at 1, not clipped, to a tensor or an array of the same shape; or a
            name as `bbsmooth certify --coordinator` takes it: module:FILE.py:FUNCTION, or a file.
        name: what people call it, None for the name of the function or class.
        fingerprint: hexadecimal digest that changes whenever it could give other images. None takes a module's weights
            and text, a function's code with what it closes over.
        device: where a network of a file computes.

    Raises:
        UsageError: there is none, or it cannot be called so.
    """
    if isinstance(source, GivenDenoiser):
        return source
    if isinstance(source, Path | str):
        return open_denoiser(str(source), device=device)
    if not callable(source):
        raise UsageError(f"`source` must be a function, a module or a name, got {type(source).__name__}")
    if fingerprint is None:
        own = state_digest(source, repr(source)) if isinstance(source, nn.Module) else None
        fingerprint = own or function_digest(source)
    return hand_over(
        source, name=name or str(getattr(source, "__name__", type(source).__name__)), fingerprint=fingerprint
    )
