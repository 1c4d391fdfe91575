"""Weights of a published architecture, in a file: which one it is, is told by the names of its tensors."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from torch import Tensor

from bbsmooth.coordinator.denoisers import bias_free, dncnn, drunet
from bbsmooth.coordinator.denoisers.channels import AnyChannels
from bbsmooth.errors import UsageError
from oracles.saved_states import why_unreadable

ARCHITECTURES: Mapping[str, ModuleType] = {"dncnn": dncnn, "bias-free": bias_free, "drunet": drunet}
"""Each with `recognises(names)` and `build(tensors)`."""

SAFETENSORS = ".safetensors"
_WRAPPED = ("state_dict", "model", "params")
_PARALLEL = "module."


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a file by name: of safetensors, or of a checkpoint of torch that holds nothing but tensors.

    Raises:
        UsageError: it is neither.
    """
    try:
        if path.suffix == SAFETENSORS:
            return from_safetensors(path.read_bytes())
        held = torch.load(path, map_location="cpu", weights_only=True)  # runs no code of the file
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError) as error:
        raise UsageError(
            f"{path} holds no weights that can be read: {why_unreadable(error) if str(error) else 'it is empty'}"
        ) from error
    while isinstance(held, Mapping) and (inner := next((held[key] for key in _WRAPPED if key in held), None)):
        held = inner
    if not isinstance(held, Mapping) or not held or not all(isinstance(part, Tensor) for part in held.values()):
        raise UsageError(f"{path} should hold a denoiser's tensors by name, and nothing else; save its state_dict()")
    return {str(name): tensor for name, tensor in held.items()}


def build(path: Path, tensors: Mapping[str, Tensor]) -> tuple[str, AnyChannels]:
    """Name of the architecture, and the network with these weights, set to evaluation.

    Raises:
        UsageError: the architecture is none that is known, or the weights are not whole.
    """
    own = {name.removeprefix(_PARALLEL): tensor.float() for name, tensor in tensors.items()}
    for name, architecture in ARCHITECTURES.items():
        if architecture.recognises(set(own)):
            try:
                network, channels = architecture.build(own)
            except (ValueError, RuntimeError, KeyError, IndexError) as error:
                raise UsageError(
                    f"{path} is no whole {name}: {(str(error).splitlines() or ['it is empty'])[0]}"
                ) from error
            return name, AnyChannels(network.eval().requires_grad_(False), channels).eval()
    raise UsageError(
        f"{path} holds none of the architectures {', '.join(ARCHITECTURES)}, its first tensor is {min(own)}; "
        "export it as TorchScript, or name a function as module:FILE.py:FUNCTION"
    )


def first_line(error: BaseException) -> str:
    """First line of what an error says, or its name."""
    return (str(error).splitlines() or [type(error).__name__])[0]
