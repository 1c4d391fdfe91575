from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bbsmooth.noise import Gaussian
from bbsmooth.whitebox.autolora import AutoLora, AutoRate, Branches, checkpoints, kullback_leibler
from bbsmooth.whitebox.classifier import classifying_layers
from bbsmooth.whitebox.fitting import FitPlan, Optimiser, fit
from bbsmooth.whitebox.images import TrainingImages
from bbsmooth.whitebox.noising import Noising
from bbsmooth.whitebox.trainer import AutoLoraTrainer
from tests.bbsmooth.whitebox.models import build

IMAGES = torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def branches(*, moved: bool = True) -> Branches:
    module = build()[0]
    grown = Branches.grow(module, classifying_layers(module), seed=0, rank=2)
    if moved:
        with torch.no_grad():
            for name, weight in grown.module.named_parameters():
                if "lora_B" in name:
                    weight.fill_(0.1)
    return grown


def noising() -> Noising:
    return Noising(Gaussian(0.3), torch.Generator().manual_seed(3))


def plan(epochs: int) -> FitPlan:
    return FitPlan(epochs=epochs, batch_size=2, learning_rate=0.1)


def test_the_branch_starts_as_nothing_and_is_left_out_of_the_extractor() -> None:
    plain = build()[0]
    fresh, grown = branches(moved=False), branches()
    with torch.no_grad():
        torch.testing.assert_close(fresh.natural(IMAGES), plain(IMAGES))
        assert not torch.allclose(grown.natural(IMAGES), plain(IMAGES))
        torch.testing.assert_close(grown.robust(IMAGES), plain(IMAGES))
        torch.testing.assert_close(grown.extractor()(IMAGES), plain(IMAGES))


@pytest.mark.parametrize("apart", [True, False])
def test_natural_images_train_the_branch_and_the_head_alone(apart: bool) -> None:
    """With an accuracy of 0, as here, the loss is the natural cross-entropy and nothing else."""
    grown = branches()
    objective = AutoLora(branches=grown, normalised=lambda images: images, apart=apart)
    torch.autograd.backward(objective.loss(grown.natural, IMAGES, LABELS, noising(), trained=0.0))
    moved = {name for name, weight in grown.module.named_parameters() if weight.grad is not None and weight.grad.any()}

    assert any("lora_" in name for name in moved)
    assert any("head" in name for name in moved)
    assert any("qkv.base_layer" in name for name in moved) is not apart
    assert all(weight.requires_grad for weight in grown.module.parameters())


def test_perturbed_images_train_the_extractor_and_the_head_alone() -> None:
    grown = branches()
    torch.autograd.backward(grown.robust(IMAGES).sum())
    moved = {name for name, weight in grown.module.named_parameters() if weight.grad is not None and weight.grad.any()}

    assert any("qkv.base_layer" in name for name in moved)
    assert any("head" in name for name in moved)
    assert not any("lora_" in name for name in moved)


def test_the_extractor_is_neither_branch_nor_head() -> None:
    grown = branches()
    names = {id(weight): name for name, weight in grown.module.named_parameters()}
    found = {names[id(weight)] for weight in grown.extractor_weights}

    assert {name for name in names.values() if name not in found} == {
        name for name in names.values() if "lora_" in name or ".head." in name
    }


def test_the_loss_is_the_weighted_sum() -> None:
    grown = branches()
    objective = AutoLora(branches=grown, normalised=lambda images: images, steps=0, natural_accuracy=0.7)
    noisy = IMAGES + noising().like(IMAGES)
    natural, robust = grown.natural(IMAGES).softmax(1), grown.robust(noisy).softmax(1)
    rows = torch.arange(6)
    divergence = (natural * (natural / robust).log()).sum(1).mean()
    expected = -0.3 * natural[rows, LABELS].log().mean() - 0.7 * robust[rows, LABELS].log().mean() + 4.2 * divergence

    torch.testing.assert_close(objective.loss(grown.natural, IMAGES, LABELS, noising(), trained=0.0), expected)


def test_weights_follow_the_natural_accuracy_of_the_last_quarter_of_an_epoch() -> None:
    grown = branches()
    objective = AutoLora(branches=grown, normalised=lambda images: images, steps=0, epochs=2)
    weights = [objective.weights]
    for quarter, right in (0, True), (0, False), (1, False), (1, False), (3, True), (3, True):  # none in the third
        answers = grown.natural(IMAGES).argmax(1)
        labels = answers if right else (answers + 1) % 3
        objective.loss(grown.natural, IMAGES, labels, noising(), trained=quarter / 8)
        weights.append(objective.weights)
    objective.look()
    weights.append(objective.weights)

    assert weights == [(1, 0), (1, 0), (1, 0), (0.5, 3), (0.5, 3), (1, 0), (1, 0), (0, 6)]


