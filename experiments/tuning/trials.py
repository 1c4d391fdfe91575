"""One way of making a coordinator, carried out once and kept; killed at any time it goes on where it stood."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from bbsmooth.api.sessions.tuning_images import TuningImages, few
from bbsmooth.coordinator import CoordinatedOracle, Coordinator
from bbsmooth.tuning import TunePlan, one_by_one, tune
from experiments.tuning.paired import GRID, correct
from experiments.tuning.worlds import World
from oracles import Answers, Feedback, Oracle


def behind(world: World, coordinator: Coordinator, parameters: Tensor) -> Oracle:
    """The oracle as it is, behind the coordinator."""
    return CoordinatedOracle(coordinator, parameters, world.oracle)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Arm:
    """A method of the study.

    Attributes:
        name: of its files.
        start: what it begins from, given the world.
        plan: how it spends queries; None for what needs none.
        free: parameters that cost no query, given the world, the start and a seed; None for what costs some.
        shots: images of each class that are tuned on, None for all; the denoiser has seen all of them, unlabelled.
        agreement: whether the oracle's own answers to clean images, paid for, count in place of labels.
        answers: who answers in the end, given the world, the start and the parameters.
    """

    name: str
    start: Callable[[World], Coordinator]
    plan: TunePlan | None = None
    free: Callable[[World, Coordinator, int], Tensor] | None = None
    shots: int | None = None
    agreement: bool = False
    answers: Callable[[World, Coordinator, Tensor], Oracle] = behind


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What an arm is tried under.

    Attributes:
        queries: budget; 0 for arms that need none.
        seed: of everything but the denoiser.
        feedback: what the oracle tells.
        part: "validation" or "test", whose images judge.
    """

    queries: int
    seed: int
    feedback: Feedback
    part: str

    def __str__(self) -> str:
        """A name for files."""
        return f"{self.queries}-{self.feedback.value}-seed{self.seed}"


def shares(world: World, arm: Arm, setting: Setting) -> Tensor:
    """(N,) share of right answers on each image of the part that judges; computed once."""
    stem = f"{arm.name}-{setting}"
    path = world.folder / "trials" / f"{stem}-{setting.part}.safetensors"
    if not path.exists():
        oracle = arm.answers(world, *made(world, arm, setting))
        judged = world.test if setting.part == "test" else world.validation
        draws = world.draws if setting.part == "test" else 1
        right = correct(oracle, judged, sigma=world.sigma, draws=draws)
        save_file({"right": right}, path)
    return load_file(path)["right"]


def made(world: World, arm: Arm, setting: Setting) -> tuple[Coordinator, Tensor]:
    """A coordinator and the parameters (P,) that an arm ends with; tuned once."""
    coordinator = arm.start(world)
    path = world.folder / "trials" / f"{arm.name}-{setting}.safetensors"
    return coordinator, _parameters(world, arm, coordinator, setting, path)


def seconds(world: World, arm: Arm, setting: Setting) -> float:
    """How long a trial took on the machine where it ran."""
    path = world.folder / "trials" / f"{arm.name}-{setting}.json"
    return float(json.loads(path.read_text())["seconds"])


def _parameters(world: World, arm: Arm, coordinator: Coordinator, setting: Setting, path: Path) -> Tensor:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        began = time.monotonic()
        if arm.plan is not None:
            found = _tuned(world, arm, arm.plan, coordinator, setting, path.with_suffix(".checkpoint"))
        else:
            assert arm.free is not None
            found = arm.free(world, coordinator, setting.seed)
        took = {"seconds": round(time.monotonic() - began, 1)}
        path.with_suffix(".json").write_text(json.dumps(took) + "\n")
        save_file({"parameters": found}, path)
    return load_file(path)["parameters"]


def _tuned(
    world: World, arm: Arm, plan: TunePlan, coordinator: Coordinator, setting: Setting, checkpoint: Path
) -> Tensor:
    def ask(images: Tensor, name: bytes) -> Answers:
        answers = world.oracle.query(images)
        return Answers(answers.labels) if setting.feedback is Feedback.LABELS else answers

    def keep(raw: bytes) -> None:
        partial = checkpoint.with_suffix(".partial")
        partial.write_bytes(raw)
        partial.replace(checkpoint)

    found = _images(world, arm, setting.seed)
    chosen = found.within(setting.queries)
    result = tune(
        coordinator,
        chosen.pixels,
        chosen.truth(ask, one_by_one),
        noise=world.noise,
        grid=GRID,
        plan=plan,
        queries=setting.queries - found.cost(setting.queries),
        seed=setting.seed,
        feedback=setting.feedback,
        ask=ask,
        resume=checkpoint.read_bytes() if checkpoint.exists() else None,
        checkpoint=keep,
    )
    checkpoint.unlink()
    print(
        f"{checkpoint.stem}: {result.queries} queries, step {result.best_step} of {result.num_steps} kept, held-out"
        f" accuracy {result.start_accuracy:.4f} to {result.best_accuracy:.4f}",
        flush=True,
    )
    return result.parameters


def _images(world: World, arm: Arm, seed: int) -> TuningImages:
    images, labels = world.train.images, world.train.labels
    if arm.shots is not None:
        chosen = few(labels, arm.shots, int(labels.max()) + 1, seed)
        images, labels = images[chosen], labels[chosen]
    return TuningImages(images, None if arm.agreement else labels)
