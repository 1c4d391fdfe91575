"""Noisy accuracy of the demo's steps, paired: all test digits, four fixed draws each, the same for every step.

Certified accuracy on 100 images cannot tell a tuned coordinator from an untuned one; this can. Run it after the demo.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from bbsmooth.assemble import Front
from bbsmooth.data import load
from bbsmooth.noise import Gaussian, Grid, stream_name
from bbsmooth.randomness import Stream
from experiments.demo.run import FOLDER, PRETRAIN_EPOCHS, STEPS
from oracles.zoo import local_vit

RESULT = Path(__file__).with_name("paired.json")
DRAWS = 4


def main() -> None:
    """Measure, print, and write `paired.json`."""
    result = {f"{sigma:g}": paired(sigma) for sigma in PRETRAIN_EPOCHS}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def paired(sigma: float) -> dict[str, float]:
    """Accuracy of each step in %, and the gain of the last with its standard error, in points."""
    digits, oracle, noise, grid = load("mnist5k"), local_vit(), Gaussian(sigma), Grid(1)
    images, labels = digits.images(range(len(digits))), digits.labels(range(len(digits)))
    streams = [Stream(stream_name(1, "paired", image, noise, grid)) for image in images]
    noisy = [
        grid.noisy(image, noise, stream, first=0, count=DRAWS) for image, stream in zip(images, streams, strict=True)
    ]
    folders = (None, FOLDER / f"sigma-{sigma:g}" / "denoiser", FOLDER / f"sigma-{sigma:g}" / "tuned")
    right: dict[str, Tensor] = {}
    for name, folder in zip(STEPS, folders, strict=True):
        answers = Front(folder, sigma).before(oracle).query(torch.cat(noisy))
        right[name] = (answers.labels.view(-1, DRAWS) == labels[:, None]).double().mean(1)
    gain = right[STEPS[2]] - right[STEPS[1]]
    return {
        **{name: round(100 * float(share.mean()), 2) for name, share in right.items()},
        "gain of tuning": round(100 * float(gain.mean()), 2),
        "standard error of the gain": round(100 * float(gain.std()) / len(gain) ** 0.5, 2),
    }


if __name__ == "__main__":
    main()
