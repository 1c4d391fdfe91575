"""Acceptance tests as they are run: the real engine, before an oracle whose rates have a closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import cast

import torch

from bbsmooth.certification.acceptance.case import AcceptingCase
from bbsmooth.certification.acceptance.claims import Acceptance, AcceptancePlan
from bbsmooth.certification.acceptance.order import tickets
from bbsmooth.certification.acceptance.scheduler import UntilAnswered
from bbsmooth.certification.engine.loop import run_scheduled
from bbsmooth.noise import Gaussian
from bbsmooth.randomness import image_digest
from oracles import Classes, HalfspaceOracle, ResponseStore
from tests.builders import WatchedOracle, vote_source


class InMemory(dict[bytes, bytes]):
    """Answers that no disk keeps, for many short runs."""

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def write(self, rows: Mapping[bytes, bytes]) -> None:
        self.update(rows)

    def transaction(self) -> AbstractContextManager[None]:
        return nullcontext()

    def load_classes(self, classes: Classes) -> None:
        pass

    def save_classes(self, classes: Classes) -> None:
        pass

    def close(self) -> None:
        pass


def run(
    folder: Path | None, images: torch.Tensor, oracle: HalfspaceOracle, found: AcceptancePlan, seed: int, **ways: int
) -> tuple[Acceptance, int]:
    """A run of the real engine, about images of one group: the claims, and the queries."""
    return run_groups(folder, images, [""] * len(images), oracle, found, seed, **ways)


def run_groups(
    folder: Path | None,
    images: torch.Tensor,
    groups: Sequence[str],
    oracle: HalfspaceOracle,
    found: AcceptancePlan,
    seed: int,
    **ways: int,
) -> tuple[Acceptance, int]:
    """The same about several."""
    watched = WatchedOracle(oracle)
    with closing(InMemory() if folder is None else ResponseStore(folder)) as store:
        source = vote_source(watched, cast(ResponseStore, store), noise=Gaussian(0.5), seed=seed)
        order = tickets(seed, [image_digest(image) for image in images], groups)
        total_variation = source.copies.total_variation(16)
        acceptance = found.begin(total_variation)
        budget = ways.get("budget")
        finished = run_scheduled(
            lambda left: UntilAnswered(
                order,
                lambda ticket, level: AcceptingCase(
                    images[ticket.index], 1, found.test, source, ticket.occurrence, found.region(level, total_variation)
                ),
                acceptance,
                left,
            ),
            source,
            batch_size=ways.get("batch_size", 64),
            concurrency=ways.get("concurrency", 1),
            remaining=lambda: None if budget is None else budget - watched.answered.total(),
        )
        positions = list(dict.fromkeys(position for position, _, _ in finished))
        assert len(found.sizes) > 1 or positions == list(range(len(positions)))
    return acceptance, watched.answered.total()
