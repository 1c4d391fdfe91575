"""What stands before an oracle, for no query or few: PSNR, noisy and certified accuracy.

`python -m experiments.natural.run resnet20` judges them before a third party's CIFAR-10 network, on test images that no
denoiser has seen, and writes `results.json`. `--rows` and `--sigma` choose a part. Votes are kept in `runs/tuning`: a
killed run goes on. Rows of "taught" denoisers need `python -m experiments.natural.surrogate` first. `--over ROW` pairs
the rows with another, on the same images and draws; one that only reads scores anew asks for no answer that it has.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from bbsmooth.certification import SequentialPlan
from bbsmooth.certification.sequences import DEFAULT_TEST
from bbsmooth.coordinator import (
    Autoencoder,
    CoordinatedOracle,
    Coordinator,
    FineTuningPlan,
    ScalingKind,
    ScoreScaled,
    ScoreScaling,
    fine_tune,
    load,
    save,
)
from bbsmooth.coordinator.natural import natural
from bbsmooth.coordinator.stability import StabilityPlan, stabilise
from bbsmooth.noise import Grid
from bbsmooth.randomness import fork
from bbsmooth.tuning.methods import METHODS
from bbsmooth.tuning.tune import tune
from experiments.natural.reread import Reread
from experiments.natural.results import keep
from experiments.natural.surrogate import surrogate
from experiments.tuning.certified import ALPHA, BETA, SELECTION, proven_by, rows
from experiments.tuning.paired import correct, gain
from experiments.tuning.resnet20 import CLASSES
from experiments.tuning.worlds import WORLDS, Labelled, World
from oracles import CachingOracle, Oracle, ResponseStore

RADII = {0.12: (0.1, 0.25), 0.25: (0.25, 0.5), 0.5: (0.25, 0.5)}
IMAGES, CLEANED, MOST = 1_000, 1_000, 2_000
FINE_TUNED = 10_000
"""Images of the user that a fine-tuned denoiser has seen."""


class Front(NamedTuple):
    """What stands before an oracle, and the queries that making it took."""

    coordinator: Coordinator
    parameters: Tensor
    queries: int


def main() -> None:
    """Judge, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", choices=WORLDS)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--sigma", nargs="+", type=float, default=list(RADII))
    parser.add_argument("--images", type=int, default=IMAGES, help="that are certified, 0 for none")
    parser.add_argument("--over", choices=ROWS, help="also give gains over this row")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for sigma in options.sigma:
        world = WORLDS[options.world](sigma)
        for name in options.rows:
            row = judged(world, name, RADII[sigma], options.images, options.over)
            keep(f"{world.name} {sigma:g}", name, row)


def judged(world: World, name: str, radii: tuple[float, ...], images: int, other: str | None = None) -> dict[str, Any]:
    """One row: what stands before the world's oracle, and what is right and certified with it, also over another's."""
    start = time.process_time()
    front = ROWS[name](world)
    making = time.process_time() - start
    oracle = _behind(world, front)
    right = correct(oracle, world.test, sigma=world.sigma, draws=world.draws)
    bare = correct(world.oracle, world.test, sigma=world.sigma, draws=world.draws)
    over = gain(right, bare)
    plan = SequentialPlan(
        noise=world.noise,
        num_selection=SELECTION,
        max_estimation=MOST,
        alpha=ALPHA,
        beta=BETA,
        radii=radii,
        test=DEFAULT_TEST,
    )
    found = proven_by(oracle, world, plan, images) if images else None
    certified = (
        []
        if found is None
        else [
            {**row, "of_class": _by_class(held, world.test)}
            for row, held in zip(rows([found], found, plan), found.held, strict=True)
        ]
    )
    for row in certified:
        del row["gain"], row["standard_error"]
    paired: dict[str, Any] = {}
    if other is not None:
        before = _behind(world, ROWS[other](world))
        more = gain(right, correct(before, world.test, sigma=world.sigma, draws=world.draws))
        paired = {"over": other, "noisy_gain": [round(more.points, 2), round(more.error, 2)]}
        if found is not None:
            control = proven_by(before, world, plan, images)
            gains = [[row["radius"], row["gain"], row["standard_error"]] for row in rows([found], control, plan)]
            starts = [round(100 * float(held.double().mean()), 2) for held in control.held]
            paired |= {"certified_other": starts, "certified_gain": gains}
    return {
        "psnr": None if front is None else round(_cleaned(front, world), 2),
        "queries": 0 if front is None else front.queries,
        "seconds_to_make": round(making, 1),
        "noisy": round(100 * float(right.double().mean()), 2),
        "gain_over_bare": [round(over.points, 2), round(over.error, 2)],
        "noisy_images": len(right),
        "certified": certified,
        **paired,
    }


