"""Weights as training scripts save them: which tensors of a file are the network's, and under which names.

Files hold the state itself, or a dict with it under a name such as `net` or `model_state_dict`, beside epochs and
optimisers. Wrappers leave prefixes: "module." (DataParallel), "_orig_mod." (torch.compile), "model." (Lightning), "1."
(a Sequential whose first layer normalises). The mean and std of that layer are read too. Code is never run.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from oracles.checkpoint import Settings, first_line
from oracles.errors import SpecError

State = Mapping[str, Tensor]

_STATES = ("state_dict", "model", "net", "model_state_dict", "network", "weights")
"""Names under which scripts keep the network, the first found counts; an average (EMA) goes before all."""

_HARMLESS = re.compile(r"(^|\.)(n_averaged|num_updates|global_step)$|^(criterion|loss|loss_fn)\.")
"""Tensors beside a network that do not change its answers: counters, and weights of a loss."""

_MEANS = frozenset({"mean", "means", "mu", "new_mean", "_mean", "image_mean", "pixel_mean"})
_STDS = frozenset({"std", "stds", "sd", "sds", "sigma", "new_std", "_std", "image_std", "pixel_std"})
_NOT_TENSORS = "Weights only load failed"  # so torch begins, and goes on for pages
_NO_TENSOR = re.compile(r"GLOBAL (\S+)")
_CHANNELS = 4
_AFTER_ANOTHER = re.compile(r"(^|\.)[1-9]\d*\.((module|model|_orig_mod)\.)*$")
"""A prefix that a network has where it is not the first layer of a Sequential."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A network's tensors, found in a file.

    Attributes:
        state: by the names that the architecture gives them.
        mean: of the normalisation layer before it, one value a channel or one for all; None where there is none.
        std: likewise.
        follows: whether another layer stands before it, of which the file holds nothing.
    """

    state: dict[str, Tensor]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    follows: bool = False


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by the names that they have there.

    Raises:
        SpecError: it cannot be read without running code, or holds no weights, or several networks.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_plain_types()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle, safetensors and torch each raise their own
        raise SpecError(f"cannot read the checkpoint {path}: {why_unreadable(error)}") from error
    states = dict(_states(content, ""))
    if not states:
        raise SpecError(f"{path} holds no weights{_held(content)}; save model.state_dict()")
    return dict(states[_chosen(states, path)])


def why_unreadable(error: Exception) -> str:
    """The reason for which a file was not read without running its code, in one line: not torch's advice to run it."""
    if (text := str(error)).startswith(_NOT_TENSORS):
        named = _NO_TENSOR.search(text)
        if named is None:
            return "it is no file that torch.save wrote"
        return f"it holds more than weights, which could run code: save model.state_dict() alone, without {named[1]}"
    return first_line(error)


def network_in(state: State, wanted: State) -> Saved:
    """The part of a state that is a network.

    Args:
        state: of a file.
        wanted: the network's own state.

    Returns:
        Its tensors, under the prefix that fits best; and all that is left over, under its full name, so that what does
        not belong to the network is seen. Only a normalisation layer, copies and counters are not left over.
    """
    prefix = best_prefix(state, wanted)
    own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    beside = {name: tensor for name, tensor in state.items() if not name.startswith(prefix)}
    beside |= {f"{prefix}{name}": own.pop(name) for name in [name for name in own if name not in wanted]}
    means, stds = _layer(beside, _MEANS), _layer(beside, _STDS)
    both = means is not None and stds is not None
    surplus = {
        name: tensor
        for name, tensor in beside.items()
        if not _HARMLESS.search(name)
        and not (both and _last(name) in _MEANS | _STDS)
        and not _is_copy(name, tensor, own)
    }
    follows = not both and _AFTER_ANOTHER.search(prefix) is not None
    return Saved(own | surplus, means if both else None, stds if both else None, follows)


