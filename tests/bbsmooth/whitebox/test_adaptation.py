from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import timm
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from bbsmooth.errors import UsageError
from bbsmooth.noise import Gaussian
from bbsmooth.randomness import fork
from bbsmooth.whitebox.adaptation import Adaptation, Bias, Full, Head, count_parameters, trained_state
from bbsmooth.whitebox.adapters import Adapter, Residual
from bbsmooth.whitebox.classifier import classifying_layers
from bbsmooth.whitebox.fitting import FitPlan, fit
from bbsmooth.whitebox.images import TrainingImages
from bbsmooth.whitebox.lora import Lora, default_targets
from bbsmooth.whitebox.objectives import Augmentation
from bbsmooth.whitebox.prompts import DeepPrompt, Prompt, PromptedVit
from tests.bbsmooth.whitebox.models import ARCHITECTURES, build

HEAD = 16 * 3 + 3
COUNTS: dict[str, tuple[Adaptation, int]] = {
    "head": (Head(), HEAD),
    "bias": (Bias(), HEAD + 16 + 2 * (16 + 48 + 16 + 16 + 64 + 16) + 16),
    "prompt": (Prompt(5), HEAD + 5 * 16),
    "prompt-deep": (DeepPrompt(5), HEAD + 2 * 5 * 16),
    "adapter": (Adapter(3), HEAD + 2 * 2 * (16 * 3 + 3 + 3 * 16 + 16)),
    "lora": (Lora(rank=2), HEAD + 2 * 2 * (16 + 48)),
}


def adapted(adaptation: Adaptation, kind: str = "vit") -> tuple[nn.Module, nn.Module, Tensor]:
    plain, example = build(kind)
    changed = build(kind)[0]
    head = classifying_layers(plain)
    return plain, adaptation.adapt(changed, head=head, example=example, seed=1), example


def logits(module: nn.Module, images: Tensor) -> Tensor:
    with torch.inference_mode():
        found: Tensor = module.eval()(images)
    return found


@pytest.mark.parametrize("name", COUNTS)
def test_trains_as_many_weights_as_counted_by_hand(name: str) -> None:
    adaptation, expected = COUNTS[name]

    assert count_parameters(adapted(adaptation)[1], trained=True) == expected


def test_full_trains_everything_and_keeps_statistics() -> None:
    _, module, _ = adapted(Full(), "resnet")

    assert count_parameters(module, trained=True) == count_parameters(module, trained=False)
    assert trained_state(module, statistics=True).keys() == module.state_dict().keys()


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("adaptation", [Adapter(2), Lora(rank=2), Bias(), Head()], ids=lambda one: one.name)
def test_starts_as_the_model_that_it_adapts(kind: str, adaptation: Adaptation) -> None:
    plain, module, example = adapted(adaptation, kind)

    torch.testing.assert_close(logits(module, example), logits(plain, example))


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("adaptation", [Adapter(2), Lora(rank=2)], ids=lambda one: one.name)
def test_what_it_trains_changes_the_answer_through_the_body(kind: str, adaptation: Adaptation) -> None:
    _, module, example = adapted(adaptation, kind)
    head = {id(one) for name in classifying_layers(build(kind)[0]) for one in named(module, name)}
    module(example).sum().backward()

    moved = [weight for weight in module.parameters() if weight.requires_grad and id(weight) not in head]
    assert moved
    assert any(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in moved)


def named(module: nn.Module, name: str) -> list[nn.Parameter]:
    return [weight for full, weight in module.named_parameters() if f"{name}." in full]


