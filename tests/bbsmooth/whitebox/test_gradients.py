"""The differentiable twin of an oracle, by the names that users write."""

from __future__ import annotations

import pytest
import torch

from bbsmooth.coordinator import CoordinatedOracle, ScalingKind, ScoreScaled, ScoreScaling
from bbsmooth.coordinator.natural import natural
from bbsmooth.errors import UsageError
from bbsmooth.whitebox.gradients import differentiable
from oracles.zoo import local_vit


@pytest.mark.parametrize("name", ["local-vit", "local-vit?device=cpu", "local-vit?dtype=float32&pass_size=8"])
def test_options_of_computing_change_no_gradient(name: str) -> None:
    images = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    scores = local_vit(device="cpu").query(images).scores
    assert scores is not None
    torch.testing.assert_close(differentiable(name, None)(images).detach(), scores, rtol=1e-4, atol=1e-4)


def test_scores_that_are_scaled_are_attacked_as_they_are_read() -> None:
    scaled = ScoreScaled(
        front=(front := natural((1, 28, 28), 0.25, size="small")),
        shown_with=front.initial_parameters(),
        scaling=ScoreScaling(ScalingKind.MATRIX, 10),
        names=local_vit(device="cpu").spec.classes.names,
    )
    parameters = 0.5 * torch.randn(scaled.scaling.size, generator=torch.Generator().manual_seed(1))
    images = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    logits = differentiable("local-vit", (scaled, parameters))(images)
    answers = CoordinatedOracle(scaled, parameters, local_vit(device="cpu")).query(images.detach())
    assert answers.scores is not None
    torch.testing.assert_close(logits.softmax(1).detach(), answers.scores, rtol=1e-3, atol=1e-4)
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), images)
    assert float(gradient.abs().sum()) > 0


def test_a_model_whose_weights_are_elsewhere_has_none() -> None:
    with pytest.raises(UsageError, match="use `method` nes or hopskipjump"):
        differentiable("kserve+http://127.0.0.1:1/v2/models/m?timeout=1", None)
