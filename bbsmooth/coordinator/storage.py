"""A coordinator and its parameters in one safetensors file: tensors, and every setting in the metadata."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from bbsmooth.coordinator.autoencoder import Autoencoder
from bbsmooth.coordinator.denoised import Denoised, fingerprint_of
from bbsmooth.coordinator.denoisers.opening import reopened
from bbsmooth.coordinator.equaliser import EqualiserSpace
from bbsmooth.coordinator.forms import AddedPrompt, CleanedImage, Form, Scaling
from bbsmooth.coordinator.latent import Bottleneck, LatentCoordinator
from bbsmooth.coordinator.low_rank import LowRankSpace
from bbsmooth.coordinator.network import Architecture, FoldedUNet
from bbsmooth.coordinator.outputs import OutputSpace
from bbsmooth.coordinator.pattern import PatternSpace
from bbsmooth.coordinator.residual_unet import ResidualUNet
from bbsmooth.coordinator.score_scaling import ScalingKind, ScoreScaled, ScoreScaling, scaled_fingerprint
from bbsmooth.coordinator.spaces import DecoderSpace, FilmSpace, Space
from bbsmooth.coordinator.subspace import SubspaceSpace
from bbsmooth.coordinator.trigger import TriggerSpace
from bbsmooth.errors import UsageError

_FORMAT = "bbsmooth-coordinator-1"
_FORMAT_OF_DENOISED = "bbsmooth-denoised-1"
_FORMAT_OF_LATENT = "bbsmooth-latent-1"
_FORMAT_OF_SCALED = "bbsmooth-score-scaled-1"
_BOTTLENECK, _FRONT, _SHOWN_WITH = "bottleneck.", "front.", "shown_with"
_PARAMETERS, _QUERIES = "parameters", "queries"
_SPACES: dict[str, Space] = {"film": FilmSpace(), "decoder": DecoderSpace(), "trigger": TriggerSpace()}


Stored = Autoencoder | Denoised | LatentCoordinator | ScoreScaled
"""Coordinators that a file holds; a given denoiser itself stays where it is, and the file says where."""


def save(path: Path, coordinator: Stored, parameters: Tensor, *, queries: int | None = None) -> None:
    """Write a coordinator and its parameters (P,) to `path`; a file that is there already is replaced as a whole.

    Args:
        path: the file.
        coordinator: the network, or a given denoiser with what stands behind it.
        parameters: (P,) of the part that tuning changes.
        queries: that making it took, None where the run that it lies in says so.
    """
    if isinstance(coordinator, ScoreScaled):
        coordinator, parameters = coordinator.settled(parameters)
    form, settings, weights = _parts(coordinator)
    tensors = {name: tensor.contiguous() for name, tensor in weights.items()}
    metadata = {"format": form, "settings": json.dumps(settings)}
    metadata |= {} if queries is None else {_QUERIES: str(queries)}
    raw = to_safetensors({_PARAMETERS: parameters.contiguous(), **tensors}, metadata)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(raw)
    partial.replace(path)


def _parts(coordinator: Stored) -> tuple[str, dict[str, Any], Mapping[str, Tensor]]:
    """Format, settings and weights of a coordinator."""
    match coordinator:
        case Autoencoder():
            return _FORMAT, _settings(coordinator), coordinator.weights
        case LatentCoordinator(denoiser=denoiser, bottleneck=bottleneck, weights=weights):
            merged = dict(denoiser.weights) | {_BOTTLENECK + name: tensor for name, tensor in weights.items()}
            return _FORMAT_OF_LATENT, _settings(denoiser) | {"bottleneck": asdict(bottleneck)}, merged
        case Denoised():
            return _FORMAT_OF_DENOISED, _settings_of_denoised(coordinator), coordinator.weights
        case ScoreScaled(front=front, shown_with=shown_with, scaling=scaling, names=names):
            form, settings, weights = _parts(front)
            own = {"kind": scaling.kind.value, "names": names, "front": form, "settings": settings}
            return _FORMAT_OF_SCALED, own, {_SHOWN_WITH: shown_with} | _prefixed(weights)


def _prefixed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {_FRONT + name: tensor for name, tensor in weights.items()}


def _of_front(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `_prefixed` was given."""
    return {name.removeprefix(_FRONT): tensor for name, tensor in tensors.items() if name.startswith(_FRONT)}


