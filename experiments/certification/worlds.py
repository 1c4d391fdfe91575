"""Classifiers and images on which methods of certification are compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from bbsmooth import data
from bbsmooth.assemble import Front, bare_oracle
from bbsmooth.certification import VoteSource
from bbsmooth.cli.main import app
from bbsmooth.noise import Gaussian, Grid
from bbsmooth.noise.copies import NoisyCopies
from bbsmooth.settings.common import OracleConfig
from experiments.demo.run import PRETRAIN_EPOCHS
from experiments.tuning import resnet20
from oracles import Oracle, Purpose, ResponseStore, VoteLog

FOLDER = Path("runs/certification")
SEED = 0


@dataclass(frozen=True, slots=True)
class World:
    """A smoothed classifier with labelled images.

    Attributes:
        name: for the result file.
        oracle: with whatever stands in front of it.
        noise: the smoothing distribution.
        images: each (C, H, W) uint8.
        labels: class of each.
        radii: to be decided.
        complete: so many images get as many draws as the dearest method takes.
    """

    name: str
    oracle: Oracle
    noise: Gaussian
    images: list[Tensor]
    labels: list[int]
    radii: tuple[float, ...]
    complete: int

    def source(self) -> VoteSource:
        """Votes, which are kept: what was asked once is read ever after."""
        return VoteSource(
            oracles=dict.fromkeys((Purpose.SELECT, Purpose.ESTIMATE), self.oracle),
            log=VoteLog(ResponseStore(FOLDER / self.name), self.oracle.spec),
            copies=NoisyCopies(
                noise=self.noise, grid=Grid.fitting(self.noise, eight_bit=self.oracle.spec.eight_bit), seed=SEED
            ),
        )


def worlds(*, digits: int, complete: int, pictures: int) -> Iterator[World]:
    """Embedded digits before the embedded ViT behind a denoiser; CIFAR-10 before a third party's ResNet-20.

    Args:
        digits: test digits.
        complete: see `World`, of the digits; a fifth as many of the others, which cost more time.
        pictures: test images of CIFAR-10; none of them where the shared folder is missing.
    """
    for sigma in PRETRAIN_EPOCHS:
        yield _digits(sigma, digits, complete)
    if pictures and resnet20.shared().is_dir():
        yield _pictures(pictures, complete // 5)


def digits_denoiser(sigma: float) -> Path:
    """The run of the demo's denoiser, which is made here where it is missing."""
    denoiser = Path(f"runs/demo/sigma-{sigma:g}/denoiser")
    if not (denoiser / "coordinator.safetensors").exists():
        subject = f"tune --oracle local-vit --data mnist5k --sigma {sigma:g} --budget 0"
        made = [*subject.split(), "--pretrain-epochs", str(PRETRAIN_EPOCHS[sigma]), "--out", str(denoiser)]
        app(made, standalone_mode=False)
    return denoiser


def _digits(sigma: float, count: int, complete: int) -> World:
    denoiser = digits_denoiser(sigma)
    bare = OracleConfig(
        oracle="local-vit",
        device="auto",
        dtype="float32",
        batch_size=1,
        concurrency=1,
        budget=None,
        price=None,
        max_price=None,
    )
    images = data.load("mnist5k", split=data.Split.TEST, image_shape=(1, 28, 28))
    return World(
        f"digits-{sigma:g}",
        Front(denoiser, sigma).before(bare_oracle(bare)),
        Gaussian(sigma),
        [images.image(index) for index in range(count)],
        [_label(images, index) for index in range(count)],
        (0.25, 0.5, 0.75, 1.0),
        min(count, complete),
    )


def _pictures(count: int, complete: int) -> World:
    sigma = 0.06
    images = data.load(f"hf:{resnet20.shared() / 'data' / 'cifar10'}", split=data.Split.TEST)
    return World(
        f"resnet20-{sigma:g}",
        resnet20.oracle(),
        Gaussian(sigma),
        [images.image(index) for index in range(count)],
        [_label(images, index) for index in range(count)],
        (0.03, 0.06, 0.09, 0.12),
        min(count, complete),
    )


def _label(images: data.ImageSet, index: int) -> int:
    label = images.label(index)
    assert label is not None
    return label
