"""Which method buys the most noisy accuracy per query, beside what costs none and what may look inside.

`python -m experiments.tuning.run resnet20 0.25 --queries 5000 20000 --arms spsa-gc blackvip` runs what was not run yet,
for seeds 0, 1, 2, and writes all that is there to `results.json`. Trials are kept in `runs/tuning`; a killed one goes
on where it stood. `--part validation` judges on other images, for choosing settings; the figures are of the test split.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.tuning.arms import FREE, PAID
from experiments.tuning.paired import correct, gain
from experiments.tuning.trials import Arm, Setting, seconds, shares
from experiments.tuning.worlds import WORLDS, World
from oracles import Feedback

RESULTS = Path(__file__).with_name("results.json")
CONTROL = "denoiser"


def main() -> None:
    """Run, print, and add each row to the results as soon as it is there."""
    options = _options()
    torch.set_num_threads(options.threads)
    world = WORLDS[options.world](options.sigma)
    bare = _bare(world) if options.part == "test" else None
    for arm, queries in _wanted(options):
        row = _row(world, arm, queries, options.seeds, Feedback(options.feedback), options.part)
        print(json.dumps(row), flush=True)
        if bare is not None:
            _keep(f"{world.name} {world.sigma:g}", bare, row)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", choices=WORLDS)
    parser.add_argument("sigma", type=float)
    parser.add_argument("--arms", nargs="+", choices=[*FREE, *PAID], default=[*FREE, *PAID])
    parser.add_argument("--queries", nargs="+", type=int, default=[5_000, 20_000, 100_000, 500_000])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--feedback", choices=["logits", "labels"], default="logits")
    parser.add_argument("--part", choices=["test", "validation"], default="test")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _wanted(options: argparse.Namespace) -> Iterator[tuple[Arm, int]]:
    for name in options.arms:
        if name in FREE:
            yield FREE[name], 0
        else:
            yield from ((PAID[name], queries) for queries in options.queries)


def _row(world: World, arm: Arm, queries: int, seeds: list[int], feedback: Feedback, part: str) -> dict[str, Any]:
    """Accuracy of control and arm in %, and gain in points: mean and spread over seeds, standard error over images."""
    control = shares(world, FREE[CONTROL], Setting(queries=0, seed=0, feedback=Feedback.LOGITS, part=part))
    settings = [Setting(queries=queries, seed=seed, feedback=feedback, part=part) for seed in seeds]
    found: list[Tensor] = [shares(world, arm, setting) for setting in settings]
    gains = [gain(after, control) for after in found]
    return {
        "arm": arm.name,
        "queries": queries,
        "feedback": feedback.value if queries else "none",
        "seeds": seeds,
        "draws": len(control) * (world.draws if part == "test" else 1),
        "control": round(100 * float(control.mean()), 2),
        "accuracy": round(100 * statistics.fmean(float(after.mean()) for after in found), 2),
        "gains": [round(one.points, 2) for one in gains],
        "mean_gain": round(statistics.fmean(one.points for one in gains), 2),
        "spread_over_seeds": round(statistics.stdev(one.points for one in gains), 2) if len(gains) > 1 else None,
        "standard_error": round(statistics.fmean(one.error for one in gains), 2),
        "seconds": round(statistics.fmean(seconds(world, arm, setting) for setting in settings)),
    }


def _bare(world: World) -> float:
    """Noisy accuracy in % of the oracle with nothing before it."""
    right = correct(world.oracle, world.test, sigma=world.sigma, draws=world.draws)
    return round(100 * float(right.mean()), 2)


def _keep(world: str, bare: float, row: dict[str, Any]) -> None:
    """Put a row into the results, in place of that of the same arm, budget and feedback."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    before = results.get(world, {"rows": []})["rows"]
    merged = {_key(one): one for one in [*before, row]}
    results[world] = results.get(world, {}) | {"bare": bare, "rows": [merged[key] for key in sorted(merged)]}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def _key(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["arm"], row["feedback"], row["queries"]


if __name__ == "__main__":
    main()
