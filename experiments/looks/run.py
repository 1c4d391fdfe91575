"""What few looks cost in queries, and save in price, on the rates behind published certificates.

`python -m experiments.looks.run` writes `result.json` beside this file. It takes the rates of `experiments.replay` from
the logs of ResNet-50 on ImageNet that Cohen, Rosenfeld and Kolter published (ICML 2019); without them it says so and
writes nothing. Each image is decided on one and the same sequence of simulated votes: asked in small batches, as
single requests are, and in at most k looks, whose first is chosen from a pilot of 50 images with 20 draws each.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from bbsmooth.certification.engine.looks import InLooks, Looks
from bbsmooth.certification.protocols import Selection
from bbsmooth.certification.simulation import simulate
from bbsmooth.progress.meter import meter
from bbsmooth.settings.batch import DISCOUNT
from experiments.certification.run import BETA
from experiments.replay.run import ALPHA, CAP, SELECTION, default_plan, logs, rates

RESULT = Path(__file__).with_name("result.json")
ASKED = ((0.25, 0.5), (0.5, 0.5), (0.5, 1.0))
LOOKS = (1, 2, 3, 4, 6)
IMAGES, PILOT, PILOT_DRAWS = 150, 50, 20


def main() -> None:
    """Simulate, print, and write `result.json`."""
    if (folder := logs(__doc__)) is None:
        return
    result: dict[str, Any] = {"n0": SELECTION, "alpha": ALPHA, "beta": BETA, "cap": CAP, "discount": DISCOUNT}
    result["decided"] = [decided(folder, sigma, radius) for sigma, radius in ASKED]
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def decided(folder: Path, sigma: float, radius: float) -> dict[str, Any]:
    """Mean queries of an image, alone and in looks."""
    generator = np.random.default_rng(0)
    counted = rates(folder, sigma)
    found = np.repeat(list(counted), list(counted.values()))
    plan = default_plan(sigma, radius)
    pilot = generator.choice(found, PILOT)
    votes = tuple((int(each), PILOT_DRAWS) for each in generator.binomial(PILOT_DRAWS, pilot))
    in_looks = {most: InLooks(Looks(plan, most, 0.0, np.random.default_rng(1)), votes) for most in LOOKS}
    alone, looked = 0, dict.fromkeys(LOOKS, 0)
    with meter(f"sigma {sigma:g}, radius {radius:g}", IMAGES, "images") as bar:
        for rate in generator.choice(found, IMAGES):
            selection = Selection(selected=0, votes=int(generator.binomial(SELECTION, rate)), total_variation=0.0)
            hits = generator.random(CAP) < rate
            alone += simulate(plan, selection, hits, np.ones(1), generator)[0]
            for most, each in in_looks.items():
                looked[most] += simulate(each, selection, hits, np.ones(1), generator)[0]
            bar.advance(1)
    return {
        "sigma": sigma,
        "radius": radius,
        "images": IMAGES,
        "queries an image, single requests": round(alone / IMAGES, 1),
        "times as many, by looks": {str(most): round(number / alone, 3) for most, number in looked.items()},
        "share of the price, by looks": {
            str(most): round((1 - DISCOUNT) * number / alone, 3) for most, number in looked.items()
        },
    }


if __name__ == "__main__":
    main()
