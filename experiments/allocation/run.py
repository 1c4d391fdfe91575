"""How many images a tenth of the budget that all of them need decides: by each allocation, at each size of a batch.

`python -m experiments.allocation.run` writes `result.json` beside this file. Answers are asked for once and kept below
`runs/certification`, as those of `experiments/certification`; each allocation then gets them as if it had asked, and
its own ledger is charged, so that all see the same draws. A run that is stopped goes on from there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bbsmooth.certification import POLICIES, CertifyingCase, Draws, PolicyDriven, SequentialPlan, VoteSource, run_cases
from experiments.certification.run import CAP, SELECTION, certify, sequential
from experiments.certification.worlds import World, worlds
from oracles import Budget, BudgetExhausted, Classes, Ledger, Purpose, VoteLog

RESULT = Path(__file__).with_name("result.json")
SHARE = 0.1
"""Of the queries that would decide all images."""

BATCHES = ((1, 1), (1, 8), (8, 1), (256, 1))
"""Images in one call, and calls under way at once."""


def main() -> None:
    """Measure, print, and write `result.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=120, help="test images of each world")
    images = parser.parse_args().images
    found = [
        {"world": world.name, "images": len(world.images), **answered}
        for world in worlds(digits=images, complete=images, pictures=images)
        for answered in questions(world)
    ]
    result = {
        "n0": SELECTION,
        "cap": CAP,
        "share": SHARE,
        "cheapest to uniform, least": min(each["cheapest to uniform"] for each in found),
        "cheapest across batches, largest spread": max(each["cheapest across batches"] for each in found),
        "questions": found,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def questions(world: World) -> Iterator[dict[str, Any]]:
    """Figures for each radius decided on its own."""
    for radius in world.radii:
        plan = replace(sequential(world), radii=(radius,))
        outcomes = certify(world, plan)
        queries = sum(outcome.verdict.evidence.queries for outcome in outcomes)
        yield {"radius": radius, "queries that decide all": queries, **compared(world, plan, int(SHARE * queries))}


def compared(world: World, plan: SequentialPlan, budget: int) -> dict[str, Any]:
    """Images that each allocation decides with a budget, by batch and calls at once."""
    source, began = world.source(), time.perf_counter()
    decided = {
        name: {f"{size} x {calls}": _decided(world, plan, source, name, budget, size, calls) for size, calls in BATCHES}
        for name in POLICIES
    }
    cheapest = list(decided["cheapest"].values())
    ratios = [found / max(1, other) for found, other in zip(cheapest, decided["uniform"].values(), strict=True)]
    return {
        "budget": budget,
        "images decided": decided,
        "cheapest to uniform": round(min(ratios), 2),
        "cheapest across batches": round(1 - min(cheapest) / max(cheapest), 3),
        "seconds": round(time.perf_counter() - began, 1),
    }


def _decided(
    world: World, plan: SequentialPlan, recorded: VoteSource, policy: str, budget: int, size: int, calls: int
) -> int:
    ledger, classes = Ledger(Budget(queries=budget)), world.oracle.spec.classes
    source = ReplayedVotes(
        oracles={},
        log=VoteLog(MemoryStore(), world.oracle.spec),
        copies=recorded.copies,
        kept=recorded,
        ledger=ledger,
    )
    finished = run_cases(
        enumerate(world.images),
        lambda image: CertifyingCase(image, plan, source, classes),
        source,
        batch_size=size,
        concurrency=calls,
        remaining=lambda: ledger.remaining,
        arrange=lambda images, left: PolicyDriven(
            images, left, POLICIES[policy], num_selection=SELECTION, max_estimation=CAP
        ),
    )
    return sum(1 for _ in _until_spent(finished))


def _until_spent(finished: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from finished
    except BudgetExhausted:
        return


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedVotes(VoteSource):
    """Votes that another source has on record or asks for, charged as if they were asked for here.

    Args:
        kept: the other source.
        ledger: charged.
    """

    kept: VoteSource
    ledger: Ledger

    def votes(self, batch: Sequence[Draws], purpose: Purpose) -> list[Tensor]:
        """Labels of each entry (count,), which are in the log from then on."""
        self.ledger.charge(sum(draws.count for draws in batch), purpose=purpose)
        parts = [self._labels(draws, purpose) for draws in batch]
        self.log.write([(draws.stream, draws.first, part) for draws, part in zip(batch, parts, strict=True)])
        return parts

    def _labels(self, draws: Draws, purpose: Purpose) -> Tensor:
        labels = torch.from_numpy(self.kept.log.read(draws.stream, draws.first, draws.count))
        return self.kept.votes([draws], purpose)[0].int() if (labels == -1).any() else labels


@dataclass(slots=True)
class MemoryStore:
    """A store that is gone with the process."""

    rows: dict[bytes, bytes] = field(default_factory=dict)

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of `keys`, None where there is none."""
        return [self.rows.get(key) for key in keys]

    def write(self, rows: Mapping[bytes, bytes]) -> None:
        """Keep rows."""
        self.rows.update(rows)

    def transaction(self) -> AbstractContextManager[None]:
        """Nothing: no other process looks."""
        return nullcontext()

    def load_classes(self, classes: Classes) -> None:
        """Nothing: there are none from before."""

    def save_classes(self, classes: Classes) -> None:
        """Nothing: nobody asks later."""

    def close(self) -> None:
        """Nothing to release."""


if __name__ == "__main__":
    main()
