"""Classifiers of timm with their weights: from a file, a folder saved by timm, the hub, or random.

The only file of this package that imports timm, and only when a model is opened: timm takes seconds to import.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from oracles.checkpoint import Settings, first_line, load_into, read_folder, read_header
from oracles.errors import OracleUnavailable, SpecError
from oracles.saved_states import network_in, prefixes_of, read_state, saved_normalisation


@dataclass(frozen=True, slots=True)
class Built:
    """A classifier of timm.

    Attributes:
        module: with its weights.
        identity: timm's name and all arguments, as one line: what the module's state does not tell.
        settings: what the user said, else its files, else timm.
    """

    module: nn.Module
    identity: str
    settings: Settings


def build(architecture: str, given: Settings, *, checkpoint: Path | None = None, weights: str | None = None) -> Built:
    """The classifier called `architecture`.

    Args:
        architecture: timm's name, `local-dir:FOLDER`, or `hf-hub:OWNER/NAME`.
        given: what the user asks for.
        checkpoint: file of weights.
        weights: "pretrained", "random", or None for the checkpoint if there is one and pretrained otherwise.

    Raises:
        SpecError: unknown architecture, a file that is missing or does not fit, settings that make no sense.
        OracleUnavailable: the pretrained weights are neither on disk nor reachable.
    """
    source = _source(architecture, checkpoint, weights)
    settings = given.over(source.settings)
    return _from_hub(source, settings) if source.on_hub else _from_disk(source, settings)


@dataclass(frozen=True, slots=True)
class _Source:
    """The origin of a model: timm's name, its files' settings, and its weights (None: random, or on the hub)."""

    architecture: str
    settings: Settings
    weights: Path | None = None
    on_hub: bool = False


def _source(architecture: str, checkpoint: Path | None, weights: str | None) -> _Source:
    """The origin of the model, with an error for what cannot be combined."""
    if weights not in (None, "pretrained", "random"):
        raise SpecError(f"weights must be pretrained or random, got {weights!r}")
    scheme, _, rest = architecture.partition(":")
    if checkpoint is not None and (weights is not None or scheme in ("local-dir", "hf-hub")):
        raise SpecError(f"a checkpoint holds the weights; it cannot be combined with {weights or scheme}")
    if scheme == "local-dir" and rest:
        settings, path = read_folder(Path(rest))
        if settings.architecture is None:
            raise SpecError(f"{rest} does not name its architecture")
        return _Source(_known(settings.architecture), settings, None if weights == "random" else path)
    if scheme == "hf-hub" and rest:
        if weights == "random":
            raise SpecError("hf-hub: names weights on the hub; weights=random needs the name of an architecture")
        return _Source(architecture, Settings(), on_hub=True)
    _known(architecture)
    if checkpoint is not None:
        settings = read_header(checkpoint)
        if settings.architecture not in (None, architecture.partition(".")[0]):
            raise SpecError(f"{checkpoint} holds a {settings.architecture}, not a {architecture}")
        return _Source(architecture, settings, checkpoint)
    return _Source(architecture, Settings(), on_hub=weights != "random")


def _known(architecture: str) -> str:
    """The name itself, if timm knows it.

    Raises:
        SpecError: it does not; the text names those that look alike.
    """
    import timm

    if not timm.is_model(architecture):
        close = get_close_matches(architecture, timm.list_models(), n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "see timm.list_models()"
        raise SpecError(f"timm knows no architecture {architecture!r}; {hint}")
    try:
        timm.get_pretrained_cfg(architecture)
    except RuntimeError as error:
        raise SpecError(f"timm knows no such weights: {error}") from error
    return architecture


def _from_disk(source: _Source, settings: Settings) -> Built:
    """A model with the weights of a file, or with random ones that are the same every time."""
    config = _config(source.architecture)
    state = read_state(source.weights) if source.weights else None
    stored = _stored_classes(state or {}, config.get("classifier"))
    if stored is not None and settings.num_classes not in (None, stored):
        raise SpecError(f"{source.weights} has {stored} classes, not {settings.num_classes}")
    settings = settings.over(Settings(num_classes=stored))
    module, identity = _create(source.architecture, settings)
    if state is not None and source.weights is not None:
        saved = network_in(state, module.state_dict())
        load_into(module, saved.state, path=source.weights, architecture=source.architecture)
        settings = settings.over(saved_normalisation(saved, settings, source.weights))
    return Built(module, identity, settings.over(_defaults(config)))


def _from_hub(source: _Source, settings: Settings) -> Built:
    """A model with pretrained weights from timm's hub, or from the cache of an earlier download."""
    if not source.architecture.startswith("hf-hub:") and not _has_weights(_config(source.architecture)):
        raise SpecError(f"timm has no pretrained weights for {source.architecture}; give a checkpoint")
    asked = Settings(image_size=settings.image_size, model_args=settings.model_args)
    try:
        with _silenced("huggingface_hub"):
            module, identity = _create(source.architecture, asked, pretrained=True)
    except OSError as error:
        raise OracleUnavailable(
            f"cannot fetch the pretrained weights of {source.architecture} from the Hugging Face hub "
            f"({type(error).__name__}); go online once, or give ?checkpoint=FILE or timm:local-dir:FOLDER"
        ) from error
    defaults = _defaults(_module_config(module))
    for what in ("num_classes", "in_chans"):
        wanted, there = getattr(settings, what), getattr(defaults, what)
        if wanted not in (None, there):
            raise SpecError(
                f"the weights of {source.architecture} have {what}={there}, not {wanted}; give a checkpoint"
            )
    return Built(module, identity, settings.over(defaults))


