"""What queries buy behind a denoiser that cost none, where certified shares judge: `tune --radius`, 20,000 queries.

`python -m experiments.natural.queries resnet20 0.25 0.25` tunes behind `natural`, with what `auto` picks where the
oracle gives scores and where it gives labels alone, three seeds, and certifies start and result on the same test images
and draws. Writes `queries.json` after each seed. What was tuned and every vote stay in `runs/tuning`: a killed study
goes on, and start and results that were certified are not certified again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from bbsmooth.api.sessions.tuning_method import worth_spending
from bbsmooth.certification import SequentialPlan
from bbsmooth.certification.sequences import DEFAULT_TEST
from bbsmooth.coordinator import Autoencoder, CoordinatedOracle, EqualiserSpace, ScoreScaled, ScoreScaling
from bbsmooth.coordinator.natural import natural
from bbsmooth.noise import Grid
from bbsmooth.tuning.automatic import AUTO, choose
from bbsmooth.tuning.certified_share import RadiusJudge
from bbsmooth.tuning.losses.certified_share import CertifiedShare, balanced
from bbsmooth.tuning.methods import CERTIFIED, LIKELIHOOD, METHODS, within
from bbsmooth.tuning.methods import judged as method_judged
from bbsmooth.tuning.tune import tune
from experiments.natural.reread import Reread
from experiments.natural.results import keep
from experiments.tuning.certified import ALPHA, BETA, SELECTION, Proven, proven_by, rows
from experiments.tuning.worlds import WORLDS, World
from oracles import Answers, Feedback, Oracle

RESULTS = Path(__file__).parent / "queries.json"
TRAIN = 10_000
SCORES, LABELS = "scores", "labels"


def _natural(size: str) -> Callable[[World], Autoencoder]:
    return lambda world: natural(world.architecture.image_shape, world.sigma, size=size, space=EqualiserSpace())


FRONTS: dict[str, Callable[[World], Autoencoder]] = {
    "natural": _natural("base"),
    "natural-small": _natural("small"),
    "own": lambda world: replace(world.denoiser(), space=EqualiserSpace()),
}
"""Denoisers that cost no query; "own" was made of the world's training images."""


@dataclass(frozen=True, slots=True)
class Arm:
    """What `tune` was asked for."""

    method: str
    answers: str
    objective: str
    queries: int

    def __str__(self) -> str:
        """For the results."""
        objective = "" if self.objective == LIKELIHOOD else f", {self.objective}"
        return f"{self.method} by {self.answers}{objective}, {self.queries:,} queries"


@dataclass(frozen=True)
class Study:
    """A world, the denoiser before it, and the radius that judges."""

    world: World
    front: str
    radius: float
    images: int
    most: int

    @property
    def name(self) -> str:
        """Of its place in the results."""
        return f"{self.world.name} {self.world.sigma:g} at {self.radius:g}, {self.front}"

    @cached_property
    def start(self) -> Autoencoder:
        """What cost no query."""
        return FRONTS[self.front](self.world)

    @cached_property
    def judge(self) -> RadiusJudge:
        """Of certified shares."""
        return RadiusJudge(radius=self.radius, needed=self.world.noise.probability(self.radius))

    @cached_property
    def plan(self) -> SequentialPlan:
        """Of the certificates."""
        return SequentialPlan(
            noise=self.world.noise,
            num_selection=SELECTION,
            max_estimation=self.most,
            alpha=ALPHA,
            beta=BETA,
            radii=(self.radius,),
            test=DEFAULT_TEST,
        )

    @cached_property
    def before(self) -> Proven:
        """What is certified of the test images behind the start."""
        return self.proven(self.start, self.start.initial_parameters())

    def proven(self, coordinator: Autoencoder | ScoreScaled, parameters: Tensor) -> Proven:
        """What is certified of them behind a coordinator."""
        return proven_by(self._behind(coordinator, parameters), self.world, self.plan, self.images)

    def _behind(self, coordinator: Autoencoder | ScoreScaled, parameters: Tensor) -> Oracle:
        if isinstance(coordinator, ScoreScaled):
            coordinator, parameters = coordinator.settled(parameters)
            return Reread(coordinator, parameters, self.world.oracle, self.world.folder / "answers")
        return CoordinatedOracle(coordinator, parameters, self.world.oracle)


