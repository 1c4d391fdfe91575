"""The differentiable twin of an oracle, by the names that users write."""

from __future__ import annotations

import pytest
import torch

from bbsmooth.errors import UsageError
from bbsmooth.whitebox.gradients import differentiable
from oracles.zoo import local_vit


@pytest.mark.parametrize("name", ["local-vit", "local-vit?device=cpu", "local-vit?dtype=float32&pass_size=8"])
def test_options_of_computing_change_no_gradient(name: str) -> None:
    images = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    scores = local_vit(device="cpu").query(images).scores
    assert scores is not None
    torch.testing.assert_close(differentiable(name, None)(images).detach(), scores, rtol=1e-4, atol=1e-4)


def test_a_model_whose_weights_are_elsewhere_has_none() -> None:
    with pytest.raises(UsageError, match="use `method` nes or hopskipjump"):
        differentiable("kserve+http://127.0.0.1:1/v2/models/m?timeout=1", None)
