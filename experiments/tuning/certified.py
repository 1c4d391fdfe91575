"""Certified accuracy of what the study's trials ended with: the same images, one sequence of draws each.

`python -m experiments.tuning.certified local-vit 1 --arms denoiser equaliser --queries 20000 --seeds 0 1 2` certifies
the first test images behind the trials of `experiments.tuning.run` (and makes those that are missing), and adds to
`results.json`. Votes are kept in `runs/tuning`: a killed run goes on, a second one asks nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bbsmooth.certification import CertifyingCase, SequentialPlan, State, VoteSource, run_cases, share
from bbsmooth.certification.sequences import DEFAULT_TEST
from bbsmooth.noise.copies import NoisyCopies
from experiments.tuning.arms import FREE, PAID
from experiments.tuning.paired import GRID, SEED, gain
from experiments.tuning.run import CONTROL, RESULTS
from experiments.tuning.trials import Arm, Setting, made
from experiments.tuning.worlds import WORLDS, World
from oracles import Feedback, Oracle, Purpose, ResponseStore, VoteLog

ALPHA, BETA, SELECTION = 0.001, 0.01, 100


@dataclass(frozen=True, slots=True)
class Proven:
    """What was proven of each image.

    Attributes:
        held: (K, N) whether the right class is certified within each radius.
        undecided: (K, N) whether the draws ended before an answer.
        queries: (N,).
    """

    held: Tensor
    undecided: Tensor
    queries: Tensor


def main() -> None:
    """Certify, print, and add to the results."""
    options = _options()
    torch.set_num_threads(options.threads)
    world = WORLDS[options.world](options.sigma)
    plan = SequentialPlan(
        noise=world.noise,
        num_selection=SELECTION,
        max_estimation=options.most,
        alpha=ALPHA,
        beta=BETA,
        radii=tuple(sorted(options.radius)),
        test=DEFAULT_TEST,
    )
    control = proven(world, FREE[CONTROL], _setting(0, 0), plan, options.images)
    for name in options.arms:
        arm = {**FREE, **PAID}[name]
        for queries in options.queries if name in PAID else [0]:
            found = [proven(world, arm, _setting(queries, seed), plan, options.images) for seed in options.seeds]
            for row in rows(found, control, plan):
                row = {"arm": name, "queries": queries, "seeds": options.seeds, "most": options.most, **row}
                print(json.dumps(row), flush=True)
                _keep(f"{world.name} {world.sigma:g}", row)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", choices=WORLDS)
    parser.add_argument("sigma", type=float)
    parser.add_argument("--arms", nargs="+", choices=[*FREE, *PAID], required=True)
    parser.add_argument("--queries", nargs="+", type=int, default=[20_000])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--radius", nargs="+", type=float, default=[0.5])
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--most", type=int, default=2_000, help="draws of an image; undecided by then counts against")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _setting(queries: int, seed: int) -> Setting:
    return Setting(queries=queries, seed=seed, feedback=Feedback.LOGITS, part="test")


def proven(world: World, arm: Arm, setting: Setting, plan: SequentialPlan, images: int) -> Proven:
    """What is certified of the first test images behind what a trial ended with."""
    return proven_by(arm.answers(world, *made(world, arm, setting)), world, plan, images)


def proven_by(oracle: Oracle, world: World, plan: SequentialPlan, images: int) -> Proven:
    """What is certified of the first test images, asked of an oracle; votes are kept in the world's folder."""
    source = VoteSource(
        oracles=dict.fromkeys((Purpose.SELECT, Purpose.ESTIMATE), oracle),
        log=VoteLog(ResponseStore(world.folder / "votes"), oracle.spec),
        copies=NoisyCopies(noise=world.noise, grid=GRID, seed=SEED),
    )
    finished = run_cases(
        enumerate(world.test.images[:images]),
        lambda image: CertifyingCase(image, plan, source, oracle.spec.classes),
        source,
        batch_size=512,
        concurrency=1,
        remaining=lambda: None,
    )
    outcomes = {number: case.outcome() for number, case, _ in finished}
    held, undecided = torch.zeros(2, len(plan.radii), len(outcomes), dtype=torch.bool)
    for number, outcome in outcomes.items():
        right = outcome.verdict.evidence.selected == world.test.labels[number]
        for place, decision in enumerate(outcome.decisions):
            held[place, number] = right and decision.state is State.CERTIFIED
            undecided[place, number] = decision.state is State.UNDECIDED
    queries = torch.tensor([float(outcomes[number].verdict.evidence.queries) for number in range(len(outcomes))])
    return Proven(held, undecided, queries)


def rows(found: Sequence[Proven], control: Proven, plan: SequentialPlan) -> Iterator[dict[str, Any]]:
    """By radius: certified accuracy in % with its interval over images, and the paired gain in points."""
    for place, radius in enumerate(plan.radii):
        held = torch.stack([one.held[place] for one in found]).double().mean(0)
        around = share(round(float(held.sum())), len(held), confidence=0.95)
        over = gain(held, control.held[place].double())
        yield {
            "radius": radius,
            "images": len(held),
            "alpha": plan.alpha,
            "certified": round(100 * float(held.mean()), 2),
            "interval": [round(100 * around.low, 2), round(100 * around.high, 2)],
            "gain": round(over.points, 2),
            "standard_error": round(over.error, 2),
            "undecided": round(statistics.fmean(float(one.undecided[place].sum()) for one in found), 1),
            "queries_an_image": round(statistics.fmean(float(one.queries.mean()) for one in found), 1),
        }


def _keep(world: str, row: dict[str, Any]) -> None:
    results = json.loads(RESULTS.read_text())
    before = results[world].get("certified", [])
    merged = {(one["arm"], one["queries"], one["radius"]): one for one in [*before, row]}
    results[world]["certified"] = [merged[key] for key in sorted(merged)]
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