def main() -> None:
    """Tune, certify, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", choices=WORLDS)
    parser.add_argument("sigma", type=float)
    parser.add_argument("radius", type=float)
    parser.add_argument("--front", choices=FRONTS, default="natural")
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=[AUTO, *METHODS], default=[AUTO])
    parser.add_argument("--answers", nargs="+", choices=[SCORES, LABELS], default=[SCORES, LABELS])
    parser.add_argument("--objectives", nargs="+", choices=[LIKELIHOOD, CERTIFIED], default=[LIKELIHOOD])
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--most", type=int, default=2_000, help="draws of an image; undecided by then counts against")
    options = parser.parse_args()
    torch.set_num_threads(1)
    study = Study(WORLDS[options.world](options.sigma), options.front, options.radius, options.images, options.most)
    for method in options.methods:
        for answers in options.answers:
            for objective in options.objectives:
                judged(study, Arm(method, answers, objective, options.queries), options.seeds)


def judged(study: Study, arm: Arm, seeds: Sequence[int]) -> None:
    """Write what each seed spent, kept and gained; then, over all of them, the mean gain of an image."""
    found = []
    for seed in seeds:
        coordinator, parameters, told = tuned(study, arm, seed)
        found.append(study.proven(coordinator, parameters) if told["kept"] else study.before)
        keep(study.name, f"{arm}, seed {seed}", told | _certified(study, found[-1:]), RESULTS)
    start = round(100 * float(study.before.held.double().mean()), 2)
    keep(
        study.name,
        f"{arm}, all seeds",
        {"seeds": list(seeds), "certified_start": start} | _certified(study, found),
        RESULTS,
    )


def _certified(study: Study, found: Sequence[Proven]) -> dict[str, Any]:
    return {"most": study.most, **next(rows(found, study.before, study.plan))}


def tuned(study: Study, arm: Arm, seed: int) -> tuple[Autoencoder | ScoreScaled, Tensor, dict[str, Any]]:
    """One run, made once and kept: what is tuned, its parameters, and what was spent and seen."""
    world, feedback = study.world, _feedback(study.world, arm)
    name = _method(world, arm)
    coordinator = _coordinator(study, name)
    folder = world.folder / "queries" / f"{study.front} at {study.radius:g}"
    path = folder / f"{name}-{feedback.value}-{arm.objective}-{arm.queries}-seed{seed}.safetensors"
    if not path.exists():
        method = within(method_judged(METHODS[name], study.judge), arm.queries)
        result = tune(
            coordinator,
            world.train.images[:TRAIN],
            world.train.labels[:TRAIN],
            noise=world.noise,
            grid=Grid.fitting(world.noise, eight_bit=False),
            plan=replace(method.plan, **_loss(study, arm)),
            queries=worth_spending(method, world.oracle.spec, arm.queries),
            seed=seed,
            feedback=feedback,
            ask=lambda images, name: _answers(world.oracle.query(images), feedback),
        )
        told = {"method": name, "queries_used": result.queries, "kept": result.best_step > 0}
        told |= {key: round(value, 4) for key, value in result.judged.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"parameters": result.parameters}, path, metadata={"told": json.dumps(told)})
    with safe_open(path, "pt") as file:
        return coordinator, file.get_tensor("parameters"), _renamed(json.loads(file.metadata()["told"]))


def _method(world: World, arm: Arm) -> str:
    """The method that the arm names, or what `auto` picks before a denoiser of bbsmooth's own."""
    if arm.method != AUTO:
        return arm.method
    spec = world.oracle.spec
    choice = choose(
        queries=arm.queries,
        feedback=_feedback(world, arm),
        image_shape=world.architecture.image_shape,
        num_classes=len(spec.classes),
    )
    return choice.method


def _coordinator(study: Study, method: str) -> Autoencoder | ScoreScaled:
    kind, spec = METHODS[method].scaling, study.world.oracle.spec
    if kind is None:
        return study.start
    return ScoreScaled(
        front=study.start,
        shown_with=study.start.initial_parameters(),
        scaling=ScoreScaling(kind, len(spec.classes)),
        names=spec.classes.names,
        joint=METHODS[method].joint,
    )


def _loss(study: Study, arm: Arm) -> dict[str, Any]:
    if arm.objective == LIKELIHOOD:
        return {}
    weights = balanced(study.world.train.labels[:TRAIN])
    return {"loss": CertifiedShare(needed=study.judge.needed, weights=weights)}


def _feedback(world: World, arm: Arm) -> Feedback:
    return Feedback.LABELS if arm.answers == LABELS else world.oracle.spec.feedback


def _answers(answers: Answers, feedback: Feedback) -> Answers:
    return Answers(answers.labels) if feedback is Feedback.LABELS else answers


def _renamed(told: dict[str, Any]) -> dict[str, Any]:
    """What the judge saw, apart from what test images show."""
    names = {"images": "judged_images", "draws": "judged_draws", "start": "judged_start", "best": "judged_best"}
    return {names.get(key, key): value for key, value in told.items()}


if __name__ == "__main__":
    main()
