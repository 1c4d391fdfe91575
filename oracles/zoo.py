"""Local classifiers by name: the embedded vision transformer, and every architecture that timm knows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import nn

from oracles.checkpoint import Settings, first_line, read_header, settings_from
from oracles.errors import SpecError
from oracles.local import LocalOracle, Normalisation
from oracles.options import REFERENCE, split_options
from oracles.oracle import Classes
from oracles.owned import OwnedModel
from oracles.saved_states import read_state
from oracles.timm_models import build
from oracles.torch_networks import SCHEME, owned_network
from oracles.vision_transformer import VisionTransformer

LOCAL_VIT = Path(__file__).parent / "weights" / "local_vit.safetensors"


def owned_model(name: str) -> OwnedModel:
    """The module behind `local-vit`, `torch:PATH.py:FUNCTION`, `timm:REST` or the bare name of a timm architecture.

    Raises:
        SpecError: it is no such name; see `owned_network` and `timm_model` for the rest.
        OracleUnavailable: the pretrained weights cannot be fetched.
    """
    if name == "local-vit":
        return _owned(read_header(LOCAL_VIT).architecture or "", Settings(), checkpoint=LOCAL_VIT)
    address, given = split_options(name, what="a model")
    if address.startswith(f"{SCHEME}:"):
        return owned_network(address.removeprefix(f"{SCHEME}:"), given)
    options = _parsed(given, {key: parser for key, parser in PARSERS.items() if key not in COMPUTING})
    checkpoint, weights = options.pop("checkpoint", None), options.pop("weights", None)
    return _owned(address.removeprefix("timm:"), _settings(**options), checkpoint=checkpoint, weights=weights)


def open_local_vit(rest: str, options: Mapping[str, str]) -> LocalOracle:
    """The oracle `local-vit`, from strings.

    Args:
        rest: empty.
        options: `device`, `dtype`, `pass_size`.

    Raises:
        SpecError: something else, or a value that makes no sense.
    """
    if rest:
        raise SpecError(f"local-vit is one model, nothing follows its name, got {rest!r}")
    return local_vit(**_parsed(options, {name: PARSERS[name] for name in COMPUTING}))


def open_timm(rest: str, options: Mapping[str, str]) -> LocalOracle:
    """The oracle `timm:REST?OPTIONS`, from strings.

    Args:
        rest: architecture, `local-dir:FOLDER` or `hf-hub:OWNER/NAME`.
        options: the arguments of `timm_model`; lists are separated by commas, `model_args` is JSON.

    Raises:
        SpecError: an option is unknown or its value makes no sense; see `timm_model` for the rest.
        OracleUnavailable: the pretrained weights cannot be fetched.
    """
    if not rest:
        raise SpecError("timm: needs the name of an architecture, like timm:resnet18?checkpoint=FILE")
    return timm_model(rest, **_parsed(options, PARSERS))


def local_vit(*, device: str = "auto", dtype: str = "float32", pass_size: int | None = None) -> LocalOracle:
    """The embedded vision transformer for 28 x 28 digits, trained on clean ones (`experiments/local_vit`).

    Args:
        device: see `LocalOracle`.
        dtype: see `LocalOracle`.
        pass_size: see `LocalOracle`.

    Raises:
        SpecError: a device or type that is not there.
    """
    return _embedded().oracle("local-vit", device=device, dtype=dtype, pass_size=pass_size)


def timm_model(
    architecture: str,
    *,
    checkpoint: str | Path | None = None,
    weights: str | None = None,
    num_classes: int | None = None,
    classes: Sequence[str] | None = None,
    in_chans: int | None = None,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    model_args: Mapping[str, Any] | None = None,
    name: str | None = None,
    device: str = "auto",
    dtype: str = "float32",
    pass_size: int | None = None,
) -> LocalOracle:
    """A timm classifier (vision transformer, Swin, CNN, MLP mixer, ...) as an oracle.

    What is not given comes from the header of the checkpoint (see `oracles.checkpoint`) or the folder's `config.json`,
    else from what timm says about the architecture; the number of classes comes from the checkpoint's last layer.

    Args:
        architecture: timm's name for it; `local-dir:FOLDER` for a model saved by timm; `hf-hub:OWNER/NAME`.
        checkpoint: a safetensors file, or a torch file that holds tensors only.
        weights: "pretrained" (from the hub or its cache) is meant where neither this nor a checkpoint is given;
            "random" is good for timing only.
        num_classes: K.
        classes: names of the outputs, "0" to "K-1" if nobody says.
        in_chans: channels of an image.
        image_size: height and width of an image.
        mean: normalisation, one value a channel or one for all.
        std: likewise.
        model_args: further arguments of the architecture.
        name: for people.
        device: where it computes: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the fastest that there is.
        dtype: of the computation: `float32`, `bfloat16` or `float16`.
        pass_size: images in one pass of the model; chosen by image size and device if left out.

    Raises:
        SpecError: unknown architecture, a file that is missing or does not fit, settings that make no sense.
        OracleUnavailable: the pretrained weights are neither on disk nor reachable.
    """
    given = _settings(num_classes, classes, in_chans, image_size, mean, std, model_args)
    owned = _owned(architecture, given, checkpoint=Path(checkpoint) if checkpoint else None, weights=weights)
    return owned.oracle(name or f"timm:{architecture}", device=device, dtype=dtype, pass_size=pass_size)


def _settings(
    num_classes: int | None = None,
    classes: Sequence[str] | None = None,
    in_chans: int | None = None,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    model_args: Mapping[str, Any] | None = None,
) -> Settings:
    """A user's settings, as `timm_model` documents them."""
    return Settings(
        num_classes=num_classes or (len(classes) if classes else None),
        classes=tuple(classes) if classes else None,
        in_chans=in_chans,
        image_size=(image_size, image_size) if image_size else None,
        mean=tuple(mean) if mean else None,
        std=tuple(std) if std else None,
    ).over(settings_from(None, {"model_args": model_args}))