def _behind(world: World, front: Front | None) -> Oracle:
    if front is None:
        return world.oracle
    if isinstance(front.coordinator, ScoreScaled):
        return Reread(front.coordinator, front.parameters, world.oracle, world.folder / "answers")
    oracle = CoordinatedOracle(front.coordinator, front.parameters, world.oracle)
    return CachingOracle(oracle, ResponseStore(world.folder / "answers"))


def psnr(images: Tensor, sigma: float, denoise: Callable[[Tensor], Tensor]) -> float:
    """Peak signal to noise of cleaned images (N, C, H, W) uint8, in dB over all their pixels."""
    clean = images.float() / 255
    noisy = clean + sigma * torch.randn(clean.shape, generator=fork(0, "psnr"))
    return -10 * math.log10(float(F.mse_loss(denoise(noisy), clean)))


def _cleaned(front: Front, world: World) -> float:
    """The same of test images behind a front."""
    cleaning = CoordinatedOracle(front.coordinator, front.parameters, world.oracle)
    return psnr(world.test.images[:CLEANED], world.sigma, cleaning.show)


def _by_class(held: Tensor, images: Labelled) -> dict[str, list[int]]:
    """Certified and all images of each class, since a mean may hide that a few classes carry it."""
    labels = images.labels[: len(held)]
    return {
        name: [int(held[labels == number].sum()), int((labels == number).sum())] for number, name in enumerate(CLASSES)
    }


def _shipped(world: World, size: str = "base") -> Front:
    return _front(natural(world.architecture.image_shape, world.sigma, size=size))


def _fine_tuned(world: World) -> Front:
    """The base denoiser, fine-tuned on images that the user has."""
    start = natural(world.architecture.image_shape, world.sigma)
    plan = FineTuningPlan(epochs=20)
    return _front(fine_tune(start, world.train.images[:FINE_TUNED], noise=world.noise, plan=plan, seed=0))


def _taught(world: World) -> Front:
    """The base denoiser, taught by a classifier of the user's own, once."""
    path = world.folder / "taught.safetensors"
    if not path.exists():
        start, plan = natural(world.architecture.image_shape, world.sigma), StabilityPlan()
        made = stabilise(start, world.train.images, surrogate(), noise=world.noise, plan=plan, seed=0).coordinator
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, made, made.initial_parameters())
    taught, _ = load(path)
    assert isinstance(taught, Autoencoder)  # as it was saved
    return _front(taught)


def _scaled(make: Callable[[World], Front]) -> Callable[[World], Front]:
    """The same with the oracle's scores scaled, for as many queries as are enough."""

    def front(world: World) -> Front:
        coordinator, spec = make(world).coordinator, world.oracle.spec
        assert isinstance(coordinator, Autoencoder)
        scaling = ScoreScaling(ScalingKind.MATRIX, len(spec.classes))
        scaled = ScoreScaled(
            front=coordinator, shown_with=coordinator.initial_parameters(), scaling=scaling, names=spec.classes.names
        )
        result = tune(
            scaled,
            world.train.images,
            world.train.labels,
            noise=world.noise,
            grid=Grid.fitting(world.noise, eight_bit=False),
            plan=METHODS["matrix-scaling"].plan,
            queries=scaling.enough,
            seed=0,
            feedback=spec.feedback,
            ask=lambda images, name: world.oracle.query(images),
        )
        return Front(scaled, result.parameters, result.queries)

    return front


def _front(coordinator: Autoencoder) -> Front:
    return Front(coordinator, coordinator.initial_parameters(), 0)


ROWS: dict[str, Callable[[World], Front | None]] = {
    "bare": lambda world: None,
    "natural-small": partial(_shipped, size="small"),
    "natural": _shipped,
    "natural-fine-tuned": _fine_tuned,
    "natural-scaled": _scaled(_shipped),
    "natural-taught": _taught,
    "natural-taught-scaled": _scaled(_taught),
}
"""What stands before the oracle, by name."""


if __name__ == "__main__":
    main()