def _settings(coordinator: Autoencoder) -> dict[str, Any]:
    architecture, scaling = coordinator.architecture, coordinator.scaling
    return {
        **_describe_architecture(architecture),
        "sigma": scaling.sigma,
        "mean": scaling.mean,
        "spread": scaling.spread,
        "form": _describe(coordinator.form),
        "space": _describe_space(coordinator.space),
    }


def _settings_of_denoised(coordinator: Denoised) -> dict[str, Any]:
    return {
        "source": coordinator.denoiser.source,
        "name": coordinator.denoiser.name,
        "fingerprint": coordinator.denoiser.fingerprint,
        "image_shape": coordinator.image_shape,
        "sigma": coordinator.sigma,
        "space": None if coordinator.space is None else _describe_space(coordinator.space),
    }


def load(path: Path) -> tuple[Stored, Tensor]:
    """The coordinator and the parameters (P,) that `save` wrote to `path`; a given denoiser is opened again.

    Raises:
        ValueError: the file is not a coordinator, damaged, or from another version; or the denoiser is not to be had,
            or not the one that it was.
        OSError: it cannot be read.
    """
    try:
        form, settings, parameters, tensors = _read(path)
        coordinator = _BUILDERS[form](settings, tensors)
        if parameters.shape != coordinator.initial_parameters().shape:
            raise ValueError(f"it holds {len(parameters)} parameters")
    except UsageError:
        raise
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a coordinator that this version can read: {error}") from error
    return coordinator, parameters


def stored_identity(path: Path) -> tuple[str, Tensor]:
    """The fingerprint of the coordinator at `path` and its parameters (P,), without opening a given denoiser.

    Raises:
        ValueError: as `load`.
        OSError: it cannot be read.
    """
    try:
        form, settings, parameters, tensors = _read(path)
        return _identity(form, settings, tensors), parameters
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a coordinator that this version can read: {error}") from error