def test_training_that_goes_on_weighs_as_if_it_had_not_stopped() -> None:
    """A new objective begins in the middle, with the accuracy that the checkpoint tells."""
    grown = branches()
    gone_on = AutoLora(branches=grown, normalised=lambda images: images, steps=0, epochs=2, natural_accuracy=0.25)
    gone_on.loss(grown.natural, IMAGES, LABELS, noising(), trained=0.5)

    assert gone_on.weights == (0.75, 1.5)


def test_perturbed_images_stay_in_the_ball_and_raise_the_divergence() -> None:
    grown = branches()
    objective = AutoLora(branches=grown, normalised=lambda images: images, radius=0.5, steps=4)
    natural = grown.natural(IMAGES).detach()
    noisy = IMAGES + noising().like(IMAGES)
    found = objective.perturbed(IMAGES, natural, noising())

    assert torch.linalg.vector_norm(found - noisy, dim=(1, 2, 3)).max() <= 0.5 + 1e-6
    assert kullback_leibler(natural, grown.robust(found)) > kullback_leibler(natural, grown.robust(noisy))


def test_divergence_is_that_of_the_definition() -> None:
    first, second = torch.tensor([[1.0, 2.0, 0.5]]), torch.tensor([[0.3, 0.1, 0.2]])
    p, q = first.softmax(1), second.softmax(1)

    torch.testing.assert_close(kullback_leibler(first, second), (p * (p / q).log()).sum())


def test_checkpoints_grow_denser_as_in_auto_pgd() -> None:
    """p = 0.22, 0.41, 0.57, 0.70, 0.80, 0.87, 0.93, 0.99."""
    assert checkpoints(100) == (22, 41, 57, 70, 80, 87, 93, 99)
    assert checkpoints(10) == (3, 5, 6, 7, 8, 9, 10)


def test_the_rate_halves_by_the_two_conditions() -> None:
    """Ten epochs, checkpoints after 3, 5, 6, 7, ...: a worked example."""
    rate = AutoRate(plan(10))
    steps = [
        (0.10, True, False, 0.1),
        (0.20, True, False, 0.1),
        (0.30, True, False, 0.1),  # 3 of 3 rose
        (0.25, False, False, 0.1),
        (0.28, False, True, 0.05),  # 1 of 2 rose: halved, from the best weights
        (0.29, False, False, 0.05),  # 1 of 1 rose; the rate has changed since
        (0.295, False, True, 0.025),  # it rose, but neither rate nor best has changed
        (0.50, True, False, 0.025),
    ]
    for accuracy, best, restart, current in steps:
        assert rate.after_epoch(accuracy) == (best, restart)
        assert rate.current == current
        assert rate.rate(0.5) == current


def trained_until(
    stop: int | None = None, memory: dict[str, Tensor] | None = None
) -> tuple[dict[str, Tensor], list[float]]:
    """Train a few epochs with made-up accuracies; what is remembered after `stop`, or at the end."""
    made_up = iter([0.5, 0.4, 0.3, 0.2, 0.1])
    trainer = AutoLoraTrainer(
        AutoLora(branches=branches(), normalised=lambda images: images, steps=1),
        AutoRate(plan(5)),
        lambda: next(made_up),
    )
    optimiser = Optimiser.new(trainer.module, trainer.schedule)
    if memory is not None:
        trainer.load_state_dict(memory)
        moments = {name[4:]: tensor for name, tensor in memory.items() if name.startswith("opt ")}
        optimiser.restore(moments, int(memory["epochs"]))
        for _ in range(optimiser.epochs):
            next(made_up)
    kept: dict[str, Tensor] = {}
    rates = []

    def after(epoch: object, state: Optimiser) -> None:
        rates.append(trainer.end_epoch()["learning_rate"])
        if state.epochs in (stop, 5) and not kept:
            kept.update({name: tensor.detach().clone() for name, tensor in trainer.state_dict().items()})
            kept.update({f"opt {name}": tensor.detach().clone() for name, tensor in state.tensors().items()})
            kept["epochs"] = torch.tensor(state.epochs)

    fit(
        trainer.module,
        trainer.module,
        TrainingImages((IMAGES * 255).to(torch.uint8), LABELS),
        noise=Gaussian(0.3),
        objective=trainer.objective,
        plan=trainer.schedule,
        seed=0,
        state=optimiser,
        after=after,
    )
    return kept, rates


def test_a_trainer_goes_on_from_its_memory_as_if_it_had_never_stopped() -> None:
    whole, rates = trained_until()
    half, _ = trained_until(stop=3)
    resumed, rest = trained_until(memory=half)

    assert rates[-2:] == rest
    assert len(set(rates)) > 1
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_best_weights_are_what_is_kept() -> None:
    kept, _ = trained_until()
    best = {name.removeprefix("best "): tensor for name, tensor in kept.items() if name.startswith("best ")}
    first, _ = trained_until(stop=1)  # the first of the made-up accuracies is the highest

    assert best
    assert all(torch.equal(first[name], tensor) for name, tensor in best.items())
