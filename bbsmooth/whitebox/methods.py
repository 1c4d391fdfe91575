"""Adaptations by the name that users give, with settings measured on small models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bbsmooth.whitebox.adaptation import Adaptation, Bias, Full, Head
from bbsmooth.whitebox.adapters import Adapter
from bbsmooth.whitebox.denoising import DenoiserAdaptation
from bbsmooth.whitebox.lora import Lora
from bbsmooth.whitebox.prompts import DeepPrompt, Prompt


@dataclass(frozen=True, slots=True)
class TrainingMethod:
    """An adaptation and how fast it learns.

    Attributes:
        adaptation: its class; called with the user's settings.
        learning_rate: peak, where the user names none.
        settings: names of what the user can set.
    """

    adaptation: type[Any]
    learning_rate: float
    settings: tuple[str, ...] = ()


METHODS: dict[str, TrainingMethod] = {
    "lora": TrainingMethod(Lora, 3e-2, ("rank", "alpha", "targets", "variant")),
    "prompt": TrainingMethod(Prompt, 3e-2, ("length",)),
    "prompt-deep": TrainingMethod(DeepPrompt, 3e-2, ("length",)),
    "adapter": TrainingMethod(Adapter, 1e-2, ("width",)),
    "bias": TrainingMethod(Bias, 3e-2),
    "head": TrainingMethod(Head, 1e-2),
    "full": TrainingMethod(Full, 3e-3),
    "autolora": TrainingMethod(Full, 1e-3),
    "denoiser": TrainingMethod(DenoiserAdaptation, 2e-3, ("kind",)),
}


def adaptation(name: str, given: Mapping[str, Any]) -> Adaptation:
    """The adaptation called `name`, with those of the given settings that are its own and not None."""
    method = METHODS[name]
    chosen = {key: given[key] for key in method.settings if given.get(key) is not None}
    made: Adaptation = method.adaptation(**chosen)
    return made
