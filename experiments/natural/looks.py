"""How often a run at a radius goes on after its first look, and what it keeps, where the gain is known.

`python -m experiments.natural.looks resnet20 0.25 0.25 --front natural` asks once for scores of noisy training images,
then draws runs of `matrix-scaling --radius` from them: images with replacement, the map learnt from a part. Where each
image's votes with start and map change places by the toss of a coin nothing is gained, and where some of them do, part
of the gain is left. Writes `looks.json`: by gain, the share of runs that go on, that keep the map, and what is spent.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from bbsmooth.api.sessions.tuning_method import worth_spending
from bbsmooth.coordinator import CoordinatedOracle, ScalingKind, ScoreScaling
from bbsmooth.randomness import fork
from bbsmooth.tuning.certified_share import RadiusJudge
from bbsmooth.tuning.learners.score_scaling import fitted
from bbsmooth.tuning.methods import METHODS, judged, within
from bbsmooth.tuning.noisy import NoisyImages
from bbsmooth.tuning.radius_schedule import RadiusSchedule
from experiments.natural.queries import FRONTS, TRAIN
from experiments.natural.results import keep
from experiments.tuning.paired import GRID
from experiments.tuning.worlds import WORLDS, World

RESULTS = Path(__file__).parent / "looks.json"
LEARNT, HELD_OUT, HELD_OUT_SHARE = 4_000, 1_500, 0.2
MAPS, RUNS = 8, 200
_AT_ONCE, _ROUNDING = 250, 0.05


class Scores(NamedTuple):
    """Log-probabilities of held-out images (J, D, K) with their classes (J,), and of others (N, K) with theirs (N,)."""

    held_out: Tensor
    truth: Tensor
    learnt: Tensor
    learnt_truth: Tensor


def main() -> None:
    """Ask, simulate, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", choices=WORLDS)
    parser.add_argument("sigma", type=float)
    parser.add_argument("radius", type=float)
    parser.add_argument("--front", choices=FRONTS, default="natural")
    parser.add_argument("--budgets", nargs="+", type=int, default=[20_000, 100_000])
    parser.add_argument("--gains", nargs="+", type=float, default=[0.0, 3.0], help="in points, beside the map's own")
    options = parser.parse_args()
    torch.set_num_threads(1)
    world = WORLDS[options.world](options.sigma)
    judge = RadiusJudge(radius=options.radius, needed=world.noise.probability(options.radius))
    scores = asked(world, options.front, judge.draws)
    for budget in options.budgets:
        for wanted in [None, *options.gains]:
            row = simulated(world, scores, judge, budget, wanted)
            if wanted and wanted > row["gain"] + _ROUNDING:
                continue  # the map holds less
            name = "its own gain" if wanted is None else f"{wanted:g} points"
            keep(
                f"{world.name} {world.sigma:g} at {options.radius:g}, {options.front}, {budget:,} queries",
                name,
                row,
                RESULTS,
            )


