"""The settings of `bbsmooth train`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from bbsmooth.errors import UsageError
from bbsmooth.settings.option import Option, Panel
from bbsmooth.settings.shared import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Settings of a training: what to train, and how.

    `method` is a name in `bbsmooth.whitebox.methods.METHODS`, `objective` one in `bbsmooth.whitebox.objectives`.
    """

    model: Annotated[
        str,
        Option(
            "The classifier: local-vit, a timm architecture as in timm:NAME?..., a torch network of your own as in "
            "torch:PATH.py:FUNCTION?..., or trained:RUN to continue an earlier training. Data of other classes get a "
            "new head.",
            "MODEL",
        ),
    ]
    method: Annotated[
        str,
        Option(
            "What is trained: lora, prompt, prompt-deep, adapter, bias, head, full, autolora, denoiser.",
            default="lora",
        ),
    ]
    objective: Annotated[
        str,
        Option(
            "The loss: augmentation, consistency, smoothadv, macer; clean adapts to the data alone, without noise.",
            panel=Panel.TRAINING,
            default="augmentation",
        ),
    ]
    epochs: Annotated[int, Option("Times that every image is seen.", panel=Panel.TRAINING, default=20)]
    batch_size: Annotated[int, Option("Images a step.", panel=Panel.TRAINING, default=128)]
    learning_rate: Annotated[
        float | None, Option("Peak; without it the method's own.", panel=Panel.TRAINING, default=None)
    ]
    train_images: Annotated[
        int, Option("Use this many images, the first of the training split.", "IMAGES", Panel.IMAGES, default=50_000)
    ]
    device: Device = "auto"
    bfloat16: Annotated[bool, Option("Compute in bfloat16 where it is safe.", panel=Panel.SPEED)] = False
    compiled: Annotated[bool, Option("Compile the model first (torch.compile).", panel=Panel.SPEED)] = False
    gradient_checkpointing: Annotated[
        bool,
        Option("Compute activations again instead of keeping them: less memory, more time.", panel=Panel.SPEED),
    ] = False
    batch_statistics: Annotated[
        bool,
        Option(
            "Let running statistics of batch normalisation follow the noisy images, as full and autolora always do.",
            panel=Panel.METHODS,
        ),
    ] = False
    rank: Annotated[int | None, Option("Rank of LoRA; without it 4.", panel=Panel.METHODS)] = None
    lora_alpha: Annotated[
        float | None, Option("Alpha of LoRA; without it the rank, a scale of 1.", panel=Panel.METHODS)
    ] = None
    lora_targets: Annotated[
        tuple[str, ...] | None,
        Option("Layers of LoRA, as in qkv,proj,fc1,fc2.", "NAMES", Panel.METHODS, separator=","),
    ] = None
    lora_variant: Annotated[str | None, Option("lora, or its relatives dora, loha, vera.", panel=Panel.METHODS)] = None
    prompt_length: Annotated[int | None, Option("Tokens of a prompt; without it 10.", panel=Panel.METHODS)] = None
    adapter_width: Annotated[int | None, Option("Bottleneck of adapters; without it 8.", panel=Panel.METHODS)] = None
    denoiser: Annotated[str | None, Option("unet or dncnn; without it unet.", panel=Panel.METHODS)] = None
    stability: Annotated[
        float,
        Option(
            "Share of a denoiser's training, its last part, at a hundredth of the rate, that asks for the clean "
            "image's class, not for its pixels.",
            "SHARE",
            Panel.METHODS,
        ),
    ] = 0.0
    surrogates: Annotated[
        tuple[str, ...],
        Option(
            "Classifier whose gradients stability takes instead of the model's; may be repeated.",
            "MODEL",
            Panel.METHODS,
        ),
    ] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name in ("epochs", "batch_size", "train_images"):
            if getattr(self, name) < 1:
                raise UsageError(f"`{name}` must be at least 1, got {getattr(self, name)}")
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise UsageError(f"`learning_rate` must be above 0, got {self.learning_rate}")
        if not 0 <= self.stability <= 1 or (self.surrogates and not self.stability):
            raise UsageError(f"`stability` must lie between 0 and 1, above 0 with `surrogates`, got {self.stability}")
