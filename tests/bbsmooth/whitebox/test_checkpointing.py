"""Computing activations again changes what is kept, and nothing else."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bbsmooth.errors import UsageError
from bbsmooth.whitebox.checkpointing import recompute_activations
from bbsmooth.whitebox.methods import adaptation
from tests.bbsmooth.whitebox.models import build

METHODS = ("lora", "prompt", "prompt-deep", "adapter", "bias", "full")


def trained(method: str, kind: str, *, again: bool) -> tuple[Tensor, int]:
    """All weights after two steps, and how many values the forward pass of the last one kept for its gradient."""
    module, example = build(kind)
    chosen = adaptation(method, {})
    adapted = chosen.adapt(module, head=("head",), example=example, seed=0).train(chosen.moves_statistics)
    if again:
        recompute_activations(adapted)
    optimiser = torch.optim.SGD([weight for weight in adapted.parameters() if weight.requires_grad], lr=0.1)
    images = torch.rand(4, *example.shape[1:], generator=torch.Generator().manual_seed(1))
    weights = {weight.untyped_storage().data_ptr() for weight in adapted.parameters()}
    for _ in range(2):
        kept: dict[int, int] = {}

        def keep(tensor: Tensor, kept: dict[int, int] = kept) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        optimiser.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = F.cross_entropy(adapted(images), torch.tensor([0, 1, 2, 0]))
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return torch.cat([weight.detach().flatten() for weight in adapted.parameters()]), sum(kept.values())


@pytest.mark.parametrize("method", METHODS)
def test_the_weights_are_the_same_to_the_bit_and_less_is_kept(method: str) -> None:
    (plain, everything), (recomputed, less) = (trained(method, "vit", again=again) for again in (False, True))
    assert torch.equal(plain, recomputed)
    assert less < everything / 2


def test_convnext_computes_again_too() -> None:
    module, example = build("convnext")
    recompute_activations(module.train())
    assert module(example.expand(2, -1, -1, -1)).requires_grad


def test_batch_statistics_that_would_move_twice_are_refused_and_those_that_stay_are_not() -> None:
    module, example = build("resnet")
    with pytest.raises(UsageError, match="running statistics"):
        recompute_activations(module.train())
    recompute_activations(module.eval())
    assert module(example).requires_grad


def test_an_architecture_that_cannot_is_named() -> None:
    module = nn.Linear(2, 2)
    module.pretrained_cfg = {}  # type: ignore[assignment]  # as timm marks its models
    with pytest.raises(UsageError, match="a Linear has no blocks"):
        recompute_activations(module)