def simulated(world: World, scores: Scores, judge: RadiusJudge, budget: int, wanted: float | None) -> dict[str, float]:
    """Shares of the runs, mean queries, and the gain in points; `wanted` None leaves the map its own."""
    method = within(judged(METHODS["matrix-scaling"], judge), budget)
    images = len(world.train.images[:TRAIN])
    held_out = int(HELD_OUT_SHARE * images)
    assert method.plan.judge is not None
    schedule = RadiusSchedule.within(
        worth_spending(method, world.oracle.spec, budget),
        method.plan,
        method.plan.judge,
        num_images=images - held_out,
        num_heldout=held_out,
    )
    first = schedule.first_steps * schedule.step_queries
    early = first + schedule.look_images * schedule.look_draws
    maps = [_votes(scores, schedule, seed) for seed in range(MAPS)]
    needed, draws = judge.certified, schedule.test_draws
    own = sum(float((needed(last, draws).double() - needed(start, draws).double()).mean()) for *_, start, last in maps)
    share = 1.0 if wanted is None else min(1.0, max(0.0, wanted / (100 * own / MAPS)))
    went_on, kept, spent = 0, 0, 0
    for run in range(RUNS):
        generator = fork(run, "looks")
        chosen = torch.randint(len(scores.truth), (held_out,), generator=generator)
        turned = torch.rand(held_out, generator=generator) < (1 - share) / 2
        before, after, start, last = (votes[chosen] for votes in maps[run % MAPS])
        looked, tested = slice(None, schedule.look_images), slice(-schedule.test_images, None)
        look = [torch.where(turned, *pair)[looked] for pair in ((after, before), (before, after))]
        test = [torch.where(turned, *pair)[tested] for pair in ((last, start), (start, last))]
        goes_on = judge.promises(look[0], look[1], schedule.look_draws, tested=schedule.test_images)
        went_on += goes_on
        kept += goes_on and judge.p_value(test[0], test[1], draws) <= judge.level
        spent += schedule.queries if goes_on else early
    return {
        "gain": round(100 * share * own / MAPS, 1),
        "first_look_after": early,
        "goes_on": went_on / RUNS,
        "keeps": kept / RUNS,
        "queries": round(spent / RUNS),
    }


def _votes(scores: Scores, schedule: RadiusSchedule, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Right draws of each image: with start and map at the look, and with both at the test."""
    classes = scores.learnt.shape[1]
    scaling = ScoreScaling(ScalingKind.MATRIX, classes)
    order = torch.randperm(len(scores.learnt), generator=fork(seed, "learnt"))

    def right(draws: int, steps: int) -> Tensor:
        z = scores.held_out[:, :draws]
        if steps:
            part = order[: steps * schedule.step_queries]
            found, _ = fitted(scaling, scores.learnt[part], scores.learnt_truth[part], torch.zeros(scaling.size))
            z = scaling.scaled(z.reshape(-1, classes), found).view(z.shape)
        return (z.argmax(-1) == scores.truth[:, None]).sum(1)

    look, test = schedule.look_draws, schedule.test_draws
    return right(look, 0), right(look, schedule.first_steps), right(test, 0), right(test, schedule.num_steps)


def asked(world: World, front: str, draws: int) -> Scores:
    """What the oracle says, asked once and kept."""
    path = world.folder / f"looks-{front}.pt"
    if not path.exists():
        images = len(world.train.images[:TRAIN])
        held_out = min(HELD_OUT, int(HELD_OUT_SHARE * images))
        order = torch.randperm(images, generator=fork(0, "looks"))
        parts = order[:held_out], order[held_out:][:LEARNT]
        found = [_asked(world, front, part, number) for part, number in zip(parts, (draws, 1), strict=True)]
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save((found[0][0], found[0][1], found[1][0][:, 0].float(), found[1][1]), path)
    return Scores(*torch.load(path))


def _asked(world: World, name: str, chosen: Tensor, draws: int) -> tuple[Tensor, Tensor]:
    front = FRONTS[name](world)
    oracle = CoordinatedOracle(front, front.initial_parameters(), world.oracle)
    noisy = NoisyImages(
        images=world.train.images[chosen],
        labels=world.train.labels[chosen],
        noise=world.noise,
        grid=GRID,
        seed=0,
        purpose="looks",
    )
    scaling = ScoreScaling(ScalingKind.MATRIX, len(world.oracle.spec.classes))
    told = [
        torch.cat(
            [
                scaling.log_probabilities(oracle.query(noisy.draw(part, [draw] * len(part))), oracle.spec.feedback)
                for part in (
                    list(range(first, min(first + _AT_ONCE, len(noisy)))) for first in range(0, len(noisy), _AT_ONCE)
                )
            ]
        )
        for draw in range(draws)
    ]
    return torch.stack(told, 1), noisy.labels


if __name__ == "__main__":
    main()
