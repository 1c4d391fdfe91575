"""Whether scores need fewer queries than votes: the same draws, certified both ways.

`python -m experiments.scores.run` writes `result.json` beside this file, after `make demo`, whose coordinators it uses
(a minute or two, 100,000 queries). The bound on votes is exact (Clopper & Pearson), that on a mean score is betting,
next to the empirical Bernstein bound. A temperature below 1 sharpens the scores; towards 0 they become votes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from bbsmooth.assemble import Front
from bbsmooth.certification import ClopperPearson
from bbsmooth.certification.bounds.means import EmpiricalBernstein, MeanBetting, MeanBound
from bbsmooth.data import load
from bbsmooth.noise import Gaussian, Grid, stream_name
from bbsmooth.randomness import Stream
from experiments.demo.run import FOLDER, PRETRAIN_EPOCHS
from oracles import Oracle
from oracles.zoo import local_vit

RESULT = Path(__file__).with_name("result.json")
IMAGES, SELECTION, DRAWS = 100, 100, 400
ALPHA = 0.001
TEMPERATURES = (1.0, 0.5, 0.25)
RADII = (0.25, 0.5, 0.75, 1.0)


def main() -> None:
    """Measure, print, and write `result.json`."""
    result = {"images": IMAGES, "n0": SELECTION, "n": DRAWS, "alpha": ALPHA} | {
        f"sigma {sigma:g}": compare(sigma) for sigma in PRETRAIN_EPOCHS
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def compare(sigma: float) -> dict[str, Any]:
    """What votes prove, and what scores prove at each temperature."""
    noise = Gaussian(sigma)
    oracle = Front(FOLDER / f"sigma-{sigma:g}" / "denoiser", sigma).before(local_vit())
    images = load("mnist5k").images(range(IMAGES))
    logits = [drawn(oracle, image, noise) for image in images]
    return {"votes": row(noise, [exact(each) for each in logits])} | {
        f"scores at temperature {temperature:g}, {bound.name}": row(
            noise, [mean(each, bound, temperature) for each in logits]
        )
        for temperature in TEMPERATURES
        for bound in (MeanBetting(DRAWS), EmpiricalBernstein())
    }


def drawn(oracle: Oracle, image: torch.Tensor, noise: Gaussian) -> NDArray[np.float64]:
    """Logits (SELECTION + DRAWS, K) of noisy copies of an image."""
    grid = Grid(1)
    stream = Stream(stream_name(1, "scores", image, noise, grid))
    scores = oracle.query(grid.noisy(image, noise, stream, first=0, count=SELECTION + DRAWS)).scores
    assert scores is not None
    return scores.double().numpy()


def exact(logits: NDArray[np.float64]) -> float:
    """The lower bound by votes."""
    labels = logits.argmax(1)
    selected = np.bincount(labels[:SELECTION]).argmax()
    return ClopperPearson().lower(int((labels[SELECTION:] == selected).sum()), DRAWS, alpha=ALPHA)


def mean(logits: NDArray[np.float64], bound: MeanBound, temperature: float) -> float:
    """The lower bound by scores."""
    scores = softmax(logits / temperature, axis=1)
    selected = scores[:SELECTION].mean(0).argmax()
    return bound.lower(scores[SELECTION:, selected], alpha=ALPHA)


def row(noise: Gaussian, lowers: list[float]) -> dict[str, float]:
    """What lower bounds on many images prove, whether or not the class is right."""
    radii = np.array([noise.radius(lower) for lower in lowers])
    shares = {f"certified at {radius:g}": round(float((radii >= radius).mean()), 4) for radius in RADII}
    return {"mean radius": round(float(radii.mean()), 4)} | shares


if __name__ == "__main__":
    main()
