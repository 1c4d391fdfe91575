"""What is tuned for in the study: an oracle, images for tuning, for choosing settings, and for the final figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bbsmooth import data
from bbsmooth.coordinator import (
    Architecture,
    Autoencoder,
    CleanedImage,
    FilmSpace,
    FoldedUNet,
    Form,
    PretrainPlan,
    load,
    pretrain,
    save,
)
from bbsmooth.noise import Gaussian
from experiments.tuning import resnet20
from oracles import Oracle
from oracles.owned import OwnedModel
from oracles.zoo import local_vit, owned_model, timm_model

FOLDER = Path("runs/tuning")
CIFAR_VIT = Path(__file__).parents[1] / "cifar_vit" / "cifar_vit.safetensors"
PRETRAIN_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Images (N, C, H, W) uint8 and their labels (N,)."""

    images: Tensor
    labels: Tensor

    def __getitem__(self, part: slice) -> Labelled:
        """Some of them."""
        return Labelled(self.images[part], self.labels[part])


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class World:
    """A task.

    Attributes:
        name: of its folder.
        sigma: of the noise.
        oracle: to be queried.
        owned: a fresh copy of what is behind it; for references only.
        train: for pre-training and tuning.
        validation: for choosing settings.
        test: for the figures.
        draws: noisy copies of each test image.
        architecture: of the coordinator.
        plan: of its pre-training.
    """

    name: str
    sigma: float
    oracle: Oracle
    owned: Callable[[], OwnedModel]
    train: Labelled
    validation: Labelled
    test: Labelled
    draws: int
    architecture: Architecture
    plan: PretrainPlan

    @property
    def classifier(self) -> Callable[[Tensor], Tensor]:
        """The oracle, differentiable: (B, C, H, W) in [0, 1] to logits; for references only."""
        owned = self.owned()
        module, normalisation = owned.module.eval().requires_grad_(False), owned.normalisation
        mean, std = (torch.tensor(part).view(-1, 1, 1) for part in (normalisation.mean, normalisation.std))
        return lambda images: module((images - mean) / std)

    @property
    def folder(self) -> Path:
        """Of everything that can be made again."""
        return FOLDER / f"{self.name}-{self.sigma:g}"

    @property
    def noise(self) -> Gaussian:
        """The noise."""
        return Gaussian(self.sigma)

    def denoiser(self, form: Form | None = None) -> Autoencoder:
        """The coordinator that no query was spent on, made once and kept."""
        form = form or CleanedImage()
        path = self.folder / f"denoiser-{type(form).__name__}.safetensors"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            made = pretrain(
                self.train.images,
                noise=self.noise,
                form=form,
                space=FilmSpace(),
                plan=self.plan,
                seed=PRETRAIN_SEED,
                architecture=self.architecture,
                progress=lambda epoch, loss: print(f"pre-training {path}: epoch {epoch}, error {loss:.5f}", flush=True),
            )
            save(path, made, made.initial_parameters())
        stored, _ = load(path)
        assert isinstance(stored, Autoencoder)  # as it was saved
        return stored


def _labelled(name: str, split: str) -> Labelled:
    found = data.load(name, split=split)
    indices = range(len(found))
    return Labelled(found.images(indices), found.labels(indices))


def _resnet20(sigma: float) -> World:
    """CIFAR-10 as JPEG, behind a third party's ResNet-20 that is fragile under noise."""
    return _cifar10("resnet20", sigma, resnet20.oracle(), resnet20.owned)


def _cifar_vit(sigma: float) -> World:
    """The same images, behind the vision transformer of `experiments/cifar_vit`."""
    architecture = "vit_tiny_r_s16_p8_224"
    oracle = timm_model(architecture, checkpoint=CIFAR_VIT)
    return _cifar10("cifar-vit", sigma, oracle, lambda: owned_model(f"timm:{architecture}?checkpoint={CIFAR_VIT}"))


def _cifar10(name: str, sigma: float, oracle: Oracle, owned: Callable[[], OwnedModel]) -> World:
    everything = _labelled(f"hf:{resnet20.shared() / 'data' / 'cifar10'}", "train")
    return World(
        name=name,
        sigma=sigma,
        oracle=oracle,
        owned=owned,
        train=everything[:40_000],
        validation=everything[45_000:],
        test=_labelled(f"hf:{resnet20.shared() / 'data' / 'cifar10'}", "test")[:5_000],
        draws=1,
        architecture=FoldedUNet(image_shape=resnet20.IMAGE_SHAPE, unshuffle=2, widths=(32, 64, 96)),
        plan=PretrainPlan(epochs=30, learning_rate=4e-3),
    )


def _local_vit(sigma: float) -> World:
    """The embedded vision transformer and digits; a fifth of the training digits is kept for choosing settings."""
    everything = _labelled("mnist5k", "train")
    order = torch.randperm(len(everything.images), generator=torch.Generator().manual_seed(0))
    mixed = Labelled(everything.images[order], everything.labels[order])
    return World(
        name="local-vit",
        sigma=sigma,
        oracle=local_vit(),
        owned=lambda: owned_model("local-vit"),
        train=mixed[:3_200],
        validation=mixed[3_200:],
        test=_labelled("mnist5k", "test"),
        draws=4,
        architecture=FoldedUNet.for_images((1, 28, 28)),
        plan=PretrainPlan(epochs=80),
    )


WORLDS: Mapping[str, Callable[[float], World]] = {
    "resnet20": _resnet20,
    "local-vit": _local_vit,
    "cifar-vit": _cifar_vit,
}
"""By name: from sigma to the world."""
