"""Tests of what `bbsmooth plan` says: simulated cases with known truth, and the README's walk with ten seeds.

`python -m experiments.plan.run` writes `result.json` beside this file. It needs the denoiser that `make demo` leaves,
and makes it where it is missing. What was done is kept below `runs/plan`; run again, it goes on from there.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from bbsmooth.certification import SequentialPlan
from bbsmooth.certification.forecast import CONFIDENCE, REPLICATES, Way, summed
from bbsmooth.certification.methods.pilot import Pilot
from bbsmooth.certification.population import CELLS, Population
from bbsmooth.certification.protocols import Selection
from bbsmooth.certification.sequences import DEFAULT_TEST
from bbsmooth.certification.simulation import Trials, simulate
from bbsmooth.certification.simulation import simulated as simulated_trials
from bbsmooth.certification.verdict import Certificate
from bbsmooth.cli.main import app
from bbsmooth.noise import Gaussian
from bbsmooth.progress.meter import meter
from bbsmooth.runs.files import write_json
from bbsmooth.settings.plan import PILOT, PILOT_DRAWS
from experiments.certification.run import BETA
from experiments.certification.worlds import digits_denoiser

RESULT = Path(__file__).with_name("result.json")
FOLDER = Path("runs/plan")
IMAGES, SIGMA, RADIUS, PRICE = 100, 0.5, 0.5, 1.5

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]
"""Positions x of images' rates, p = Phi(x); the radius needs x = 1."""


@dataclass(frozen=True, slots=True)
class Part:
    """A kind of images.

    Attributes:
        share: of the images.
        mean: of x.
        deviation: of x.
    """

    share: float
    mean: float
    deviation: float


MIXTURES: dict[str, tuple[Part, ...]] = {
    "3 % next to the radius": (Part(0.97, 2.8, 0.4), Part(0.03, 1.0, 0.05)),
    "10 % next to the radius": (Part(0.9, 3.0, 0.3), Part(0.1, 1.0, 0.1)),
    "all far from it": (Part(1.0, 3.0, 0.2),),
    "two kinds": (Part(0.5, 3.0, 0.3), Part(0.5, 0.0, 0.3)),
    "three kinds": (Part(0.8, 2.5, 0.5), Part(0.15, 0.3, 0.3), Part(0.05, 1.05, 0.05)),
    "spread out": (Part(1.0, 2.0, 1.0),),
}


