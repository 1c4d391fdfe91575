"""Queries of an acceptance test, against certifying 500 images and against the lower bound of docs/acceptance.md.

    python -m experiments.acceptance.run

True share about 0.9, claim 0.8, both risks 0.05. The half-space's rates have a closed form. Those of the digits are
estimated, from 200 votes each, before the radius is chosen for which nine in ten images are good; these votes count for
neither side. Both ways ask the same classifier about the same images; what an answer costs is the ledger's total.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

import bbsmooth as bb
from bbsmooth.certification.acceptance.images import divergence
from bbsmooth.data import Split, load
from oracles import HalfspaceOracle

HERE = Path(__file__).parent
SHARE, CLAIM, RISK = 0.9, 0.8, 0.05
IMAGES, CERTIFIED, SEEDS, VOTES = 1000, 500, 10, 200
Floats = NDArray[np.float64]
World = tuple[Any, Any, Any, float, float, Floats]


def halfspace(distances: Floats, radius: float | None = None) -> World:
    """Oracle, images, labels, sigma, radius, rates: grey images at these distances from a plane, in units of sigma."""
    sigma = 0.5
    greys = (128 + distances * sigma * 255 / 8).round().clip(0, 255).astype(np.uint8)
    images = torch.from_numpy(greys)[:, None, None, None].repeat(1, 1, 8, 8)
    for number, image in enumerate(images.view(-1, 64)):  # all different, at the same distance
        up, down = divmod(number, 63)
        step = min(10, int(image[0]), 255 - int(image[0]))
        image[up] += step
        image[(up + 1 + down) % 64] -= step
    oracle = HalfspaceOracle(torch.ones(1, 8, 8), 64 * 128 / 255)
    away = (greys.astype(float) - 128) * 8 / 255
    asked = float(np.quantile(away, 1 - SHARE)) if radius is None else radius * sigma
    return oracle, images, np.ones(len(greys), dtype=int), sigma, asked, np.array(ndtr(away / sigma))


def two_kinds() -> World:
    """Nine images in ten lie 2 sigma beyond the radius, the others 2 sigma before it."""
    return halfspace(np.where(np.arange(IMAGES) % 10 == 0, -1.5, 2.5), radius=0.5)


def spread(deviation: float) -> World:
    """Distances are normal, and one image in ten is not good; the smaller the deviation, the more lie at the radius."""
    normal = np.random.default_rng(0).normal(1.28 + 0.25 / deviation, 1.0, IMAGES)
    return halfspace(normal * deviation)


def digits() -> World:
    """Digits before the embedded classifier, whose rates are estimated."""
    sigma = 0.1
    data = load("mnist5k", split=Split.TEST, image_shape=(1, 28, 28))
    oracle, images = bb.oracle("local-vit"), data.images(range(IMAGES))
    labels, generator = data.labels(range(IMAGES)), torch.Generator().manual_seed(0)
    hits = torch.zeros(IMAGES)
    for _ in range(VOTES):
        noisy = images.float() / 255 + sigma * torch.randn(images.shape, generator=generator)
        hits += oracle.query(noisy).labels == labels
    rates = (hits.double().numpy() + 0.5) / (VOTES + 1)
    radius = sigma * float(ndtri(np.quantile(rates, 1 - SHARE)))
    return oracle, data, None, sigma, max(0.0, radius), rates


def lower_bound(rates: Floats, needed: float, shown: float) -> float:
    """The fewest expected queries of a scheme that knows every rate and decides images one by one."""
    good = np.sort([divergence(rate, needed) for rate in rates[rates > needed].clip(max=1 - 1e-9)])[::-1]
    evidence = divergence(shown, RISK)
    best = math.inf
    for level in np.geomspace(1e-4, 0.5, 80):
        null = CLAIM + level * (1 - CLAIM)
        for kept in range(1, len(good) + 1):
            share = kept / len(rates)
            if share > null:
                draws = math.log(1 / level) * (1 / good[:kept]).sum() / len(rates)
                best = min(best, draws * evidence / divergence(share, null))
    return best


def measured(name: str, world: World, folder: Path) -> dict[str, Any]:
    """Queries of both ways, and the bound."""
    oracle, images, labels, sigma, radius, rates = world
    noise, needed = bb.Gaussian(sigma=sigma), bb.Gaussian(sigma=sigma).probability(radius)
    queries, answers, looked = [], [], []
    for seed in range(SEEDS):
        found = bb.accept(
            oracle,
            images,
            labels,
            noise=noise,
            radii=[radius],
            at_least=CLAIM,
            alpha_total=RISK,
            beta=RISK,
            population="data",
            max_estimation=1000,
            max_images=IMAGES,
            seed=seed,
            run=folder / f"{name}-{seed}",
        )
        queries.append(found.ledger.total)
        answers.append(found.answer)
        looked.append(found.summary["images"])
    plan = bb.Sequential(radii=(radius,), alpha=0.001, beta=0.01, num_selection=100, max_estimation=10_000)
    certified = bb.certify(
        oracle, images, labels, noise=noise, plan=plan, seed=0, limit=CERTIFIED, run=folder / f"{name}-certified"
    )
    share = certified.certified_accuracy(radius)
    bound = lower_bound(rates, needed, answers.count("shown") / SEEDS - 1e-3)
    return {
        "sigma": sigma,
        "radius": radius,
        "good": float((rates > needed).mean()),
        "within 0.1 sigma of the radius": float((np.abs(ndtri(rates) - ndtri(needed)) < 0.1).mean()),
        "accept": {"queries": queries, "mean": float(np.mean(queries)), "images": looked, "answers": answers},
        "certify": {"queries": certified.ledger.total, "images": CERTIFIED, "interval": [share.low, share.high]},
        "of certify": float(np.mean(queries)) / certified.ledger.total,
        "lower bound": bound,
        "of the lower bound": float(np.mean(queries)) / bound,
    }


def main() -> None:
    """Measure both worlds, and write them down."""
    with tempfile.TemporaryDirectory() as folder:
        worlds: dict[str, Callable[[], World]] = {
            "halfspace, two kinds": two_kinds,
            "halfspace, spread of 3 sigma": lambda: spread(3.0),
            "halfspace, spread of 1 sigma": lambda: spread(1.0),
            "digits": digits,
        }
        found = {name: measured(name, make(), Path(folder)) for name, make in worlds.items()}
    result = {"claim": CLAIM, "risks": RISK, "seeds": SEEDS, "worlds": found}
    (HERE / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