def _identity(form: str, settings: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """The fingerprint of what is stored."""
    if form == _FORMAT_OF_SCALED:
        front = _identity(settings["front"], settings["settings"], _of_front(tensors))
        return scaled_fingerprint(front, tensors[_SHOWN_WITH], _scaling(settings), tuple(settings["names"]))
    if form == _FORMAT_OF_DENOISED:
        space = None if settings["space"] is None else _output_space(settings["space"])
        return fingerprint_of(settings["fingerprint"], settings["sigma"], space, tensors)
    return _BUILDERS[form](settings, tensors).fingerprint


def _read(path: Path) -> tuple[str, dict[str, Any], Tensor, dict[str, Tensor]]:
    """Format, settings, parameters and tensors."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no coordinator at {path}")
    with safe_open(str(path), framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    form = metadata.get("format")
    if form is None or form not in _BUILDERS:
        raise ValueError(f"its format is {form!r}, not {_FORMAT!r}")
    return form, json.loads(metadata["settings"]), tensors.pop(_PARAMETERS), tensors


def stored_queries(path: Path) -> int | None:
    """Queries that making the coordinator at `path` took, None where the file does not say.

    Raises:
        ValueError: the file cannot be read.
        OSError: likewise.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            said = (file.metadata() or {}).get(_QUERIES)
    except SafetensorError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return None if said is None else int(said)


def _build(settings: dict[str, Any], tensors: dict[str, Tensor]) -> Autoencoder:
    layout = {4: torch.channels_last}
    return Autoencoder(
        architecture=_architecture(settings),
        scaling=Scaling(sigma=settings["sigma"], mean=settings["mean"], spread=settings["spread"]),
        form=_form(settings["form"]),
        space=_space(settings["space"]),
        weights={
            name: tensor.contiguous(memory_format=layout.get(tensor.ndim, torch.contiguous_format))
            for name, tensor in tensors.items()
        },
    )


def _describe_architecture(architecture: Architecture) -> dict[str, Any]:
    if isinstance(architecture, FoldedUNet | ResidualUNet):
        return asdict(architecture)
    raise ValueError(f"a coordinator of architecture {architecture!r} cannot be stored")


def _architecture(settings: dict[str, Any]) -> Architecture:
    """The network whose shape the settings hold: each architecture has keys of its own."""
    known = FoldedUNet if "unshuffle" in settings else ResidualUNet
    return known(**{field.name: _tuples(settings[field.name]) for field in fields(known)})


def _tuples(value: Any) -> Any:
    """JSON's lists as tuples."""
    return tuple(value) if isinstance(value, list) else value


def _build_denoised(settings: dict[str, Any], tensors: dict[str, Tensor]) -> Denoised:
    shape = settings["image_shape"]
    return Denoised(
        denoiser=reopened(settings["source"], settings["fingerprint"], settings["name"], None),
        sigma=settings["sigma"],
        space=None if settings["space"] is None else _output_space(settings["space"]),
        weights=tensors,
        image_shape=None if shape is None else tuple(shape),
    )


def _build_latent(settings: dict[str, Any], tensors: dict[str, Tensor]) -> LatentCoordinator:
    own = {name.removeprefix(_BOTTLENECK): tensor for name, tensor in tensors.items() if name.startswith(_BOTTLENECK)}
    shape = settings.pop("bottleneck")
    return LatentCoordinator(
        denoiser=_build(settings, {name: each for name, each in tensors.items() if not name.startswith(_BOTTLENECK)}),
        bottleneck=Bottleneck(**shape | {"image_shape": tuple(shape["image_shape"])}),
        weights=own,
    )


def _build_scaled(settings: dict[str, Any], tensors: dict[str, Tensor]) -> ScoreScaled:
    front = _BUILDERS[settings["front"]](settings["settings"], _of_front(tensors))
    if not isinstance(front, Autoencoder | Denoised):
        raise ValueError("its scores are scaled behind nothing that can be")
    return ScoreScaled(
        front=front,
        shown_with=tensors[_SHOWN_WITH],
        scaling=_scaling(settings),
        names=tuple(settings["names"]),
    )


def _scaling(settings: dict[str, Any]) -> ScoreScaling:
    return ScoreScaling(ScalingKind(settings["kind"]), len(settings["names"]))


_BUILDERS: Mapping[str, Callable[[dict[str, Any], dict[str, Tensor]], Stored]] = {
    _FORMAT: _build,
    _FORMAT_OF_DENOISED: _build_denoised,
    _FORMAT_OF_LATENT: _build_latent,
    _FORMAT_OF_SCALED: _build_scaled,
}


def _output_space(described: Any) -> OutputSpace:
    space = _space(described)
    if not isinstance(space, OutputSpace):
        raise ValueError(f"{described!r} is no space behind a denoiser")
    return space


def _describe(form: Form) -> dict[str, str | float]:
    if isinstance(form, AddedPrompt):
        return {"name": "prompt", "strength": form.strength}
    if isinstance(form, CleanedImage):
        return {"name": "cleaned"}
    raise ValueError(f"a coordinator of form {form!r} cannot be stored")


def _describe_space(space: Space | OutputSpace) -> Any:
    match space:
        case PatternSpace(count):
            return ["pattern", count]
        case EqualiserSpace(inner):
            return ["equaliser", None if inner is None else _describe_space(inner)]
        case LowRankSpace(rank):
            return ["low-rank", rank]
        case SubspaceSpace(dimensions):
            return ["subspace", dimensions]
    return next(name for name, known in _SPACES.items() if known == space)


def _space(described: Any) -> Space:
    match described:
        case ["equaliser", inner]:
            return EqualiserSpace(None if inner is None else _space(inner))
        case ["low-rank", int(rank)]:
            return LowRankSpace(rank)
        case ["subspace", int(dimensions)]:
            return SubspaceSpace(dimensions)
        case ["pattern", int(count)]:
            return PatternSpace(count)
    return _SPACES[described]


def _form(described: dict[str, Any]) -> Form:
    match described:
        case {"name": "cleaned"}:
            return CleanedImage()
        case {"name": "prompt", "strength": float(strength)}:
            return AddedPrompt(strength)
        case _:
            raise ValueError(f"unknown form {described!r}")
