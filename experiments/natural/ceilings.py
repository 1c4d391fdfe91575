"""What each search space holds: gradients through the oracle itself, on the share of images that will be certified.

`python -m experiments.natural.ceilings resnet20 0.25 0.25` lowers 1 - Phi((p - p_R) / 0.15) of training images, p being
the mean of five draws, behind `natural`, by first-order steps that no query could take, and counts on test images how
many have more than p_R of twenty draws right. Writes `ceilings.json` after each space. One seed; steps, images and rate
are finite, so that a space may hold a little more.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bbsmooth.coordinator import (
    Autoencoder,
    CoordinatedOracle,
    DecoderSpace,
    EqualiserSpace,
    PatternSpace,
    ScalingKind,
    ScoreScaled,
    ScoreScaling,
    Space,
    show,
)
from bbsmooth.coordinator.natural import natural
from bbsmooth.randomness import fork
from bbsmooth.tuning.certified_share import RadiusJudge
from bbsmooth.tuning.learners.score_scaling import fitted
from bbsmooth.tuning.learners.surrogate.training import minimise
from bbsmooth.tuning.losses.certified_share import CertifiedShare, balanced
from experiments.natural.results import keep
from experiments.tuning.paired import correct, gain
from experiments.tuning.worlds import WORLDS, Labelled, World
from oracles import Oracle

RESULTS = Path(__file__).parent / "ceilings.json"
TESTED, DRAWS = 1_000, 20
STEPS, IMAGES, ANSWERED = 300, 20, 2_000
ANCHOR = 0.1
"""Weight of the squared distance to the clean image, in units of the noise's variance, as in `experiments.tuning`."""

SPACES: dict[str, tuple[Space, float]] = {
    "equaliser, twenty numbers": (EqualiserSpace(), 0.01),
    "pattern, the lowest cosine waves": (PatternSpace(8), 0.01),
    "equaliser and all decoder weights": (EqualiserSpace(DecoderSpace()), 3e-3),
}
"""And the rate of Adam."""

MAPS = {"map of scores, by likelihood as tune fits it": False, "map of scores, by certified share": True}
_BATCH, _MAP_RATE = 500, 0.01


def main() -> None:
    """Walk, judge, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", choices=WORLDS)
    parser.add_argument("sigma", type=float)
    parser.add_argument("radius", type=float)
    parser.add_argument("--spaces", nargs="+", choices=[*SPACES, *MAPS], default=[*MAPS, *SPACES])
    options = parser.parse_args()
    torch.set_num_threads(1)
    world = WORLDS[options.world](options.sigma)
    judge = RadiusJudge(radius=options.radius, needed=world.noise.probability(options.radius))
    loss = CertifiedShare(needed=judge.needed, weights=balanced(world.train.labels))
    start = natural(world.architecture.image_shape, world.sigma)
    before = right(CoordinatedOracle(start, start.initial_parameters(), world.oracle), world)
    for name in options.spaces:
        made = _map(world, start, loss, certified=MAPS[name]) if name in MAPS else _walk(world, start, loss, name)
        keep(
            f"{world.name} {world.sigma:g} at {judge.radius:g}",
            name,
            judged(right(made, world), before, judge),
            RESULTS,
        )


def right(oracle: Oracle, world: World) -> Tensor:
    """(N,) share of the draws of each of the first test images that were answered rightly."""
    return correct(oracle, world.test[:TESTED], sigma=world.sigma, draws=DRAWS)


def judged(after: Tensor, before: Tensor, judge: RadiusJudge) -> dict[str, Any]:
    """Accuracy under noise and the share of images above p_R, in %, and their gains with standard errors."""
    votes = [(DRAWS * each).round() for each in (before, after)]
    above = [judge.certified(each, DRAWS).double() for each in votes]
    rows = {"noisy": (before.double(), after.double()), "above": (above[0], above[1])}
    result: dict[str, Any] = {"images": len(after), "draws": DRAWS}
    for name, (then, now) in rows.items():
        over = gain(now, then)
        result |= {f"{name}_start": round(100 * float(then.mean()), 2), name: round(100 * float(now.mean()), 2)}
        result |= {f"{name}_gain": [round(over.points, 2), round(over.error, 2)]}
    return result


def _walk(world: World, start: Autoencoder, loss: CertifiedShare, name: str) -> Oracle:
    """The oracle behind what first-order steps in a space of the denoiser end with."""
    space, rate = SPACES[name]
    coordinator, classifier = replace(start, space=space), world.classifier
    generator, moving = fork(0, "ceilings"), coordinator.initial_parameters()

    def loss_at() -> Tensor:
        noisy, clean, truth = _drawn(world.train, IMAGES, loss.draws, world.sigma, generator)
        shown = show(coordinator, noisy, moving)
        distance = (shown - clean).square().mean() / world.sigma**2
        return loss(classifier(shown).softmax(1), truth).mean() + ANCHOR * distance

    minimise([moving], loss_at, steps=STEPS, learning_rate=rate)
    return CoordinatedOracle(coordinator, moving.detach(), world.oracle)


def _map(world: World, start: Autoencoder, loss: CertifiedShare, *, certified: bool) -> Oracle:
    """The oracle with a map of its scores that was learnt from answers to five draws of each of many images."""
    spec, generator = world.oracle.spec, fork(0, "ceilings")
    scaling = ScoreScaling(ScalingKind.MATRIX, len(spec.classes))
    front = CoordinatedOracle(start, start.initial_parameters(), world.oracle)
    parts, truths = [], []
    for _ in range(ANSWERED // _BATCH):
        noisy, _, truth = _drawn(world.train, _BATCH, loss.draws, world.sigma, generator)
        parts += [scaling.log_probabilities(front.query(part), spec.feedback) for part in torch.split(noisy, _BATCH)]
        truths.append(truth)
    z, truth = torch.cat(parts), torch.cat(truths)
    parameters, _ = fitted(scaling, z, truth, torch.zeros(scaling.size))
    if certified:
        parameters = _mapped_for(scaling, z.float(), truth, loss, parameters)
    scaled = ScoreScaled(front=start, shown_with=start.initial_parameters(), scaling=scaling, names=spec.classes.names)
    return CoordinatedOracle(scaled, parameters, world.oracle)


def _mapped_for(
    scaling: ScoreScaling, z: Tensor, truth: Tensor, loss: Callable[[Tensor, Tensor], Tensor], start: Tensor
) -> Tensor:
    """The map that makes the loss small on answers whose draws stand side by side."""
    moving = start.clone()
    minimise(
        [moving], lambda: loss(scaling.scaled(z, moving).softmax(1), truth).mean(), steps=STEPS, learning_rate=_MAP_RATE
    )
    return moving.detach()


def _drawn(
    data: Labelled, images: int, draws: int, sigma: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy and clean images and labels, the draws of each image side by side."""
    chosen = torch.randint(len(data.images), (images,), generator=generator).repeat_interleave(draws)
    clean = data.images[chosen].float() / 255
    return clean + sigma * torch.randn(clean.shape, generator=generator), clean, data.labels[chosen]


if __name__ == "__main__":
    main()
