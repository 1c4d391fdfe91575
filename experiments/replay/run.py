"""Published certificates decided again: how many draws the default test takes on the rates behind them, exactly.

`python -m experiments.replay.run` writes `result.json` beside this file. It reads the logs of ResNet-50 on ImageNet
that Cohen, Rosenfeld and Kolter published with *Certified adversarial robustness via randomized smoothing* (ICML 2019),
as tables `imagenet_resnet50_noise_S_test_sigma_S.tsv`; without them it says so and writes nothing.

A radius gives back the votes of 100,000 and so the rate p; an abstention is counted as p = 1/2, the dearest that it can
be. The number of draws at this rate is computed by dynamic programming, from the test's boundaries alone: that an
image next to the radius is given up before the cap, which makes it cheaper, is left out, and so is what is asked ahead
of a decision.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import betaincinv
from scipy.stats import norm

from bbsmooth.certification import SequentialPlan
from bbsmooth.certification.sequences import DEFAULT_TEST, Stopping, stopping
from bbsmooth.noise import Gaussian
from bbsmooth.progress.meter import meter
from experiments.certification.run import BETA
from experiments.tuning.resnet20 import shared

RESULT = Path(__file__).with_name("result.json")
ASKED = ((0.25, 0.5), (0.5, 0.5), (0.5, 1.0), (1.0, 1.0))
"""Sigma of the log, and the radius that is decided."""

SELECTION, ALPHA, CAP, TRIALS = 100, 0.001, 10_000, 100_000
PUBLISHED_ALPHA = 0.01
"""Level at which the published radii of these sigmas come out of the published votes."""


def main() -> None:
    """Compute, print, and write `result.json`."""
    if (folder := logs(__doc__)) is None:
        return
    result: dict[str, Any] = {"n0": SELECTION, "alpha": ALPHA, "beta": BETA, "cap": CAP, "test": DEFAULT_TEST.name}
    result["decided"] = [replayed(folder, sigma, radius) for sigma, radius in ASKED]
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def logs(about: str) -> Path | None:
    """The folder of the published tables that the command line names, None with a word on stderr where it is not there.

    Args:
        about: what the script does; its first line is its help.
    """
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("--logs", type=Path, default=shared() / "data" / "cohen", help="folder of the tables")
    folder: Path = parser.parse_args().logs
    if folder.is_dir():
        return folder
    print(f"the published logs are not in {folder}; name their folder with --logs", file=sys.stderr)
    return None


def default_plan(sigma: float, radius: float) -> SequentialPlan:
    """The default test of one radius, as these studies ask it."""
    return SequentialPlan(
        noise=Gaussian(sigma),
        num_selection=SELECTION,
        max_estimation=CAP,
        alpha=ALPHA,
        beta=BETA,
        radii=(radius,),
        test=DEFAULT_TEST,
    )


def rates(folder: Path, sigma: float) -> Counter[float]:
    """The rates behind one log: how many images have each."""
    with (folder / f"imagenet_resnet50_noise_{sigma:.2f}_test_sigma_{sigma:.2f}.tsv").open() as file:
        return Counter(
            _rate(float(row["radius"]), int(row["predict"]), sigma) for row in csv.DictReader(file, delimiter="\t")
        )


def replayed(folder: Path, sigma: float, radius: float) -> dict[str, Any]:
    """Queries an image, and how many images stay open, for one log and one radius."""
    found = rates(folder, sigma)
    plan = default_plan(sigma, radius)
    means, undecided = {}, 0.0
    with meter(f"sigma {sigma:g}, radius {radius:g}", len(found), "rates") as bar:
        for rate, images in found.items():
            end = _end(plan, rate)
            means[rate] = SELECTION + end.mean
            undecided += images * end.open
            bar.advance(1)
    queries = np.repeat(list(means.values()), [found[rate] for rate in means])
    return {
        "sigma": sigma,
        "radius": radius,
        "images": len(queries),
        "queries an image": round(float(queries.mean()), 1),
        "median": round(float(np.median(queries)), 1),
        "fewer than n = 10,000": round((SELECTION + CAP) / float(queries.mean()), 2),
        "undecided %": round(100 * undecided / len(queries), 2),
    }


def _end(plan: SequentialPlan, rate: float) -> Stopping:
    """When the test of an image with this rate ends, whose selection votes are as many as are to be expected."""
    bounds = plan.boundaries_given(round(SELECTION * rate), total_variation=0.0)
    return stopping(rate, upper=bounds.upper[0], lower=bounds.lower[0])


def _rate(radius: float, predicted: int, sigma: float) -> float:
    """The share of votes behind a radius, by the bound that gave it (Clopper & Pearson 1934); 1/2 without one."""
    if predicted < 0:
        return 0.5
    p_lower = float(norm.cdf(radius / sigma))
    low, high = 0, TRIALS
    while low < high:  # the fewest votes whose bound is at least p_lower
        votes = (low + high) // 2
        bound = betaincinv(votes, TRIALS - votes + 1, PUBLISHED_ALPHA) if votes else 0.0
        low, high = (low, votes) if bound >= p_lower - 1e-9 else (votes + 1, high)
    return low / TRIALS


if __name__ == "__main__":
    main()