def main() -> None:
    """Measure, print, and write `result.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=25, help="cases of each kind")
    parser.add_argument("--seeds", type=int, default=10, help="walks of the README")
    asked = parser.parse_args()
    result = {"confidence": CONFIDENCE, "pilot": {"images": PILOT, "draws": PILOT_DRAWS}, "images": IMAGES}
    result |= {"simulated": simulated(asked.repetitions), "walk": walks(asked.seeds)}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def populations() -> dict[str, Draw]:
    """Mixtures of normal distributions, a beta distribution and one with heavy tails."""
    drawn: dict[str, Draw] = {
        "beta(2, 0.3)": lambda generator, images: ndtri(generator.beta(2, 0.3, images).clip(1e-5, 1 - 1e-7)),
        "heavy tails": lambda generator, images: 2.6 + 0.9 * generator.standard_t(3, images),
    }
    for name, parts in MIXTURES.items():
        drawn[name] = lambda generator, images, parts=parts: _mixed(parts, generator, images)  # type: ignore[misc]
    return drawn


def simulated(repetitions: int) -> dict[str, Any]:
    """Cases with known rates: how often the intervals hold.

    The certifications that forecasts draw from are simulated once for all cases; those of the cases are others.
    """
    plan = SequentialPlan(
        noise=Gaussian(SIGMA),
        num_selection=30,
        max_estimation=10_000,
        alpha=0.001,
        beta=BETA,
        radii=(RADIUS,),
        test=DEFAULT_TEST,
    )
    generator = np.random.default_rng(0)
    everywhere = Population(Pilot(votes=(PILOT_DRAWS,), draws=PILOT_DRAWS), (plan.noise.probability(RADIUS),))
    trials = simulated_trials(
        (plan,), everywhere, np.ones(CELLS), radii=(RADIUS,), total_variation=0.0, generator=generator
    )
    rows: list[dict[str, Any]] = []
    FOLDER.mkdir(parents=True, exist_ok=True)
    with meter("simulated cases", repetitions * len(populations()), "cases") as bar:
        for name, draw in populations().items():
            kept = FOLDER / f"cases-{len(rows)}.json"
            cases = json.loads(kept.read_text()) if kept.exists() else []
            bar.advance(len(cases))
            for repetition in range(len(cases), repetitions):
                cases.append(_case(plan, trials, draw, np.random.default_rng([len(rows), repetition])))
                bar.advance(1)
            write_json(kept, cases)
            rows.append({"population": name, "cases": repetitions, **_rates(cases), "example": cases[0]})
    held = {key: sum(row[key] for row in rows) for key in ("cases", "queries held", "certified held")}
    return held | {"populations": rows}


def _case(plan: SequentialPlan, trials: Trials, draw: Draw, generator: np.random.Generator) -> dict[str, Any]:
    """One forecast, and what came of it."""
    rates = ndtr(draw(generator, IMAGES))
    votes = generator.binomial(PILOT_DRAWS, rates[:PILOT]).tolist()
    population = Population(Pilot(votes=tuple(votes), draws=PILOT_DRAWS), (plan.noise.probability(RADIUS),))
    silent = np.zeros(REPLICATES, dtype=np.int64)
    found = summed(
        Way(plan=plan, radii=(RADIUS,)),
        trials,
        list(population.draws(REPLICATES, generator)),
        silent,
        IMAGES,
        generator,
    )
    queries, certified = 0, 0
    rest = generator.binomial(plan.num_selection - PILOT_DRAWS, rates).tolist()
    first = [*votes, *generator.binomial(PILOT_DRAWS, rates[PILOT:]).tolist()]
    for rate, selection in zip(rates, np.add(rest, first).tolist(), strict=True):
        asked, outcome = simulate(
            plan,
            Selection(selected=0, votes=selection, total_variation=0.0),
            generator.random(plan.max_estimation) < rate,
            np.ones(1),
            generator,
        )
        queries += asked
        certified += isinstance(outcome.verdict, Certificate) and outcome.verdict.radius >= RADIUS
    return {
        "queries": {"truth": queries, **asdict(found.queries)},
        "certified": {"truth": certified / IMAGES, **asdict(found.certified[0])},
    }


def _mixed(parts: tuple[Part, ...], generator: np.random.Generator, images: int) -> Floats:
    kinds = generator.choice(len(parts), images, p=[part.share for part in parts])
    means, deviations = (np.array([getattr(part, name) for part in parts]) for name in ("mean", "deviation"))
    positions: Floats = generator.normal(means[kinds], deviations[kinds])
    return positions


def walks(seeds: int) -> dict[str, Any]:
    """`plan`, then `certify --reuse`, as the README shows them, with several seeds."""
    denoiser = digits_denoiser(SIGMA)
    common = f"--oracle local-vit --coordinator {denoiser} --data mnist5k --sigma {SIGMA} --radius {RADIUS}"
    rows = []
    for seed in range(seeds):
        planned, certified = FOLDER / f"plan-{seed}", FOLDER / f"certified-{seed}"
        _bbsmooth(f"plan {common} --images {IMAGES} --price {PRICE} --seed {seed}", planned)
        _bbsmooth(
            f"certify {common} --method sequential --limit {IMAGES} --price {PRICE} --seed {seed} --reuse {planned}",
            certified,
        )
        rows.append(_walk(planned, certified))
    return {"seeds": seeds, **_rates(rows), "walks": rows}


def _walk(planned: Path, certified: Path) -> dict[str, Any]:
    plan, ledger = (json.loads(file.read_text()) for file in (planned / "summary.json", certified / "ledger.json"))
    summary = json.loads((certified / "summary.json").read_text())
    row = plan["expected"][-1]
    spent = ledger["spent_total"] + plan["pilot"]["queries"]
    return {
        "queries": {"truth": spent, **row["queries"]},
        "price": {"truth": spent * PRICE / 1000, **row["price"]},
        "certified": {"truth": summary["certified"][0]["value"], **row["certified"][0]},
        "seconds": {"truth": summary["seconds"] + plan["pilot"]["seconds"], **row["seconds"]},
    }


def _bbsmooth(words: str, out: Path) -> None:
    """Run a command quietly, or go on with it; what is done already costs nothing."""
    manifest = out / "manifest.json"
    resume = ["--resume"] if manifest.exists() else []
    if resume and json.loads(manifest.read_text())["status"] == "done":
        return
    print(f"$ bbsmooth {words} --out {out}", flush=True)
    with contextlib.redirect_stdout(io.StringIO()):
        status = app([*words.split(), "--out", str(out), *resume], standalone_mode=False)
    if status:
        raise SystemExit(status)


def _rates(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Number of cases in which each interval held, and its median ends."""
    found: dict[str, Any] = {}
    for key in ("queries", "certified"):
        found[f"{key} held"] = sum(case[key]["low"] <= case[key]["truth"] <= case[key]["high"] for case in cases)
        found[f"median {key}"] = {
            part: float(np.median([case[key][part] for case in cases])) for part in ("truth", "expected", "low", "high")
        }
    return found


if __name__ == "__main__":
    main()
