"""What queries buy behind a denoiser that cost none, where certified shares judge: `tune --radius`, 20,000 queries.

`python -m experiments.natural.queries resnet20 0.25 0.25` tunes the equaliser's twenty numbers behind `natural-small`,
by cross-entropy and by the certified share, three seeds, and writes `queries.json`. Where the start is kept,
certificates are those of the start, draw for draw. Where not, both are certified on the same test images and draws.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bbsmooth.certification import SequentialPlan
from bbsmooth.certification.sequences import DEFAULT_TEST
from bbsmooth.coordinator import Autoencoder, CoordinatedOracle, EqualiserSpace
from bbsmooth.coordinator.natural import natural
from bbsmooth.noise import Grid
from bbsmooth.tuning.certified_share import RadiusJudge
from bbsmooth.tuning.losses.certified_share import CertifiedShare, balanced
from bbsmooth.tuning.losses.losses import CrossEntropy, Loss
from bbsmooth.tuning.methods import METHODS
from bbsmooth.tuning.tune import TuneResult, tune
from experiments.tuning.certified import ALPHA, BETA, SELECTION, proven_by, rows
from experiments.tuning.worlds import WORLDS, World

RESULTS = Path(__file__).parent / "queries.json"
TRAIN, MOST = 10_000, 2_000


def main() -> None:
    """Tune, certify what was kept, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", choices=WORLDS)
    parser.add_argument("sigma", type=float)
    parser.add_argument("radius", type=float)
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["equaliser"])
    parser.add_argument("--images", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    world = WORLDS[options.world](options.sigma)
    start = natural(world.architecture.image_shape, world.sigma, size="small", space=EqualiserSpace())
    judge = RadiusJudge(radius=options.radius, needed=world.noise.probability(options.radius))
    for method in options.methods:
        for seed in options.seeds:
            for objective, loss in _losses(world, judge):
                result = tuned(world, start, method, loss, judge, options.queries, seed)
                row = told(world, start, result, options.radius, options.images)
                name = f"{method} {objective}, {options.queries:,} queries, seed {seed}"
                _keep(f"{world.name} {world.sigma:g} at {options.radius:g}", name, row)


def _losses(world: World, judge: RadiusJudge) -> Iterator[tuple[str, Loss]]:
    yield "cross-entropy", CrossEntropy()
    yield "certified", CertifiedShare(needed=judge.needed, weights=balanced(world.train.labels[:TRAIN]))


def tuned(
    world: World, start: Autoencoder, method: str, loss: Loss, judge: RadiusJudge, queries: int, seed: int
) -> TuneResult:
    """One run of the method, judged by certified shares."""
    return tune(
        start,
        world.train.images[:TRAIN],
        world.train.labels[:TRAIN],
        noise=world.noise,
        grid=Grid.fitting(world.noise, eight_bit=False),
        plan=replace(METHODS[method].plan, loss=loss, judge=judge),
        queries=queries,
        seed=seed,
        feedback=world.oracle.spec.feedback,
        ask=lambda images, name: world.oracle.query(images),
    )


def told(world: World, start: Autoencoder, result: TuneResult, radius: float, images: int) -> dict[str, Any]:
    """What a run spent and what its judge saw; where something was kept, certificates of the first test images."""
    row: dict[str, Any] = {"queries_used": result.queries, "kept": result.best_step > 0}
    row |= {key: round(value, 4) for key, value in result.judged.items()}
    if result.best_step == 0:
        return row
    plan = SequentialPlan(
        noise=world.noise,
        num_selection=SELECTION,
        max_estimation=MOST,
        alpha=ALPHA,
        beta=BETA,
        radii=(radius,),
        test=DEFAULT_TEST,
    )
    before, after = (
        proven_by(CoordinatedOracle(start, parameters, world.oracle), world, plan, images)
        for parameters in (start.initial_parameters(), result.parameters)
    )
    return row | {"certified": next(rows([after], before, plan))}


def _keep(world: str, name: str, row: dict[str, Any]) -> None:
    print(world, name, json.dumps(row), flush=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results.setdefault(world, {})[name] = row
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
