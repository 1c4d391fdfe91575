"""Certified accuracy of what the study's trials ended with: the same images, one sequence of draws each.

`python -m experiments.tuning.certified local-vit 1 --arms denoiser equaliser --queries 20000` takes trials that
`experiments.tuning.run` has made, certifies the first test images at one radius, and adds to `results.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

import torch

from bbsmooth.certification import Certificate, CertifyingCase, SequentialPlan, VoteSource, certified_accuracy, work
from bbsmooth.certification.sequences import DEFAULT_TEST
from bbsmooth.noise.copies import NoisyCopies
from experiments.tuning.arms import FREE, PAID
from experiments.tuning.paired import GRID, SEED
from experiments.tuning.run import RESULTS
from experiments.tuning.trials import Setting, made
from experiments.tuning.worlds import WORLDS, World
from oracles import Feedback, Oracle, Purpose, ResponseStore, VoteLog

ALPHA, BETA, SELECTION = 0.001, 0.01, 100


def main() -> None:
    """Certify, print, and add to the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", choices=WORLDS)
    parser.add_argument("sigma", type=float)
    parser.add_argument("--arms", nargs="+", choices=[*FREE, *PAID], required=True)
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--radius", type=float, default=0.5)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--most", type=int, default=2_000, help="draws of an image; undecided by then counts against")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    world = WORLDS[options.world](options.sigma)
    for row in _rows(world, options):
        print(json.dumps(row), flush=True)
        _keep(f"{world.name} {world.sigma:g}", row)


def _rows(world: World, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    plan = SequentialPlan(
        noise=world.noise,
        num_selection=SELECTION,
        max_estimation=options.most,
        alpha=ALPHA,
        beta=BETA,
        radii=(options.radius,),
        test=DEFAULT_TEST,
    )
    for name in options.arms:
        queries = 0 if name in FREE else options.queries
        setting = Setting(queries=queries, seed=options.seed, feedback=Feedback.LOGITS, part="test")
        arm = {**FREE, **PAID}[name]
        oracle = arm.answers(world, *made(world, arm, setting))
        found = certified(world, oracle, plan, options.images)
        yield {"arm": name, "queries": queries, "seed": options.seed, "most": options.most, **found}


def certified(world: World, oracle: Oracle, plan: SequentialPlan, images: int) -> dict[str, Any]:
    """Certified accuracy of the first test images with its interval, undecided ones, and mean queries an image."""
    source = VoteSource(
        oracles=dict.fromkeys((Purpose.SELECT, Purpose.ESTIMATE), oracle),
        log=VoteLog(ResponseStore(world.folder / "votes"), oracle.spec),
        copies=NoisyCopies(noise=world.noise, grid=GRID, seed=SEED),
    )
    finished = work(
        enumerate(world.test.images[:images]),
        lambda image: CertifyingCase(image, plan, source, oracle.spec.classes),
        source,
        batch_size=512,
        concurrency=1,
        remaining=lambda: None,
        progress=lambda purpose, queries: None,
    )
    outcomes = {number: case.outcome() for number, case, _ in finished}
    verdicts = [outcomes[number].verdict for number in range(len(outcomes))]
    radii = [
        verdict.radius if isinstance(verdict, Certificate) and verdict.label == label else None
        for verdict, label in zip(verdicts, world.test.labels.tolist(), strict=False)
    ]
    share = certified_accuracy(radii, plan.radii[0], confidence=0.95)
    undecided = [each.state.value == "undecided" for outcome in outcomes.values() for each in outcome.decisions]
    return {
        "radius": plan.radii[0],
        "images": len(radii),
        "alpha": plan.alpha,
        "certified": round(100 * share.value, 2),
        "interval": [round(100 * share.low, 2), round(100 * share.high, 2)],
        "undecided": sum(undecided),
        "queries_an_image": round(sum(verdict.evidence.queries for verdict in verdicts) / len(verdicts), 1),
    }


def _keep(world: str, row: dict[str, Any]) -> None:
    results = json.loads(RESULTS.read_text())
    before = results[world].get("certified", [])
    merged = {(one["arm"], one["queries"], one["seed"], one["radius"]): one for one in [*before, row]}
    results[world]["certified"] = [merged[key] for key in sorted(merged)]
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
