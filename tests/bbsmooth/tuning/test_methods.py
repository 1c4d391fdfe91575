"""The methods that users can name."""

from collections.abc import Iterable, Iterator
from typing import get_type_hints

import pytest
import torch

from bbsmooth.coordinator import (
    Bottleneck,
    LatentCoordinator,
    PretrainPlan,
    ScoreScaled,
    ScoreScaling,
    Stored,
    pretrain,
)
from bbsmooth.coordinator.latent import train_bottleneck
from bbsmooth.data import load
from bbsmooth.noise import Gaussian, Grid
from bbsmooth.settings.tune import TuneConfig
from bbsmooth.tuning import tune
from bbsmooth.tuning.automatic import AUTO
from bbsmooth.tuning.executor import Ask, Question, one_by_one
from bbsmooth.tuning.methods import AGREEMENT, METHODS, OBJECTIVES, fitted
from oracles import Answers, Classes, Feedback, FunctionOracle


@pytest.mark.parametrize("name", METHODS)
def test_every_method_tunes_within_its_budget(name: str) -> None:
    method, digits, noise = fitted(METHODS[name], (1, 8, 8)), load("digits", split="train"), Gaussian(0.5)
    images, labels = digits.images(range(100)), digits.labels(range(100))
    weights = torch.randn(64, 10, generator=torch.Generator().manual_seed(0)).numpy()
    oracle = FunctionOracle(
        lambda array: array.reshape(len(array), -1) @ weights,
        name="linear",
        fingerprint="00",
        classes=Classes.numbered(10),
        feedback=Feedback.LOGITS,
    )
    asked = 0

    def ask(shown: torch.Tensor, name: bytes) -> Answers:
        nonlocal asked
        asked += len(shown)
        return oracle.query(shown)

    denoiser = pretrain(images, noise=noise, form=method.form, space=method.space, plan=PretrainPlan(epochs=1), seed=0)
    coordinator: Stored = denoiser
    if method.latent_channels is not None:
        bottleneck = Bottleneck(image_shape=(1, 8, 8), channels=method.latent_channels)
        cut = train_bottleneck(bottleneck, lambda generator: images / 255, steps=5, learning_rate=1e-3, seed=0)
        coordinator = LatentCoordinator(denoiser=denoiser, bottleneck=bottleneck, weights=cut)
    rounds = 0

    def counting(ask: Ask, questions: Iterable[Question]) -> Iterator[Answers]:
        nonlocal rounds
        rounds += 1
        return one_by_one(ask, list(questions))  # none needs another's answer to be made

    tuned = coordinator
    if method.scaling is not None:
        scaling = ScoreScaling(method.scaling, 10)
        tuned = ScoreScaled(
            front=denoiser,
            shown_with=denoiser.initial_parameters(),
            scaling=scaling,
            names=oracle.spec.classes.names,
            joint=method.joint,
        )
    result = tune(
        tuned,
        images,
        labels,
        noise=noise,
        grid=Grid(1),
        plan=method.plan,
        queries=4_000,
        seed=0,
        feedback=Feedback.LOGITS,
        ask=ask,
        executor=counting,
    )
    assert rounds == result.num_steps + method.plan.evaluations
    assert asked == result.queries <= 4_000
    assert result.num_steps >= 3
    assert result.best_accuracy >= result.start_accuracy
    assert torch.isfinite(result.parameters).all()


def test_the_help_of_the_command_names_every_method() -> None:
    help_of = {
        name: hint.__metadata__[0].help for name, hint in get_type_hints(TuneConfig, include_extras=True).items()
    }
    named = help_of["method"].removesuffix(".").split(": ")[1].split(", ")
    assert sorted(named) == sorted([AUTO, *METHODS])
    assert all(name in help_of["objective"] for name in [*OBJECTIVES, AGREEMENT])
