"""A user's own torch network, built by a function in a Python file: as an oracle, and as a model to train."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from oracles.checkpoint import Settings, first_line, load_into, read_header
from oracles.errors import SpecError
from oracles.local import LocalOracle, Normalisation
from oracles.options import read, refuse_unknown
from oracles.oracle import Classes
from oracles.owned import OwnedModel, state_classifying_layers
from oracles.python_module import load_function
from oracles.saved_states import network_in, read_state, saved_normalisation

SCHEME = "torch"
_AXES = 2  # of logits


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions:
    """What has to be said of a network, and what may be.

    Attributes:
        image_shape: (channels, height, width) of the images that it takes.
        classes: names of its outputs, in their order; if left out, those in the checkpoint's header, else numbers.
        checkpoint: file of its weights, safetensors or torch (tensors only); if left out, those that the function gave
            it.
        mean: subtracted from images in [0, 1] before the network sees them, one value a channel or one for all; if left
            out, that of a layer in the checkpoint, else 0.
        std: by which they are divided then; if left out, likewise, else 1.
        head: names of the layers that classify; if left out, the last linear layer with an output for each class.
        device: where it computes: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the fastest that there is.
        dtype: of the computation: `float32`, `bfloat16` or `float16`.
        pass_size: images in one pass; chosen by image size and device if left out.
    """

    image_shape: tuple[int, int, int]
    classes: tuple[str, ...] = ()
    checkpoint: str | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    head: tuple[str, ...] = ()
    device: str = "auto"
    dtype: str = "float32"
    pass_size: int | None = None


def open_network(location: str, options: Mapping[str, str]) -> LocalOracle:
    """The oracle behind `torch:PATH.py:FUNCTION`.

    Args:
        location: `PATH.py:FUNCTION`.
        options: those of `NetworkOptions`, as text.

    Raises:
        SpecError: no such file or function, it gives no network for such images, or an option that makes no sense.
    """
    said, owned = _opened(location, options)
    path, _, function = location.rpartition(":")
    name = f"{SCHEME}:{Path(path).name}:{function}"
    return owned.oracle(name, device=said.device, dtype=said.dtype, pass_size=said.pass_size)


def owned_network(location: str, options: Mapping[str, str]) -> OwnedModel:
    """The network of `torch:PATH.py:FUNCTION`, in evaluation mode, with what is known about it.

    The function is called without arguments, under a fixed seed: weights that it draws are the same every time. Its
    file is part of the identity; what that imports or loads is not looked at, but for the weights.

    Args:
        location: `PATH.py:FUNCTION`.
        options: those of `NetworkOptions`, as text.

    Raises:
        SpecError: no such file or function, it gives no network for such images, or an option that makes no sense.
    """
    if settled := sorted(options.keys() & {"device", "dtype", "pass_size"}):
        raise SpecError(f"{settled[0]} is for an oracle, not for a model to train; leave ?{settled[0]}=... out")
    return _opened(location, options)[1]


def _opened(location: str, options: Mapping[str, str]) -> tuple[NetworkOptions, OwnedModel]:
    path, _, attribute = location.rpartition(":")
    if not path or not attribute:
        raise SpecError(f"a network of your own is named {SCHEME}:PATH.py:FUNCTION, got {SCHEME}:{location}")
    refuse_unknown(options, [NetworkOptions], place=SCHEME)
    said = read(NetworkOptions, options, place=SCHEME)
    function, source = load_function(Path(path), attribute)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = _built(function, location)
        outputs, last = _tried(module, said.image_shape, location)  # which lazy layers need before weights are loaded
    known = _loaded(module, said, location)
    normalisation = Normalisation(known.mean or (0.0,), known.std or (1.0,))
    normalisation.check(said.image_shape[0])
    classes = Classes(known.classes) if known.classes else Classes.numbered(outputs)
    if len(classes) != outputs:
        raise SpecError(f"{location} has {outputs} outputs, but {len(classes)} classes are named")
    for name in said.head:
        if not isinstance(dict(module.named_modules()).get(name), nn.Linear):
            raise SpecError(f"{location} has no linear layer {name!r}; `head` names those that classify")
    state_classifying_layers(module, said.head or last)
    identity = f"{Path(path).name}:{attribute} {hashlib.sha256(source).hexdigest()}"
    return said, OwnedModel(module, identity, classes.names, said.image_shape, normalisation, bool(known.classes))


def _built(function: Any, location: str) -> nn.Module:
    try:
        module = function()
    except Exception as error:  # whatever a user's function raises
        raise SpecError(f"{location} raised {type(error).__name__}: {error}") from error
    if not isinstance(module, nn.Module):
        raise SpecError(
            f"{location} should return a torch.nn.Module, from images (B, C, H, W) to logits (B, K), got "
            f"{type(module).__name__}; a function of images is named module:{location}"
        )
    return module.to("cpu", torch.float32).eval()


def _loaded(module: nn.Module, said: NetworkOptions, location: str) -> Settings:
    """Classes, mean and std, as far as options or checkpoint tell; the network has the checkpoint's weights now.

    Raises:
        SpecError: no such file, it does not fit, or nobody says how images are normalised before it.
    """
    known = Settings(classes=said.classes or None, mean=said.mean or None, std=said.std or None)
    if said.checkpoint is None:
        return known
    path = Path(said.checkpoint)
    known = known.over(read_header(path))
    saved = network_in(read_state(path), module.state_dict())
    load_into(module, saved.state, path=path, architecture=location)
    return known.over(saved_normalisation(saved, known, path))


def _tried(module: nn.Module, shape: tuple[int, int, int], location: str) -> tuple[int, tuple[str, ...]]:
    """Outputs of a network for a black image, and the last of its linear layers that has as many, if one has."""
    called: list[tuple[str, int]] = []

    def note(name: str, layer: nn.Linear) -> Any:
        return layer.register_forward_hook(lambda *_: called.append((name, layer.out_features)))

    hooks = [note(name, part) for name, part in module.named_modules() if isinstance(part, nn.Linear)]
    try:
        with torch.no_grad():  # what it may keep of this pass can be trained with
            logits = module(torch.zeros(1, *shape))
    except Exception as error:  # whatever a user's network raises
        raise SpecError(f"{location} cannot take images of shape {shape}: {first_line(error)}") from error
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(logits, Tensor) or logits.ndim != _AXES or len(logits) != 1:
        got = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise SpecError(f"{location} should return a network from images (B, C, H, W) to logits (B, K); it gives {got}")
    outputs = logits.shape[1]
    return outputs, tuple(name for name, count in called if count == outputs and name)[-1:]