def saved_normalisation(saved: Saved, given: Settings, path: Path) -> Settings:
    """Mean and std of the layer that stands before a network in a file, none where there is none.

    Args:
        saved: the network.
        given: what the user says; a mean among it settles the matter.
        path: of the file, for errors.

    Raises:
        SpecError: there was a layer of which it holds nothing and the user says nothing, or one for other images.
    """
    if saved.follows and given.mean is None:
        raise SpecError(
            f"in {path} another layer stands before the network, probably its normalisation, and its numbers are not "
            "in the file; give mean=... and std=..., one value a channel"
        )
    if saved.mean and given.mean is None and max(saved.mean) > 1.5:
        raise SpecError(
            f"{path} normalises images from 0 to 255, by the mean {', '.join(f'{value:g}' for value in saved.mean)}; "
            "give mean=... and std=... for images from 0 to 1"
        )
    return Settings(mean=saved.mean, std=saved.std)


def best_prefix(state: State, wanted: State) -> str:
    """The prefix under which most of the wanted names stand, the shortest of several; "" where none does."""
    counts = {"": sum(name in state for name in wanted)}
    for name in wanted if counts[""] < len(wanted) else ():
        for prefix in prefixes_of(state, name):
            if prefix not in counts:
                counts[prefix] = sum(f"{prefix}{other}" in state for other in wanted)
        if len(counts) > 1:
            break  # every network holds its first tensor
    return min(counts, key=lambda prefix: (-counts[prefix], len(prefix)))


def prefixes_of(state: State, name: str) -> list[str]:
    """Prefixes of a tensor's name, wherever a state holds it, the shortest first."""
    found = [key.removesuffix(name) for key in state if key == name or key.endswith(f".{name}")]
    return sorted(found, key=len)


def _plain_types() -> list[Any]:
    """Types without behaviour that scripts keep beside weights: options, and NumPy's numbers."""
    numbers = [type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "b1")]
    make_number = np.float64(0).__reduce__()[0]
    return [argparse.Namespace, np.dtype, *numbers, make_number, (make_number, "numpy.core.multiarray.scalar")]


def _states(content: Any, place: str) -> Iterator[tuple[str, State]]:
    """Everything in a file that is a dict of tensors, by the names that lead to it."""
    if not isinstance(content, Mapping) or not content:
        return
    if all(isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()):
        yield place, content
        return
    for name, value in content.items():
        if isinstance(name, str) and not name.startswith("optim"):
            yield from _states(value, f"{place}.{name}".strip("."))


def _chosen(states: Mapping[str, State], path: Path) -> str:
    """The state that counts: an average, else by its name, else the only one."""
    averages = [name for name in states if "ema" in re.split(r"[._]", name.lower())]
    named = [name for known in _STATES for name in states if known in name.split(".")]
    if (choice := [*averages, *named]) or len(states) == 1:
        return choice[0] if choice else next(iter(states))
    raise SpecError(
        f"{path} holds several networks, {', '.join(states)}; save the state_dict() of the one that is meant"
    )


def _held(content: Any) -> str:
    if isinstance(content, Mapping):
        return f" but {', '.join(map(str, list(content)[:5])) or 'nothing'}"
    return f" but a {type(content).__name__}"


def _layer(beside: State, names: frozenset[str]) -> tuple[float, ...] | None:
    """The values of a normalisation layer, as short as they were written; None for none, or two that differ."""
    tensors = [tensor for name, tensor in beside.items() if _last(name) in names and 1 <= tensor.numel() <= _CHANNELS]
    found = {tuple(float(str(value)) for value in tensor.float().flatten().numpy()) for tensor in tensors}
    return next(iter(found)) if len(found) == 1 else None


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _is_copy(name: str, tensor: Tensor, own: State) -> bool:
    """True for another wrapper's view of a tensor that the network holds already."""
    parts = name.split(".")
    ends = (".".join(parts[start:]) for start in range(1, len(parts)))
    return any(end in own and torch.equal(own[end], tensor) for end in ends)