def _create(architecture: str, settings: Settings, *, pretrained: bool = False) -> tuple[nn.Module, str]:
    """A module and its identity: timm's name and all arguments, as one line."""
    import timm

    asked: dict[str, Any] = {"num_classes": settings.num_classes, "in_chans": settings.in_chans}
    if timm.is_model(architecture) and _config(architecture).get("fixed_input_size"):
        asked["img_size"] = settings.image_size
    arguments = settings.model_args | {key: value for key, value in asked.items() if value is not None}
    if arguments.get("num_classes", 1) < 1:
        raise SpecError(f"num_classes must be at least 1, got {arguments['num_classes']}")
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module: nn.Module = timm.create_model(architecture, pretrained=pretrained, **arguments)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise SpecError(f"timm cannot build {architecture} with {arguments}: {first_line(error)}") from error
    name = _module_config(module)["architecture"]
    return module, f"{name} {json.dumps(arguments, sort_keys=True, default=str)}"


def _config(architecture: str) -> dict[str, Any]:
    """Timm's configuration of an architecture that it knows, and of its pretrained weights."""
    import timm

    config = timm.get_pretrained_cfg(architecture)
    return {} if config is None else dict(config.to_dict())  # type: ignore[no-untyped-call]


def _module_config(module: nn.Module) -> dict[str, Any]:
    """The same of a module, with the address of the weights that it was built with."""
    return dict(module.pretrained_cfg)  # type: ignore[arg-type]  # timm attaches a dict, torch types all as tensors


def _has_weights(config: Mapping[str, Any]) -> bool:
    """True if there are pretrained weights somewhere."""
    return any(config.get(place) for place in ("hf_hub_id", "url", "file"))


def _stored_classes(state: Mapping[str, Tensor], classifier: str | tuple[str, ...] | None) -> int | None:
    """Outputs of the last layer in a state, under whatever prefix; None where it cannot be told."""
    name = classifier[0] if isinstance(classifier, tuple | list) else classifier
    weight = f"{name}.weight"
    prefix = next(iter(prefixes_of(state, weight)), None)
    return None if prefix is None else len(state[f"{prefix}{weight}"])


def _defaults(config: Mapping[str, Any]) -> Settings:
    """Settings in timm's configuration of pretrained weights."""
    channels, height, width = config["input_size"]
    return Settings(
        num_classes=config["num_classes"],
        in_chans=channels,
        image_size=(height, width),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


@contextmanager
def _silenced(logger: str) -> Iterator[None]:
    """Keep a library's own account of its failures away from the terminal; the error that follows says enough."""
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
