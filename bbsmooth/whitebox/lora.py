"""Low-rank adaptation (Hu et al., ICLR 2022) and its relatives, through the peft library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bbsmooth.errors import UsageError
from bbsmooth.whitebox.low_rank import ADAPTER_NAME, is_plain, make_linear, never_called

VARIANTS = ("lora", "dora", "loha", "vera")


@dataclass(frozen=True, slots=True)
class Lora:
    """W + (alpha / rank) B A on chosen layers of a frozen body, and the head.

    Args:
        rank: of B A.
        alpha: numerator of its scale; None means the rank, a scale of 1.
        targets: names of the layers, such as qkv, proj, fc1, fc2 (timm keeps queries, keys and values in one layer);
            empty chooses by architecture.
        variant: "lora"; "dora" (Liu et al. 2024), "loha" (Hyeon-Woo et al. 2022) or "vera" (Kopiczko et al. 2024).
    """

    rank: int = 4
    alpha: float | None = None
    targets: tuple[str, ...] = ()
    variant: str = "lora"
    name: ClassVar[str] = "lora"
    moves_statistics: ClassVar[bool] = False

    def adapt(self, module: nn.Module, *, head: tuple[str, ...], example: Tensor, seed: int) -> nn.Module:
        """The adapted classifier. It is a `peft.PeftModel`, which saves itself in peft's own format."""
        peft = import_peft()
        if self.rank < 1:
            raise UsageError(f"`rank` must be at least 1, got {self.rank}")
        targets = list(self.targets) or default_targets(module, head)
        _refuse_never_called(module, targets)
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                adapted: nn.Module = peft.get_peft_model(module, self._config(peft, targets, head), ADAPTER_NAME)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise UsageError(f"peft cannot adapt {', '.join(targets)} by {self.variant}: {error}") from error
        if self.variant == VARIANTS[0]:
            make_linear(adapted)
        else:
            _refuse_unlike(adapted, self.variant)
        return adapted

    def _config(self, peft: Any, targets: list[str], head: tuple[str, ...]) -> Any:
        common = {"target_modules": targets, "modules_to_save": list(head)}
        alpha = self.rank if self.alpha is None else self.alpha
        match self.variant:
            case "lora" | "dora":
                return peft.LoraConfig(r=self.rank, lora_alpha=alpha, use_dora=self.variant == "dora", **common)
            case "loha":
                return peft.LoHaConfig(r=self.rank, alpha=alpha, **common)
            case "vera":
                return peft.VeraConfig(r=self.rank, **common)
        raise UsageError(f"`lora_variant` must be one of {', '.join(VARIANTS)}, got {self.variant!r}")


def default_targets(module: nn.Module, head: tuple[str, ...]) -> list[str]:
    """Attention's fused projection where there is attention, else the layers of MLPs, else all layers of blocks.

    Where nothing is a block, that is all layers but the head. Grouped convolutions are left out: peft takes them only
    where the rank is a multiple of their groups. So is what `nn.MultiheadAttention` projects its output with.

    Raises:
        UsageError: there is none of them.
    """
    layers = [
        name for name, part in module.named_modules() if isinstance(part, nn.Linear | nn.Conv2d) and name not in head
    ]
    ends = {name.rpartition(".")[2] for name in layers}
    for wanted in ({"qkv"}, {"fc1", "fc2"}):
        if wanted <= ends:
            return sorted(wanted)
    grouped = {name for name, part in module.named_modules() if getattr(part, "groups", 1) != 1}
    within_reach = [name for name in layers if name not in grouped | never_called(module)]
    if not within_reach:
        raise UsageError(f"name the layers of this {type(module).__name__} that shall be adapted, with `lora_targets`")
    return [name for name in within_reach if "." in name] or within_reach


def _refuse_never_called(module: nn.Module, targets: list[str]) -> None:
    """Refuse a branch beside a layer that is never called: it would learn nothing, and nobody would hear of it.

    Raises:
        UsageError: one of the targets is such a layer.
    """
    for name in never_called(module):
        if any(name == target or name.endswith(f".{target}") for target in targets):
            raise UsageError(
                f"{name} is never called by the nn.MultiheadAttention that it is part of, so that a branch beside it "
                f"would learn nothing; name {name.rpartition('.')[0]} itself with `lora_targets`, or other layers"
            )


def _refuse_unlike(adapted: nn.Module, variant: str) -> None:
    """Refuse layers that are no plain W x, which the relatives of LoRA would take for such.

    Raises:
        UsageError: one of them is adapted.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, part in adapted.named_modules():
        if isinstance(part, BaseTunerLayer) and not is_plain(layer := part.get_base_layer()):
            raise UsageError(
                f"{variant} needs plain layers, {name.removeprefix('base_model.model.')} is a {type(layer).__name__};"
                " take `lora_variant` lora, or name others with `lora_targets`"
            )


def import_peft() -> Any:
    """The library.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import peft
    except ImportError:
        raise UsageError("`method` lora needs `pip install 'bbsmooth[train]'`") from None
    return peft