def test_lora_is_pefts_own_on_the_same_seed() -> None:
    _, module, _ = adapted(Lora(rank=3, alpha=5.0))
    other = build()[0]
    torch.manual_seed(1)
    expected = get_peft_model(
        other,
        LoraConfig(r=3, lora_alpha=5, target_modules=["qkv"], modules_to_save=["head"]),
    )

    ours, theirs = module.state_dict(), expected.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_training_lora_is_training_pefts_own() -> None:
    """Three steps of ours against the loop that peft's users write, from the same seed on the same batches."""
    _, module, _ = adapted(Lora(rank=3))
    torch.manual_seed(1)
    theirs = get_peft_model(build()[0], LoraConfig(r=3, lora_alpha=3, target_modules=["qkv"], modules_to_save=["head"]))
    pixels = torch.randint(0, 256, (6, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    plan = FitPlan(epochs=1, batch_size=2, learning_rate=0.01)
    noise = Gaussian(0.25)
    fit(module, module, TrainingImages(pixels, labels), noise=noise, objective=Augmentation(), plan=plan, seed=5)

    draws, order = fork(5, "whitebox", "noise", 1), fork(5, "whitebox", "order", 1)
    optimiser = torch.optim.AdamW([one for one in theirs.parameters() if one.requires_grad], weight_decay=1e-4)
    for step, chosen in enumerate(torch.split(torch.randperm(6, generator=order), 2)):
        optimiser.param_groups[0]["lr"] = plan.rate(step / 3)
        noisy = pixels[chosen] / 255 + 0.25 * torch.empty(2, 1, 16, 16).normal_(generator=draws)
        optimiser.zero_grad()
        nn.functional.cross_entropy(theirs(noisy), labels[chosen]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    ours, expected = module.state_dict(), theirs.state_dict()
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[name], expected[name]) for name in ours)
    assert ours["base_model.model.blocks.0.attn.qkv.lora_B.default.weight"].any()


@pytest.mark.parametrize("variant", ["dora", "loha", "vera"])
def test_relatives_of_lora_start_as_the_model(variant: str) -> None:
    plain, module, example = adapted(Lora(rank=2, variant=variant))

    torch.testing.assert_close(logits(module, example), logits(plain, example))
    assert count_parameters(module, trained=True) > HEAD


def test_lora_leaves_grouped_convolutions_alone() -> None:
    module: nn.Module = timm.create_model("resnext50_32x4d", layers=(1, 1, 1, 1), channels=(16,) * 4, num_classes=3)
    grouped = {name for name, part in module.named_modules() if getattr(part, "groups", 1) != 1}
    targets, head = set(default_targets(module, classifying_layers(module))), classifying_layers(module)

    assert grouped
    assert targets
    assert not targets & grouped
    module = Lora(rank=3).adapt(module, head=head, example=torch.rand(1, 3, 32, 32), seed=0)
    assert count_parameters(module, trained=True) > HEAD


def test_lora_adapts_all_but_the_head_where_nothing_is_a_block() -> None:
    module = nn.Sequential(
        OrderedDict(conv1=nn.Conv2d(1, 4, 3), flat=nn.Flatten(), fc1=nn.Linear(784, 5), fc2=nn.Linear(5, 3))
    )

    assert default_targets(module, ("fc2",)) == ["conv1", "fc1"]


def test_lora_names_what_it_cannot_adapt() -> None:
    with pytest.raises(UsageError, match="nowhere"):
        adapted(Lora(targets=("nowhere",)))
    with pytest.raises(UsageError, match="lora, dora, loha, vera"):
        adapted(Lora(variant="other"))


def test_prompts_stand_between_class_token_and_patches() -> None:
    """The forward pass of one block, written out by hand."""
    vit: Any = build()[0]
    prompts = torch.randn(1, 4, 16)
    images = torch.rand(2, 1, 16, 16)
    with torch.inference_mode():
        patches = vit.patch_embed(images)
        tokens = torch.cat([vit.cls_token.expand(2, -1, -1), patches], 1) + vit.pos_embed
        tokens = torch.cat([tokens[:, :1], prompts.expand(2, -1, -1), tokens[:, 1:]], 1)
        for block in vit.blocks:
            tokens = block(tokens)
        expected = vit.head(vit.norm(tokens)[:, 0])

    torch.testing.assert_close(logits(PromptedVit(vit, prompts), images), expected)


def test_deep_prompts_replace_those_of_the_layer_before() -> None:
    vit: Any = build()[0]
    prompts = torch.randn(2, 4, 16)
    images = torch.rand(2, 1, 16, 16)
    with torch.inference_mode():
        tokens = torch.cat([vit.cls_token.expand(2, -1, -1), vit.patch_embed(images)], 1) + vit.pos_embed
        for block, own in zip(vit.blocks, prompts, strict=True):
            tokens = block(torch.cat([tokens[:, :1], own.expand(2, -1, -1), tokens[:, -16:]], 1))
        expected = vit.head(vit.norm(tokens)[:, 0])

    torch.testing.assert_close(logits(PromptedVit(vit, prompts), images), expected)


def test_an_adapter_is_x_plus_up_gelu_down_x() -> None:
    residual = Residual(nn.Linear(4, 2), nn.Linear(2, 4))
    nn.init.normal_(residual.up.weight)
    values = torch.randn(3, 4)
    inner = nn.functional.linear(values, residual.down.weight, residual.down.bias)
    expected = values + nn.functional.linear(nn.functional.gelu(inner), residual.up.weight, residual.up.bias)

    torch.testing.assert_close(residual(values), expected)


def test_adapters_stand_after_attention_and_mlp() -> None:
    """The forward pass of a transformer with adapters, written out by hand."""
    plain, module, _ = adapted(Adapter(3))
    vit: Any = plain
    ours: Any = module
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if ".adapter." in name:
                nn.init.normal_(weight)
    images = torch.rand(2, 1, 16, 16)
    with torch.inference_mode():
        tokens = torch.cat([vit.cls_token.expand(2, -1, -1), vit.patch_embed(images)], 1) + vit.pos_embed
        for block, changed in zip(vit.blocks, ours.blocks, strict=True):
            for norm, part, site in (
                (block.norm1, block.attn, changed.attn.adapter),
                (block.norm2, block.mlp, changed.mlp.adapter),
            ):
                values = part(norm(tokens))
                inner = nn.functional.gelu(values @ site.down.weight.T + site.down.bias)
                tokens = tokens + values + inner @ site.up.weight.T + site.up.bias
        expected = vit.head(vit.norm(tokens)[:, 0])

    torch.testing.assert_close(logits(module, images), expected)


@pytest.mark.parametrize("kind", ["swin", "resnet", "mixer"])
def test_prompts_need_a_plain_vision_transformer(kind: str) -> None:
    with pytest.raises(UsageError, match="vision transformer"):
        adapted(Prompt(), kind)
