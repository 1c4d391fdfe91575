from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bbsmooth.errors import UsageError
from bbsmooth.noise import Gaussian
from bbsmooth.whitebox.accuracy import accuracy
from bbsmooth.whitebox.fitting import Epoch, FitPlan, Optimiser, fit, least_batch
from bbsmooth.whitebox.images import TrainingImages
from bbsmooth.whitebox.objectives import Augmentation, Consistency, TrainingObjective

CPU = torch.device("cpu")


def stripes(count: int) -> TrainingImages:
    """Two classes that differ in the direction of their stripes."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (count,), generator=generator)
    rows = torch.tensor([30, 220], dtype=torch.uint8).repeat(4)[:, None].expand(8, 8)
    pixels = torch.stack([rows if label else rows.T for label in labels])[:, None]
    return TrainingImages(pixels, labels)


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 2))


def plan(epochs: int) -> FitPlan:
    return FitPlan(epochs=epochs, batch_size=16, learning_rate=1e-2)


def run(module: nn.Module, epochs: int, *, state: Optimiser | None = None, stop: int | None = None) -> Optimiser | None:
    kept: list[Optimiser] = []

    def after(epoch: Epoch, state: Optimiser) -> None:
        kept.append(state)
        if epoch.number == stop:
            raise InterruptedError

    with suppress(InterruptedError):
        fit(
            module,
            module,
            stripes(64),
            noise=Gaussian(0.25),
            objective=Augmentation(),
            plan=plan(epochs),
            seed=5,
            state=state,
            after=after,
        )
    return kept[-1] if kept else None


def weights(module: nn.Module) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in module.parameters()])


def shrinking() -> nn.Module:
    """Down to one pixel, where batch normalisation needs a second image."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 8), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 2)
        ).train()


@pytest.mark.parametrize(
    ("module", "objective", "least"),
    [
        (shrinking(), Augmentation(), 2),
        (shrinking(), Consistency(), 1),  # shows two copies of each image
        (shrinking().eval(), Augmentation(), 1),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), Augmentation(), 1),
        (network(), Augmentation(), 1),
    ],
)
def test_batch_statistics_of_one_pixel_need_a_second_image(
    module: nn.Module, objective: TrainingObjective, least: int
) -> None:
    before, drawn = {name: tensor.clone() for name, tensor in module.state_dict().items()}, torch.get_rng_state()
    assert least_batch(module, torch.zeros(1, 1, 8, 8), objective) == least
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), drawn)


def batches_of(count: int, size: int, least: int) -> list[int]:
    images = stripes(count)
    found = list(images.batches(size, torch.Generator().manual_seed(1), CPU, least=least))
    plain = list(images.batches(size, torch.Generator().manual_seed(1), CPU))
    assert torch.equal(torch.cat([labels for *_, labels in found]), torch.cat([labels for *_, labels in plain]))
    assert images.steps(size, least=least) == len(found)
    return [len(labels) for *_, labels in found]


def test_a_last_batch_of_one_joins_the_batch_before() -> None:
    assert batches_of(33, 16, 1) == [16, 16, 1]
    assert batches_of(33, 16, 2) == [16, 17]
    assert batches_of(34, 16, 2) == [16, 16, 2]
    assert batches_of(32, 16, 2) == [16, 16]
    assert batches_of(3, 2, 2) == [3]
    assert batches_of(5, 16, 2) == [5]


@pytest.mark.parametrize(("count", "size"), [(1, 16), (33, 1)])
def test_batches_of_one_alone_are_refused(count: int, size: int) -> None:
    with pytest.raises(
        UsageError, match=f"`batch_size` must be at least 2, got {size}, .* training images, got {count}"
    ):
        fit(
            shrinking(),
            shrinking(),
            stripes(count),
            noise=Gaussian(0.25),
            objective=Augmentation(),
            plan=FitPlan(epochs=1, batch_size=size, learning_rate=1e-2),
            seed=0,
            least=2,
        )


def test_learns_and_accuracy_counts_right_answers() -> None:
    module = network()
    before = accuracy(module, stripes(200), noise=Gaussian(0.25), seed=0, device=CPU)
    run(module, 4)

    assert accuracy(module, stripes(200), noise=Gaussian(0.25), seed=0, device=CPU) > max(0.95, before)
    assert (
        accuracy(
            lambda images: torch.eye(2)[torch.ones(len(images), dtype=torch.int64)],
            stripes(200),
            noise=None,
            seed=0,
            device=CPU,
        )
        == stripes(200).labels.double().mean()
    )


def test_same_seed_same_weights() -> None:
    first, second = network(), network()
    run(first, 2)
    run(second, 2)

    assert torch.equal(weights(first), weights(second))


@pytest.mark.parametrize("stop", [1, 2])
def test_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(stop: int, tmp_path: Path) -> None:
    whole = network()
    run(whole, 3)
    part = network()
    state = run(part, 3, stop=stop)
    assert state is not None
    resumed = network()
    resumed.load_state_dict(part.state_dict())
    again = Optimiser.new(resumed, plan(3))
    again.restore({name: tensor.clone() for name, tensor in state.tensors().items()}, state.epochs)
    run(resumed, 3, state=again)

    assert torch.equal(weights(resumed), weights(whole))


def test_the_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    rates = [plan(1).rate(step / 100) for step in range(101)]

    assert max(rates) == rates[10] == 1e-2
    assert rates[0] == pytest.approx(4e-4)
    assert rates[100] == pytest.approx(0)
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_frozen_weights_stay_as_they_are() -> None:
    module = network()
    first: nn.Linear = module[1]  # type: ignore[index]
    first.requires_grad_(False)
    before = first.weight.clone()
    run(module, 1)

    assert torch.equal(first.weight, before)


@pytest.mark.parametrize("numbers", [(0, 16, 1e-2), (1, 0, 1e-2), (1, 16, 0.0), (1, 16, float("nan"))])
def test_refuses_plans_that_would_not_train(numbers: tuple[int, int, float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        FitPlan(epochs=numbers[0], batch_size=numbers[1], learning_rate=numbers[2])


def test_the_last_part_is_eased() -> None:
    whole, cool_down = (FitPlan(epochs=1, batch_size=1, learning_rate=0.2, cool_down=share) for share in (0.0, 0.25))

    for done in (0.0, 0.05, 0.1, 0.5, 0.74):
        assert cool_down.rate(done) == whole.rate(done)
    for done in (0.75, 0.99):
        assert cool_down.rate(done) == pytest.approx(whole.rate(done) / 100)


@pytest.mark.parametrize(("number", "kept"), [(1, 1), (2, 1), (4, 3), (10, 9), (128, 115)])
def test_held_out_images_are_never_none_and_never_all(number: int, kept: int) -> None:
    images = TrainingImages(torch.zeros(number, 1, 2, 2, dtype=torch.uint8), torch.arange(number))
    first, last = images.divided(0.1)

    assert first.labels.tolist() == list(range(kept))
    assert last.labels.tolist() == list(range(kept, number))