def _owned(
    architecture: str, given: Settings, *, checkpoint: Path | None = None, weights: str | None = None
) -> OwnedModel:
    """The model with everything that is known about it."""
    built = build(architecture, given, checkpoint=checkpoint, weights=weights)
    return _stated(built.module, built.identity, built.settings)


def _stated(module: nn.Module, identity: str, settings: Settings) -> OwnedModel:
    """A model with what its settings say."""
    return OwnedModel(
        module=module,
        identity=identity,
        classes=_classes(settings),
        image_shape=(settings.in_chans or 3, *(settings.image_size or (224, 224))),
        normalisation=_normalisation(settings),
        named=settings.classes is not None,
    )


def _classes(settings: Settings) -> tuple[str, ...]:
    """The classes by their names if somebody names them, else numbered."""
    count = settings.num_classes or 0
    if settings.classes is None:
        return Classes.numbered(count).names
    if len(settings.classes) != count:
        raise SpecError(f"the model has {count} classes, but {len(settings.classes)} are named")
    return settings.classes


def _normalisation(settings: Settings) -> Normalisation:
    """The normalisation; timm's for three channels serves another number only if it is the same for all."""
    values = {}
    for name in ("mean", "std"):
        stated = getattr(settings, name) or (0.0,)
        if len(stated) not in (1, settings.in_chans):
            if len(set(stated)) > 1:
                raise SpecError(f"{name} has {len(stated)} values for {settings.in_chans} channels; give {name}=...")
            stated = stated[:1]
        values[name] = stated
    return Normalisation(**values)


def _embedded() -> OwnedModel:
    """The embedded vision transformer without timm, which takes as long to import as torch; the same in every bit."""
    stated = read_header(LOCAL_VIT)
    arguments = stated.model_args | {"img_size": stated.image_size}
    module = VisionTransformer(
        image_size=stated.model_args["img_size"],
        patch_size=stated.model_args["patch_size"],
        channels=stated.model_args["in_chans"],
        classes=stated.model_args["num_classes"],
        width=stated.model_args["embed_dim"],
        depth=stated.model_args["depth"],
        heads=stated.model_args["num_heads"],
    )
    module.load_state_dict(read_state(LOCAL_VIT))
    return _stated(module, f"{stated.architecture} {json.dumps(arguments, sort_keys=True)}", stated)


def _parsed(options: Mapping[str, str], parsers: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """Options as arguments.

    Raises:
        SpecError: an unknown option, or a value that is not of its kind.
    """
    values = {}
    for name, text in options.items():
        if name not in parsers:
            close = get_close_matches(name, parsers, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(parsers))}"
            raise SpecError(f"unknown option {name!r}; {hint}; {REFERENCE} explains them")
        try:
            values[name] = parsers[name](text)
        except ValueError as error:
            raise SpecError(f"option {name}={text!r} makes no sense: {first_line(error)}") from error
    return values


def _positive(text: str) -> int:
    """A whole number above 0."""
    if (number := int(text)) < 1:
        raise ValueError("it must be at least 1")
    return number


def _words(text: str) -> list[str]:
    """Words between commas."""
    return [word.strip() for word in text.split(",")]


def _numbers(text: str) -> list[float]:
    """Numbers between commas."""
    return [float(word) for word in text.split(",")]


def _object(text: str) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value := json.loads(text), dict):
        raise ValueError("it must be a JSON object")
    return value


PARSERS: dict[str, Callable[[str], Any]] = {
    "checkpoint": Path,
    "weights": str,
    "num_classes": _positive,
    "classes": _words,
    "in_chans": _positive,
    "image_size": _positive,
    "mean": _numbers,
    "std": _numbers,
    "model_args": _object,
    "device": str,
    "dtype": str,
    "pass_size": _positive,
}
"""Options of `timm:` with what reads them: arguments of `timm_model`."""

COMPUTING = ("device", "dtype", "pass_size")
"""Those options of the machine that change no weights."""
