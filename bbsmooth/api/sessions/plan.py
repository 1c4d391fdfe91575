"""A run of a pilot: what a certification would cost, from few queries, before any money is spent on it."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from bbsmooth import data
from bbsmooth.assemble import Account, Subject, account, grid_for, vote_source
from bbsmooth.certification import VoteSource, run_cases
from bbsmooth.certification.forecast import CONFIDENCE, Forecast, forecast
from bbsmooth.certification.methods.pilot import Pilot, PilotCase
from bbsmooth.errors import UsageError
from bbsmooth.progress.meter import meter
from bbsmooth.randomness import fork
from bbsmooth.runs.certificates import Record, write_summary
from bbsmooth.runs.directory import RunDirectory, ended
from bbsmooth.runs.endings import ENDINGS
from bbsmooth.settings.certify import CertifyConfig
from bbsmooth.settings.common import GROWING, SPEED, OracleConfig, settings
from bbsmooth.settings.plan import PlanConfig
from oracles import Purpose

CHANGEABLE = SPEED | GROWING | {"num_estimation", "alpha", "beta"}
"""Settings that a resumed plan may change: the pilot asks the same."""

_NOTE = "pilot"


def plan(
    out: Path | None,
    subject: Subject,
    *,
    config: PlanConfig,
    resume: bool,
    announce: Callable[[str], None],
) -> Record:
    """Ask the pilot's queries, and return what they let expect.

    Args:
        out: run directory, whose answers a certification can reuse; None keeps nothing.
        subject: whom to ask, with the budget and the price of the pilot; under which noise, about which images.
        config: what is to be certified.
        resume: go on with the pilot in `out`.
        announce: told what the pilot costs, before it is asked.

    Raises:
        UsageError: settings that cannot work, or a budget below the pilot; nothing was spent.
        OracleError: see there; all answers so far are on disk.
    """
    oracle, smoothing, dataset = subject.asking, subject.smoothing, subject.images
    grid_for(subject.seen, smoothing)  # what does not fit is refused before a run is begun
    for way in config.ways():
        way.judged_plan(smoothing.distribution, 1)
    count = min(len(dataset), config.num_images or len(dataset))
    data.check(dataset, count)
    chosen = _chosen(count, config.pilot, smoothing.seed)
    _refuse_small_budget(oracle, len(chosen), config.num_selection)
    with ExitStack() as stack:
        run = RunDirectory.open(
            out or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bbsmooth-"))),
            command="plan",
            settings=settings(oracle, smoothing, subject.data, config),
            context=subject.context,
            resume=resume,
            changeable=CHANGEABLE,
        )
        stack.enter_context(ended(run, ENDINGS))
        kept = stack.enter_context(account(run, oracle))
        subject.front.keep(run.path)
        source = vote_source(subject.oracle, subject.front, smoothing, kept, (Purpose.SELECT,))
        pilot = _Pilot(run, kept, source, oracle, config.num_selection)
        announce(pilot.cost(len(chosen)))
        found = pilot.ask([(index, dataset.image(index)) for index in chosen])
        expected = []
        for way in config.ways():
            coming = forecast(
                way.judged_plan(smoothing.distribution, count),
                found,
                images=count,
                radii=way.radii,
                total_variation=source.copies.total_variation(math.prod(dataset.image_shape)),
                seed=smoothing.seed,
            )
            expected.append(_row(way, coming, pilot.seconds_per_query, oracle.price))
        summary = {
            "images": count,
            "confidence": CONFIDENCE,
            "pilot": {"images": chosen, "votes": list(found.votes), "num_selection": config.num_selection}
            | {"queries": kept.ledger.total, "price": kept.ledger.price, "seconds": pilot.seconds},
            "expected": expected,
        }
        write_summary(run.path, summary)
        return summary


@dataclass(slots=True)
class _Pilot:
    """The queries of a pilot, and how long they took in all processes that asked some."""

    run: RunDirectory
    kept: Account
    source: VoteSource
    oracle: OracleConfig
    num_selection: int

    @property
    def seconds(self) -> float:
        """Wall time of the queries so far."""
        return float((self.run.manifest.get("pilot") or {}).get("seconds", 0.0))

    @property
    def seconds_per_query(self) -> float:
        """Wall time divided by queries."""
        return self.seconds / max(1, self.kept.ledger.total)

    def cost(self, images: int) -> str:
        """What the pilot costs, for people."""
        queries = images * self.num_selection
        price = "" if self.oracle.price is None else f", which cost {queries * self.oracle.price / 1000:g}"
        return f"the pilot asks {queries:,} queries{price}: {images} images, {self.num_selection} draws each"

    def ask(self, images: list[tuple[int, Tensor]]) -> Pilot:
        """Votes of the images; what is on record is not asked again."""
        classes, began, before = self.source.log.spec.classes, time.monotonic(), self.seconds
        try:
            with meter("pilot", len(images) * self.num_selection, "queries") as bar:
                finished = run_cases(
                    images,
                    lambda image: PilotCase(image, self.num_selection, self.source, classes),
                    self.source,
                    batch_size=self.oracle.batch_size,
                    concurrency=self.oracle.concurrency,
                    remaining=lambda: self.kept.ledger.remaining,
                    progress=lambda purpose, queries: bar.advance(queries),
                )
                votes = tuple(case.chosen() for _, case, _ in finished)
        finally:
            self.run.note(_NOTE, {"seconds": round(before + time.monotonic() - began, 3)})
        return Pilot(votes=votes, num_selection=self.num_selection)


def _chosen(count: int, pilot: int, seed: int) -> list[int]:
    """Images of the pilot, by chance: data often stand in the order of their classes."""
    return sorted(torch.randperm(count, generator=fork(seed, "pilot"))[:pilot].tolist())


def _row(way: CertifyConfig, coming: Forecast, seconds_per_query: float, price: float | None) -> Record:
    """What one way of certifying lets expect."""
    return {
        "method": way.method,
        "radii": list(way.radii),
        "queries": asdict(coming.queries),
        "seconds": asdict(coming.queries.times(seconds_per_query)),
        "price": None if price is None else asdict(coming.queries.times(price / 1000)),
        "certified": [
            {"radius": radius, **asdict(share)} for radius, share in zip(way.radii, coming.certified, strict=True)
        ],
    }


def _refuse_small_budget(oracle: OracleConfig, images: int, draws: int) -> None:
    limit = oracle.limits.limit
    if limit is not None and limit < images * draws:
        raise UsageError(
            f"a budget of {limit} queries cannot pay for the pilot: {images} images times `num_selection` {draws} = "
            f"{images * draws}; raise it, or lower `pilot` or `num_selection`"
        )
