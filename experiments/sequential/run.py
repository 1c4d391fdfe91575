"""What each sequential test costs and how often it errs, exactly; and what growing a radius saves.

`python -m experiments.sequential.run` writes `bernoulli.json` beside this file (about two minutes on one core). No
Monte-Carlo: every figure is computed by dynamic programming, or is a sum over binomial counts.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import beta, binom

from bbsmooth.certification import ClopperPearson
from bbsmooth.certification.methods.adaptive import AdaptivePlan
from bbsmooth.certification.sequences import (
    BetaBinomial,
    Betting,
    Boundary,
    Calibrated,
    LearnedPrior,
    OneSidedTest,
    Stitched,
    TruncatedBetaBinomial,
    certifying,
    never,
    refuting,
    stopping,
)
from bbsmooth.noise import Gaussian

RESULT = Path(__file__).with_name("bernoulli.json")
GRID = [(0.6, 0.5), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 0.95), (0.9, 0.99), (0.9, 0.999)]
ALPHA = 0.001
CAP = 10_000
SHORT_CAP = 1_000
SELECTION = 100
TESTS: list[OneSidedTest] = [
    BetaBinomial(),
    TruncatedBetaBinomial(),
    Betting(),
    Stitched(),
    Calibrated(BetaBinomial()),
    Calibrated(),
]
GROWING_RATES = (0.3, 0.45, 0.52, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)


def main() -> None:
    """Compute, print, and write `bernoulli.json`."""
    result = {
        "alpha": ALPHA,
        "cap": CAP,
        "grid": [{"p_radius": p_radius, "p": p, "lower_bound": _bound(p_radius, p)} for p_radius, p in GRID],
        "tests": {test.name: [_row(test, p_radius, p) for p_radius, p in GRID] for test in TESTS}
        | {
            "sprt": [_row(_knowing(p), p_radius, p) for p_radius, p in GRID],
            "learned-from-earlier-images": [_row(_learned(p), p_radius, p) for p_radius, p in GRID],
            f"learned-from-{SELECTION}-selection-votes": [_from_selection(p_radius, p) for p_radius, p in GRID],
            "cohen, stopped once its outcome is fixed": [_cohen(p_radius, p) for p_radius, p in GRID],
        },
        "growing": [_growing(p) for p in GROWING_RATES],
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    for name, rows in result["tests"].items():  # type: ignore[attr-defined]
        print(f"{name:45}", *(f"{row['mean']:8.1f}" for row in rows))
    for row in result["growing"]:  # type: ignore[attr-defined]
        print(row)


def _divergence(p: float, q: float) -> float:
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def _bound(p_radius: float, p: float) -> float:
    return round(math.log(1 / ALPHA) / _divergence(p, p_radius), 2)


def _row(test: OneSidedTest, p_radius: float, p: float) -> dict[str, Any]:
    """Mean draws, the ratio to the lower bound, error at p = p_R, share decided within a short cap."""
    if p < p_radius:
        lower = refuting(test, p_radius, beta=ALPHA, cap=CAP)
        ended, error = stopping(p, lower=lower), stopping(p_radius, lower=lower).refutation
    else:
        upper = certifying(test, p_radius, alpha=ALPHA, cap=CAP)
        ended, error = stopping(p, upper=upper), stopping(p_radius, upper=upper).certification
    return {
        "mean": round(ended.mean, 2),
        "ratio": round(ended.mean / _bound(p_radius, p), 4),
        "error": float(f"{error:.3e}"),
        "decided_by_cap": round(ended.decided_by(CAP), 6),
        f"decided_by_{SHORT_CAP}": round(ended.decided_by(SHORT_CAP), 6),
    }


class _Knowing:
    """Wald's test that knows the rate."""

    def __init__(self, p: float) -> None:
        self.p, self.name = p, "sprt"

    def mirrored(self) -> OneSidedTest:
        return _Knowing(1 - self.p)

    def boundary(self, p_null: float, *, alpha: float, cap: int) -> Boundary:
        win, lose = math.log(self.p / p_null), math.log((1 - self.p) / (1 - p_null))
        boundary = never(cap)
        least = np.ceil((math.log(1 / alpha) - np.arange(cap + 1) * lose) / (win - lose))
        boundary[:] = np.minimum(least, boundary)
        return boundary

    def lower(self, successes: int, trials: int, *, alpha: float) -> float:
        return 0.0


