"""Which sigma `plan --sigma auto` chooses before a real network, beside what each of the grid would have certified.

`python -m experiments.natural.sigma` asks a third party's ResNet-20 behind `natural`. The truth: of the first test
images under each sigma, 40 draws an image, how many a thousand draws are expected to certify (Clopper-Pearson, alpha
0.001), the number of right ones being beta-binomial given the 40. The choice: `bb.plan` with that cap, on images after
the first 500, three seeds. Writes `sigma.json`.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path
from typing import Any

import torch
from scipy.stats import betabinom
from torch import Tensor

import bbsmooth as bb
from bbsmooth.certification.bounds.clopper_pearson import ClopperPearson
from bbsmooth.coordinator import CoordinatedOracle
from bbsmooth.coordinator.natural import natural
from bbsmooth.noise import Gaussian
from bbsmooth.settings.plan import PILOT_DRAWS
from bbsmooth.tuning.noisy import NoisyImages
from experiments.natural.results import keep
from experiments.tuning.paired import GRID, SEED, gain
from experiments.tuning.worlds import WORLDS, World

RESULTS = Path(__file__).parent / "sigma.json"
SIGMAS = (0.05, 0.08, 0.12, 0.18, 0.25, 0.35, 0.5)
RADII = (0.1, 0.25, 0.5)
DRAWS, CAP, ALPHA, LIMIT = 40, 1_000, 0.001, 500
_AT_ONCE = 250


def main() -> None:
    """Choose, compare, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300, help="that the truth is told by")
    parser.add_argument("--pilot", type=int, default=25)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    world = WORLDS["resnet20"](SIGMAS[0])
    votes = {sigma: right(world, sigma, options.images) for sigma in SIGMAS}
    for radius in RADII:
        able = [
            sigma
            for sigma in SIGMAS
            if ClopperPearson().lower(CAP, CAP, alpha=ALPHA) > Gaussian(sigma).probability(radius)
        ]
        truth = {sigma: expected(votes[sigma], Gaussian(sigma).probability(radius)) for sigma in able}
        best = max(able, key=lambda sigma: float(truth[sigma].mean()))
        row: dict[str, Any] = {
            "images": options.images,
            "certified": {f"{sigma:g}": round(100 * float(each.mean()), 2) for sigma, each in truth.items()},
            "best": best,
            "chosen": [],
        }
        for seed in options.seeds:
            sigma, queries, certifying = chosen(world, radius, able, options.pilot, seed)
            short = gain(truth[sigma], truth[best])
            row["chosen"].append(
                {
                    "seed": seed,
                    "sigma": sigma,
                    "queries": queries,
                    "of_certifying": round(100 * queries / certifying, 1),
                    "below_best": [round(-short.points, 2), round(short.error, 2)],
                }
            )
        keep("resnet20, natural", f"{radius:g}", row, RESULTS)


def right(world: World, sigma: float, images: int) -> Tensor:
    """(N,) right draws of each of the first test images."""
    front = natural(world.architecture.image_shape, sigma)
    oracle = CoordinatedOracle(front, front.initial_parameters(), world.oracle)
    part = world.test[:images]
    noisy = NoisyImages(
        images=part.images, labels=part.labels, noise=Gaussian(sigma), grid=GRID, seed=SEED, purpose="truth"
    )
    found = torch.zeros(images, dtype=torch.long)
    for draw in range(DRAWS):
        for first in range(0, images, _AT_ONCE):
            indices = list(range(first, min(first + _AT_ONCE, images)))
            answers = oracle.query(noisy.draw(indices, [draw] * len(indices)))
            found[indices] += (answers.labels == part.labels[indices]).long()
    return found


def expected(votes: Tensor, needed: float) -> Tensor:
    """(N,) float64: the chance of each image to be certified by `CAP` draws where more than `needed` is to be shown."""
    least = _least(needed)
    right = votes.double().numpy()
    return torch.from_numpy(betabinom.sf(least - 1, CAP, right + 0.5, DRAWS - right + 0.5))


@cache
def _least(needed: float) -> int:
    """Right draws of `CAP` that show it."""
    return next(count for count in range(CAP + 1) if ClopperPearson().lower(count, CAP, alpha=ALPHA) > needed)


def chosen(world: World, radius: float, able: list[float], pilot: int, seed: int) -> tuple[float, int, float]:
    """The sigma that a pilot finds, its queries, and those that certifying `LIMIT` images is expected to take then."""
    found = bb.plan(
        world.oracle,
        world.test.images,
        world.test.labels,
        noise=[Gaussian(sigma) for sigma in able],
        radii=[radius],
        num_selection=100,
        max_estimation=CAP,
        alpha=ALPHA,
        beta=0.01,
        pilot=pilot,
        seed=seed,
        front="natural",
        limit=LIMIT,
    )
    assert found.sigma is not None
    asked = PILOT_DRAWS * sum(each["images"] for each in found.sigmas)
    expected = next(each["queries"]["expected"] for each in found.sigmas if each["sigma"] == found.sigma)
    return found.sigma, asked, float(expected)


if __name__ == "__main__":
    main()
