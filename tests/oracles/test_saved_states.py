"""Checkpoints as the field saves them: the same model, whatever stands around it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from oracles import SpecError
from oracles.zoo import timm_model

ARCHITECTURE = "resnet10t"
MEAN, STD = (0.49, 0.48, 0.45), (0.2, 0.25, 0.3)
State = dict[str, Tensor]


@cache
def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    module: nn.Module = timm.create_model(ARCHITECTURE, num_classes=5)
    return module.eval()


class Normalise(nn.Module):
    def __init__(
        self, shape: tuple[int, ...] = (3,), names: tuple[str, str] = ("mean", "std"), scale: float = 1
    ) -> None:
        super().__init__()
        for name, values in zip(names, (MEAN, STD), strict=True):
            self.register_buffer(name, torch.tensor(values).view(shape) * scale)


class Silent(nn.Module):
    """A layer that keeps its numbers to itself, as Cohen's NormalizeLayer does."""


class Lightning(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model, self.criterion = network(), nn.CrossEntropyLoss(weight=torch.ones(5))


class Robustness(nn.Module):
    """As MadryLab's package: the same tensors again behind an attacker."""

    def __init__(self) -> None:
        super().__init__()
        self.normalizer, self.model = Normalise((3, 1, 1), ("new_mean", "new_std")), network()
        self.attacker = nn.ModuleDict({"normalize": self.normalizer, "model": self.model})


def stack(first: nn.Module, second: nn.Module | None = None) -> nn.Module:
    return nn.Sequential(first, second or network())


def average() -> State:
    averaged = torch.optim.swa_utils.AveragedModel(network())
    return averaged.state_dict()


SAVED: dict[str, tuple[Callable[[], Any], bool]] = {
    "state": (lambda: network().state_dict(), False),
    "net": (lambda: {"net": network().state_dict(), "acc": 93.1, "epoch": 7}, False),
    "model_state_dict": (
        lambda: {
            "model_state_dict": network().state_dict(),
            "optimizer_state_dict": torch.optim.Adam(network().parameters()).state_dict(),
            "loss": torch.tensor(0.3),
        },
        False,
    ),
    "state_dict": (lambda: {"state_dict": network().state_dict(), "args": argparse.Namespace(lr=0.1)}, False),
    "numpy's numbers": (lambda: {"net": network().state_dict(), "acc": np.float64(0.9), "n": np.int64(3)}, False),
    "any one name": (lambda: {"my_resnet": network().state_dict(), "epoch": 1}, False),
    "two levels": (lambda: {"state": {"model": network().state_dict(), "best": 0.9}}, False),
    "parallel": (lambda: {"net": nn.DataParallel(network()).state_dict()}, False),
    "compiled": (
        lambda: {f"_orig_mod.module.{name}": tensor for name, tensor in network().state_dict().items()},
        False,
    ),
    "lightning": (lambda: {"state_dict": Lightning().state_dict(), "pytorch-lightning_version": "2.4"}, False),
    "averaged": (average, False),
    "average beside": (lambda: {"model": network(1).state_dict(), "model_ema": network().state_dict()}, False),
    "ema beside": (lambda: {"net": network(1).state_dict(), "ema": network().state_dict()}, False),
    "sequential": (lambda: stack(Normalise()).state_dict(), True),
    "buffers (1, 3, 1, 1)": (lambda: {"net": stack(Normalise((1, 3, 1, 1))).state_dict()}, True),
    "means and sds": (lambda: stack(Normalise((3, 1, 1), ("means", "sds"))).state_dict(), True),
    "parallel in sequential": (lambda: stack(Normalise(), nn.DataParallel(network())).state_dict(), True),
    "sequential in parallel": (lambda: {"state_dict": nn.DataParallel(stack(Normalise())).state_dict()}, True),
    "named": (
        lambda: {"model": nn.ModuleDict({"normalize": Normalise(), "backbone": network()}).state_dict()},
        True,
    ),
    "beside the layers": (
        lambda: network().state_dict() | {"mu": torch.tensor(MEAN), "sigma": torch.tensor(STD)},
        True,
    ),
    "robustness": (lambda: {"model": nn.DataParallel(Robustness()).state_dict(), "epoch": 9}, True),
}


def opened(path: Path, **options: Any) -> Any:
    return timm_model(ARCHITECTURE, checkpoint=path, image_size=32, device="cpu", **options)


@pytest.mark.parametrize("name", SAVED)
def test_every_form_is_the_same_model(tmp_path: Path, name: str) -> None:
    content, normalised = SAVED[name]
    torch.save(content(), tmp_path / "model.pth")
    oracle = opened(tmp_path / "model.pth")
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    config = timm.get_pretrained_cfg(ARCHITECTURE)
    assert config is not None
    mean, std = (MEAN, STD) if normalised else (config.mean, config.std)
    with torch.inference_mode():
        logits = network()((images / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1))
    assert torch.allclose(oracle.query(images).scores, logits.softmax(1), atol=1e-6) or torch.allclose(
        oracle.query(images).scores, logits, atol=1e-5
    )
    assert len(oracle.spec.classes) == 5


def test_safetensors_too(tmp_path: Path) -> None:
    save_file(
        {name: tensor.contiguous() for name, tensor in stack(Normalise()).state_dict().items()},
        tmp_path / "a.safetensors",
    )
    torch.save(stack(Normalise()).state_dict(), tmp_path / "a.pth")
    assert opened(tmp_path / "a.safetensors").spec.fingerprint == opened(tmp_path / "a.pth").spec.fingerprint


def test_what_the_user_says_of_the_normalisation_counts(tmp_path: Path) -> None:
    torch.save(stack(Normalise()).state_dict(), tmp_path / "a.pth")
    torch.save(network().state_dict(), tmp_path / "b.pth")
    options = {"mean": (0.5,), "std": (0.5,)}
    assert (
        opened(tmp_path / "a.pth", **options).spec.fingerprint == opened(tmp_path / "b.pth", **options).spec.fingerprint
    )


def test_a_layer_without_numbers_has_to_be_explained(tmp_path: Path) -> None:
    torch.save({"arch": "x", "state_dict": nn.DataParallel(stack(Silent())).state_dict()}, tmp_path / "a.pth")
    with pytest.raises(SpecError, match="another layer stands before the network, .*give mean=... and std=..."):
        opened(tmp_path / "a.pth")
    torch.save(stack(Normalise()).state_dict(), tmp_path / "b.pth")
    said = opened(tmp_path / "a.pth", mean=MEAN, std=STD)
    assert said.spec.fingerprint == opened(tmp_path / "b.pth").spec.fingerprint
    torch.save(stack(Normalise(scale=255)).state_dict(), tmp_path / "c.pth")
    with pytest.raises(
        SpecError, match="normalises images from 0 to 255, by the mean 124.95, 122.4, 114.75; give mean="
    ):
        opened(tmp_path / "c.pth")


class Shape:
    """Something that only code can make."""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"netA": network().state_dict(), "netB": network(1).state_dict()}, "holds several networks, netA, netB; save"),
        ({"epoch": 3, "acc": 0.9}, "holds no weights but epoch, acc; save model.state_dict"),
        ([1, 2], "holds no weights but a list"),
        (
            nn.Sequential(nn.Conv2d(3, 3, 1), network()).state_dict(),
            "does not fit resnet10t: it has besides 0.weight and 1 more",
        ),
        (
            {"state_dict": network().state_dict(), "hook": Shape()},
            "more than weights, which could run code: save model",
        ),
        (
            network(),
            "more than weights, which could run code: save model.state_dict.. alone, without timm.models.resnet",
        ),
    ],
    ids=["several", "none", "list", "another layer", "object", "whole module"],
)
def test_other_files_are_refused_with_their_reason(tmp_path: Path, content: Any, words: str) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(SpecError, match=words) as caught:
        opened(tmp_path / "a.pth")
    assert "\n" not in str(caught.value)


def test_what_torch_did_not_write_is_said_without_advice_to_run_it(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"nothing of the kind")
    with pytest.raises(SpecError, match="a.pth: it is no file that torch.save wrote$"):
        opened(tmp_path / "a.pth")


def test_a_network_that_lacks_a_tensor_is_told_so_behind_any_prefix(tmp_path: Path) -> None:
    state = stack(Normalise()).state_dict()
    del state["1.layer1.0.conv1.weight"]
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(SpecError, match="does not fit resnet10t: it lacks layer1.0.conv1.weight$"):
        opened(tmp_path / "a.pth")
