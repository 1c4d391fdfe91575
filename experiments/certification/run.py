"""What certifying real images costs: Cohen's fixed numbers of draws against decisions that stop as soon as they can.

`python -m experiments.certification.run` writes `result.json` beside this file. Answers are asked for once and kept
below `runs/certification`; every method then sees the same draws, so that differences between methods are paired. A run
that is stopped goes on from there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bbsmooth.certification import (
    AdaptivePlan,
    Certificate,
    CertifyingCase,
    CohenPlan,
    Outcome,
    Plan,
    SequentialPlan,
    average_certified_radius,
    certified_accuracy,
    run_cases,
)
from bbsmooth.certification.sequences import DEFAULT_TEST, Calibrated
from bbsmooth.progress.meter import meter
from experiments.certification.worlds import World, worlds

RESULT = Path(__file__).with_name("result.json")
SELECTION, ALPHA, BETA, CAP, SHORT = 100, 0.001, 0.01, 10_000, 1_000


def main() -> None:
    """Measure, print, and write `result.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--digits", type=int, default=500, help="test digits")
    parser.add_argument("--complete", type=int, default=200, help="so many of them get all draws of the dearest method")
    parser.add_argument("--pictures", type=int, default=200, help="test images of CIFAR-10")
    result = {"n0": SELECTION, "alpha": ALPHA, "beta": BETA, "cap": CAP, "test": DEFAULT_TEST.name}
    result["worlds"] = [measured(world) for world in worlds(**vars(parser.parse_args()))]
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def measured(world: World) -> dict[str, Any]:
    """All figures of one classifier."""
    long, short = cohen(world, CAP), cohen(world, SHORT)
    decide = sequential(world)
    part = replace(world, images=world.images[: world.complete], labels=world.labels[: world.complete])
    complete, brief = certify(part, long), certify(world, short)
    decided = certify(world, decide)
    few = {f"r = {radius:g}": certify(world, replace(decide, radii=(radius,))) for radius in world.radii}
    calibrated = certify(world, replace(decide, test=Calibrated()))
    grown = certify(part, growing(world))
    described = {"all radii": decided, **few}
    return {
        "name": world.name,
        "images": len(world.images),
        "images with all draws": world.complete,
        "cohen": {f"n = {n:,}": {"queries": SELECTION + n} for n in (SHORT, CAP, 100_000)},
        "sequential": {name: figures(outcomes, brief, complete, world) for name, outcomes in described.items()},
        "sequential, calibrated test": figures(calibrated, brief, complete, world),
        "growing": {
            "queries": mean_queries(grown),
            "fewer than cohen n = 10,000": round((SELECTION + CAP) / mean_queries(grown), 2),
            "acr": acr(grown, world.labels),
            "acr of cohen n = 10,000": acr(complete, world.labels),
        },
    }


def cohen(world: World, draws: int) -> CohenPlan:
    """A fixed number of draws."""
    return CohenPlan(noise=world.noise, num_selection=SELECTION, num_estimation=draws, alpha=ALPHA)


def sequential(world: World) -> SequentialPlan:
    """All radii of a world decided by one sequence."""
    return SequentialPlan(
        noise=world.noise,
        num_selection=SELECTION,
        max_estimation=CAP,
        alpha=ALPHA,
        beta=BETA,
        radii=world.radii,
        test=DEFAULT_TEST,
    )


def growing(world: World) -> AdaptivePlan:
    """As many draws as a radius is worth."""
    return AdaptivePlan(
        noise=world.noise, num_selection=SELECTION, max_estimation=CAP, alpha=ALPHA, beta=BETA, tolerance=0.02
    )


def certify(world: World, plan: Plan) -> list[Outcome]:
    """The outcomes for all images, from the record and from what it takes besides."""
    source, classes = world.source(), world.oracle.spec.classes
    with meter(f"{world.name}, {plan.name}", None, "queries") as bar:
        finished = run_cases(
            enumerate(world.images),
            lambda image: CertifyingCase(image, plan, source, classes),
            source,
            batch_size=512,
            concurrency=1,
            remaining=lambda: None,
            progress=lambda purpose, queries: bar.advance(queries),
        )
        return [case.outcome() for _, case, _ in finished]


def figures(
    outcomes: Sequence[Outcome], brief: Sequence[Outcome], complete: Sequence[Outcome], world: World
) -> dict[str, Any]:
    """Queries and certified accuracy at each radius that was decided, next to Cohen's on the same images."""
    queries, radii = mean_queries(outcomes), [decision.radius for decision in outcomes[0].decisions]
    return {
        "queries": queries,
        "undecided": sum(decision.state.value == "undecided" for each in outcomes for decision in each.decisions),
        "fewer than cohen": {f"n = {n:,}": round((SELECTION + n) / queries, 1) for n in (SHORT, CAP, 100_000)},
        "certified accuracy": [
            {
                "radius": radius,
                "sequential": accuracy(outcomes, world.labels, radius),
                f"cohen n = {SHORT:,}": accuracy(brief, world.labels, radius),
                f"sequential, first {len(complete)}": accuracy(outcomes[: len(complete)], world.labels, radius),
                f"cohen n = {CAP:,}, first {len(complete)}": accuracy(complete, world.labels, radius),
            }
            for radius in radii
        ],
    }


def mean_queries(outcomes: Sequence[Outcome]) -> float:
    """Mean number of answers behind an outcome."""
    return round(sum(outcome.verdict.evidence.queries for outcome in outcomes) / len(outcomes), 1)


def right_radii(outcomes: Sequence[Outcome], labels: Sequence[int]) -> list[float | None]:
    """The radius of each image, None where the class is wrong or nothing is certified."""
    return [
        outcome.verdict.radius if isinstance(outcome.verdict, Certificate) and outcome.verdict.label == label else None
        for outcome, label in zip(outcomes, labels, strict=False)
    ]


def accuracy(outcomes: Sequence[Outcome], labels: Sequence[int], radius: float) -> float:
    """Certified accuracy."""
    return round(certified_accuracy(right_radii(outcomes, labels), radius, confidence=0.95).value, 4)


def acr(outcomes: Sequence[Outcome], labels: Sequence[int]) -> float:
    """Average certified radius."""
    return round(average_certified_radius(right_radii(outcomes, labels)), 4)


if __name__ == "__main__":
    main()
