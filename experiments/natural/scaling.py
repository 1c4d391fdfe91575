"""What a few hundred answers buy where scores are scaled: gain in noisy accuracy by the number of answers.

`python -m experiments.natural.scaling resnet20 0.25` asks for answers to noisy training images behind the shipped
denoiser, fits both maps to the first of them, and judges on test images that nothing was learnt from. Adds to
`scaling.json`. `--own` stands the world's own denoiser before the oracle instead.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bbsmooth.coordinator import CoordinatedOracle, ScalingKind, ScoreScaling
from bbsmooth.coordinator.natural import natural
from bbsmooth.randomness import fork
from bbsmooth.tuning.learners.score_scaling import fitted
from bbsmooth.tuning.noisy import NoisyImages
from experiments.tuning.paired import GRID, SEED, gain
from experiments.tuning.worlds import WORLDS, World
from oracles import Answers

RESULTS = Path(__file__).parent / "scaling.json"
ANSWERS, SEEDS = (200, 500, 1_000, 2_000), (0, 1, 2)
_AT_ONCE = 500


def main() -> None:
    """Ask, fit, judge, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", choices=WORLDS)
    parser.add_argument("sigma", type=float)
    parser.add_argument("--own", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    world = WORLDS[options.world](options.sigma)
    row = judged(world, own=options.own)
    name = f"{world.name} {world.sigma:g}, {'its own denoiser' if options.own else 'natural'}"
    print(name, json.dumps(row), flush=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(results | {name: row}, indent=2) + "\n")


def judged(world: World, *, own: bool) -> dict[str, Any]:
    """Noisy accuracy of the start, and for each map and number of answers the gains of all seeds, in points."""
    front = world.denoiser() if own else natural(world.architecture.image_shape, world.sigma)
    oracle, feedback = CoordinatedOracle(front, front.initial_parameters(), world.oracle), world.oracle.spec.feedback
    tested = _tested(oracle, world)
    before = _right(tested.labels, world)
    row: dict[str, Any] = {"noisy": round(100 * float(before.double().mean()), 2)}
    asked = [_asked(oracle, world, seed) for seed in SEEDS]
    for kind in ScalingKind:
        scaling = ScoreScaling(kind, len(world.oracle.spec.classes))
        z = scaling.log_probabilities(tested, feedback)
        gains: dict[str, Any] = {}
        for count in ANSWERS:
            found = []
            for answers, truth in asked:
                learnt = scaling.log_probabilities(answers, feedback)[:count]
                parameters, _ = fitted(scaling, learnt, truth[:count], torch.zeros(scaling.size))
                found.append(gain(_right(scaling.scaled(z, parameters).argmax(1), world), before))
            gains[str(count)] = [round(each.points, 2) for each in found]
            gains["standard_error"] = round(statistics.mean(each.error for each in found), 2)
        row[kind.value] = gains
    return row


def _tested(oracle: CoordinatedOracle, world: World) -> Answers:
    """Answers to the test images' draws, all images under the first draw, then under the next."""
    noisy = NoisyImages(
        images=world.test.images, labels=world.test.labels, noise=world.noise, grid=GRID, seed=SEED, purpose="paired"
    )
    parts = [
        oracle.query(noisy.draw(indices.tolist(), [draw] * len(indices)))
        for draw in range(world.draws)
        for indices in torch.split(torch.arange(len(noisy)), _AT_ONCE)
    ]
    return Answers.join(parts)


def _right(labels: Tensor, world: World) -> Tensor:
    """(N,) share of an image's draws that were answered rightly."""
    return (labels.view(world.draws, -1) == world.test.labels).float().mean(0)


def _asked(oracle: CoordinatedOracle, world: World, seed: int) -> tuple[Answers, Tensor]:
    """Answers to as many noisy training images as are learnt from, and their true classes."""
    generator, most = fork(seed, "scaling"), max(ANSWERS)
    chosen = torch.randint(len(world.train.images), (most,), generator=generator)
    clean = world.train.images[chosen].float() / 255
    noisy = clean + world.sigma * torch.randn(clean.shape, generator=generator)
    return Answers.join([oracle.query(part) for part in torch.split(noisy, _AT_ONCE)]), world.train.labels[chosen]


if __name__ == "__main__":
    main()