def _knowing(p: float) -> OneSidedTest:
    return _Knowing(p)


def _learned(p: float) -> OneSidedTest:
    """From 20 earlier images of the same rate."""
    return LearnedPrior.learn([(round(1_000 * p), 1_000)] * 20)


def _from_selection(p_radius: float, p: float) -> dict[str, Any]:
    """The average over what the selection may say."""
    weights = binom.pmf(np.arange(SELECTION + 1), SELECTION, p)
    likely = np.flatnonzero(weights > 1e-3)
    flat = LearnedPrior.flat()
    rows = [_row(flat.after(int(votes), SELECTION), p_radius, p) for votes in likely]
    mean = float(np.average([row["mean"] for row in rows], weights=weights[likely]))
    return {
        "mean": round(mean, 2),
        "ratio": round(mean / _bound(p_radius, p), 4),
        "error": max(row["error"] for row in rows),
    }


def _cohen(p_radius: float, p: float) -> dict[str, Any]:
    """Fixed n with Clopper-Pearson, ended as soon as no further answer can change whether the radius is proven."""
    need = next(
        hits
        for hits in range(int(CAP * p_radius), CAP + 1)
        if ClopperPearson().lower(hits, CAP, alpha=ALPHA) > p_radius
    )
    trials = np.arange(CAP + 1)
    ended = stopping(p, upper=np.full(CAP + 1, need), lower=need - 1 - (CAP - trials))
    error = stopping(p_radius, upper=np.where(trials < CAP, trials + 1, need)).certification
    return {
        "mean": round(ended.mean, 2),
        "ratio": round(ended.mean / _bound(p_radius, p), 4),
        "error": float(f"{error:.3e}"),
    }


def _growing(p: float) -> dict[str, Any]:
    """Mean draws and mean radius of `AdaptivePlan` against a fixed number, sigma = 1; and of a confidence sequence."""
    plan = AdaptivePlan(
        noise=Gaussian(1.0), num_selection=SELECTION, max_estimation=CAP, alpha=ALPHA, beta=ALPHA, tolerance=0.02
    )
    weights = binom.pmf(np.arange(SELECTION + 1), SELECTION, p)
    half = refuting(Calibrated(), 0.5, beta=ALPHA, cap=CAP)
    given_up = stopping(p, lower=half)
    draws = radius = 0.0
    for votes in np.flatnonzero(weights > 1e-4).tolist():
        here = _mean_growth(plan, votes, p)
        draws += weights[votes] * here[0]
        radius += weights[votes] * here[1]
    kept = float(weights[weights > 1e-4].sum())
    fixed = float(_radii(np.arange(CAP + 1), CAP, ALPHA) @ binom.pmf(np.arange(CAP + 1), CAP, p))
    return {
        "p": p,
        "draws": round(float(min(draws / kept, given_up.mean)), 1),
        "radius": round(float(radius / kept), 4),
        "radius_of_fixed_number": round(fixed, 4),
        "radius_of_confidence_sequence_at_the_cap": round(
            Gaussian(1.0).radius(TruncatedBetaBinomial().lower(round(p * CAP), CAP, alpha=ALPHA)), 4
        ),
    }


def _mean_growth(plan: AdaptivePlan, votes: int, p: float) -> tuple[float, float]:
    looks = plan.looks(votes)
    first, level = looks[0]
    counts = np.arange(first + 1)
    weights, radii = binom.pmf(counts, first, p), _radii(counts, first, level)
    if len(looks) == 1:
        return float(first), float(weights @ radii)
    likely = weights > 1e-7
    enough = np.array(
        [
            bool(seen) and plan.good_enough(radius, hits / first)
            for hits, radius, seen in zip(counts, radii, likely, strict=True)
        ]
    )
    going_on = float(weights[likely & ~enough].sum())
    cap, last = looks[1]
    final = float(_radii(np.arange(cap + 1), cap, last) @ binom.pmf(np.arange(cap + 1), cap, p))
    return first + going_on * (cap - first), float(weights[enough] @ radii[enough]) + going_on * final


def _radii(counts: np.ndarray, trials: int, alpha: float) -> np.ndarray:
    bounds = np.where(counts > 0, beta.ppf(alpha, np.maximum(counts, 1), trials - counts + 1), 0.0)
    return np.array([Gaussian(1.0).radius(float(bound)) for bound in bounds])


if __name__ == "__main__":
    main()
