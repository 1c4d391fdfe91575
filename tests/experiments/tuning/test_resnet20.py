"""The third party's network, where its weights are at hand."""

from pathlib import Path

import pytest
import torch

from experiments.tuning import resnet20
from oracles.registry import open_oracle


@pytest.fixture
def lent(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BBSMOOTH_SHARED", str(shared))
    return shared


def test_the_weights_fill_the_network_and_it_is_an_oracle(lent: Path) -> None:
    images = torch.rand(3, *resnet20.IMAGE_SHAPE, generator=torch.Generator().manual_seed(0))
    scores = resnet20.oracle().query(images).scores
    assert scores is not None
    assert scores.shape == (3, 10)
    named = open_oracle(f"module:{resnet20.__file__}:answer?feedback=logits&num_classes=10", {})
    assert torch.equal(named.query(images).labels, scores.argmax(1))


def test_an_option_a_block_keeps_what_was_there_beside_new_channels() -> None:
    block = resnet20.Block(2, 4, 2).eval()
    torch.nn.init.zeros_(block.conv2.weight)
    features = torch.rand(1, 2, 4, 4)
    out = block(features)
    assert torch.equal(out[:, 1:3], features[:, :, ::2, ::2])
    assert out[:, 0].abs().max() == out[:, 3].abs().max() == 0


def test_the_folder_of_others_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BBSMOOTH_SHARED", str(tmp_path))
    assert resnet20.shared() == tmp_path
