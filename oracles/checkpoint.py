"""Files of a local model, besides its weights: architecture, classes, normalisation.

A safetensors header may hold `architecture` (timm's name), and as JSON `model_args` (an object), `classes` (names in
order), `mean` and `std` (one value a channel). A folder saved by timm holds the same in `config.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from oracles.errors import SpecError

if TYPE_CHECKING:
    from torch import Tensor, nn

# In timm's order of preference; a folder of several parts ("model-00001-of-...") has none of these.
_WEIGHT_FILES = (
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
    "open_clip_model.safetensors",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a model by a user, a file or a folder; None where it says nothing.

    Attributes:
        architecture: timm's name, without the tag of pretrained weights.
        num_classes: outputs.
        classes: their names in order.
        in_chans: channels of an image.
        image_size: (height, width) of an image.
        mean: of the normalisation, one value a channel or one for all.
        std: likewise.
        model_args: further arguments of the architecture.
    """

    architecture: str | None = None
    num_classes: int | None = None
    classes: tuple[str, ...] | None = None
    in_chans: int | None = None
    image_size: tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    model_args: dict[str, Any] = field(default_factory=dict)

    def over(self, other: Settings) -> Settings:
        """These settings, and those of `other` where they are silent."""
        merged = {
            item.name: getattr(other, item.name) if getattr(self, item.name) is None else getattr(self, item.name)
            for item in fields(self)
        }
        return Settings(**merged | {"model_args": other.model_args | self.model_args})


def settings_from(architecture: str | None, stated: Mapping[str, Any]) -> Settings:
    """Settings from JSON values under timm's names; what `model_args` says about images and classes counts.

    Raises:
        ValueError: a value of another kind than it should be; also TypeError.
    """
    size = stated.get("input_size")
    arguments = dict(stated.get("model_args") or {})
    side = arguments.get("img_size", size[1:] if size else None)
    return Settings(
        architecture=architecture,
        num_classes=stated.get("num_classes", arguments.get("num_classes")),
        classes=tuple(map(str, stated["classes"])) if stated.get("classes") else None,
        in_chans=arguments.get("in_chans", size[0] if size else None),
        image_size=(side, side) if isinstance(side, int) else tuple(side) if side else None,
        mean=tuple(map(float, stated["mean"])) if stated.get("mean") else None,
        std=tuple(map(float, stated["std"])) if stated.get("std") else None,
        model_args=arguments,
    )


def read_header(path: Path) -> Settings:
    """Settings in the header of a safetensors file; none for a file of another kind.

    Raises:
        SpecError: no such file, or its header cannot be read.
    """
    if not path.is_file():
        raise SpecError(f"there is no checkpoint {path}")
    if path.suffix != ".safetensors":
        return Settings()
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
        stated = {key: json.loads(header[key]) for key in ("model_args", "classes", "mean", "std") if key in header}
        return settings_from(header.get("architecture"), stated)
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise SpecError(f"cannot read the header of {path}: {first_line(error)}") from error


def read_folder(folder: Path) -> tuple[Settings, Path]:
    """Settings in a folder saved by timm, and its file of weights.

    Raises:
        SpecError: no such folder, or one of its two files is missing or cannot be read.
    """
    config = folder / "config.json"
    if not config.is_file():
        raise SpecError(f"{folder} holds no config.json; local-dir: needs a folder saved by timm")
    weights = next((folder / name for name in _WEIGHT_FILES if (folder / name).is_file()), None)
    if weights is None:
        raise SpecError(f"{folder} holds no weights; expected {_WEIGHT_FILES[0]}")
    try:
        content = json.loads(config.read_text())
        stated = dict(content.get("pretrained_cfg") or {}) | {
            key: content[key] for key in ("num_classes", "model_args") if content.get(key)
        }
        names = content.get("label_names")
        stated |= {"classes": names} if names else {}
        return settings_from(content["architecture"], stated), weights
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise SpecError(f"cannot read {config}: {first_line(error)}") from error
    except KeyError as error:
        raise SpecError(f"{config} does not say its {error.args[0]}") from error


def load_into(module: nn.Module, state: Mapping[str, Tensor], *, path: Path, architecture: str) -> None:
    """Copy a state into a module, all of it.

    Raises:
        SpecError: a tensor is missing, left over, or of another shape.
    """
    wanted = module.state_dict()
    missing = [key for key in wanted if key not in state]
    unexpected = [key for key in state if key not in wanted]
    misfits = [
        f"{key} is {tuple(state[key].shape)} instead of {tuple(tensor.shape)}"
        for key, tensor in wanted.items()
        if key in state and state[key].shape != tensor.shape
    ]
    complaints = [
        f"{what} {_and_more(keys)}"
        for what, keys in (("it lacks", missing), ("it has besides", unexpected), ("there,", misfits))
        if keys
    ]
    if complaints:
        raise SpecError(f"{path} does not fit {architecture}: {'; '.join(complaints)}")
    module.load_state_dict(state)


def _and_more(items: list[str]) -> str:
    """The first of several, and how many follow."""
    return items[0] if len(items) == 1 else f"{items[0]} and {len(items) - 1} more"


def first_line(error: Exception) -> str:
    """The first line of the text of an error, or its type if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
