"""A run of a pilot: what a certification would cost, from few queries, before any money is spent on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from bbsmooth import data
from bbsmooth.api.sessions.bill import Bill
from bbsmooth.api.sessions.fares import Fare
from bbsmooth.api.sessions.piloting import (
    AskedPilot,
    different_images,
    pilot_of,
    pilot_record,
    planning,
    row_of,
    way_of,
)
from bbsmooth.api.sessions.plan_acceptance import PlannedAcceptance
from bbsmooth.api.sessions.plan_batch import PlannedBatch, ask_pilot
from bbsmooth.assemble import Subject, account, grid_for, refuse_forgotten_jobs, refuse_without_batches, vote_source
from bbsmooth.certification.forecast import CONFIDENCE, forecast
from bbsmooth.certification.methods.pilot import Pilot
from bbsmooth.errors import UsageError
from bbsmooth.noise import Splitting
from bbsmooth.randomness import fork
from bbsmooth.runs.certificates import Record, write_summary
from bbsmooth.runs.usage import usage_summary
from bbsmooth.settings.batch import ALONE, BatchConfig
from bbsmooth.settings.certify import ORACLE, CertifyConfig
from bbsmooth.settings.common import GROWING, SPEED, USUAL_DRIFT, DriftConfig, OracleConfig, SmoothingConfig, settings
from bbsmooth.settings.plan import CLAIM, ClaimConfig, PilotConfig, compared
from oracles import Purpose

FIXED = frozenset({"limit"})
"""Of the settings of a certification, that which a resumed plan may not change: the pilot would be of other images."""


def plan(
    out: Path | None,
    subject: Subject,
    *,
    config: CertifyConfig,
    pilot: PilotConfig,
    claim: ClaimConfig | None = None,
    groups: Sequence[str] | None = None,
    resume: bool,
    announce: Callable[[str], None],
    drift: DriftConfig = USUAL_DRIFT,
    batch: BatchConfig = ALONE,
) -> Record:
    """Ask the pilot's queries, and return what they let expect.

    Args:
        out: run directory, whose answers a certification can reuse; None keeps nothing.
        subject: whom to ask, with the budget and the price of the pilot; under which noise, about which images.
        config: the certification that is planned.
        pilot: how much is asked, and what it is compared with.
        claim: the acceptance test that is forecast too, None for none.
        groups: of each image, None where `claim.groups` names classes or nothing.
        resume: go on with the pilot in `out`.
        announce: told what the pilot costs, before it is asked.
        drift: how a change of the model is noticed, which the certification pays for.
        batch: whether the pilot is asked through the vendor's batch interface; and how the certification would be,
            which is forecast wherever there is one.

    Raises:
        UsageError: settings that cannot work, or a budget below the pilot; nothing was spent.
        OracleError: see there; all answers so far are on disk.
    """
    subject = subject.drawing_as(out)
    oracle, smoothing, dataset = subject.asking, subject.smoothing, subject.images
    count = min(len(dataset), config.limit or len(dataset))
    canaries = drift.number(subject.oracle.spec.remote)
    _refuse_certain_cost(smoothing, oracle, count)
    refuse_without_batches(subject.oracle, oracle, batch, out)
    batch = batch.priced_as(oracle)
    paid = batch.paid(oracle)
    if claim is None and subject.class_order is not None and not resume:
        raise UsageError(
            "`class_order` counts only with `at_least`, since the pilot's votes are compared with no label without: "
            "give that too, or leave `class_order` out"
        )
    grid_for(subject.seen, smoothing)  # what does not fit is refused before a run is begun
    planned = (
        None
        if claim is None
        else PlannedAcceptance.of(subject, claim.accepting(config.radii, count), claim.accept_budget, groups)
    )
    config = config.with_radii(config.judged_plan(smoothing.distribution, count).largest_radius)
    ways = compared(config)
    for way in ways:
        way.judged_plan(smoothing.distribution, 1)
    data.check(dataset, count)
    unlike = different_images(dataset, count)
    chosen, draws = _chosen(unlike, pilot.pilot, smoothing.seed), min(pilot.pilot_draws, config.num_selection)
    _refuse_small_budget(paid, len(chosen), draws)
    asked = settings(oracle, smoothing, subject.data, config, pilot, *([] if claim is None else [claim]), drift, batch)
    changeable = (SPEED | GROWING | CLAIM | settings(config, pilot, drift, batch).keys()) - FIXED
    with (
        planning(out, asked, subject.context, changeable=changeable, resume=resume) as run,
        account(run, oracle, batch=batch) as kept,
    ):
        if not batch.batch:
            refuse_forgotten_jobs(run, kept)
        subject.front.keep(run.path)
        source = vote_source(subject.oracle, subject.front, smoothing, kept, (Purpose.SELECT,))
        asking = AskedPilot(run, kept, source, paid, draws)
        announce(asking.cost(len(chosen)))
        images = [(index, dataset.image(index)) for index in chosen]
        first = partial(ask_pilot, run=run, subject=subject, kept=kept, source=source, batch=batch)
        cases = asking.ask(images, first if batch.batch else lambda images, draws: None)
        found = pilot_of(cases, draws)
        bill = Bill(
            images=len(unlike) if config.labels == ORACLE else 0,
            equal=count / len(unlike),
            canaries=canaries,
            canary_every=drift.canary_every,
            seconds_per_query=None if batch.batch else asking.seconds_per_query,
            fare=Fare.of(oracle, kept.ledger),
        )
        total_variation = source.copies.total_variation(math.prod(dataset.image_shape))
        batched = PlannedBatch.of(subject, batch, total_variation, kept.ledger)
        coming = _Coming(ways, found, bill, pilot, count, len(unlike), total_variation, batched)
        summary: Record = {
            "images": count,
            "different": len(unlike),
            "confidence": CONFIDENCE,
            "pilot": pilot_record(chosen, found, asking, bill),
            "expected": coming.rows(smoothing),
            **usage_summary(kept.ledger.as_json()),
        }
        if planned is not None:
            expected = planned.expected(unlike, cases, source.log.spec.classes, draws, smoothing.seed)
            summary["acceptance"] = planned.record(expected, replace(bill, images=0).record(expected.queries))
        write_summary(run.path, summary)
        return summary


@dataclass(frozen=True, slots=True)
class _Coming:
    """Ways of certifying, and what a pilot lets expect of them.

    Attributes:
        ways: to be compared.
        found: the pilot's votes.
        bill: of what else is asked.
        pilot: how its caps are chosen.
        images: to be certified.
        different: of these, equal ones counted once: they share their draws.
        total_variation: distance between drawn and ideal noise of one image.
        batched: forecasts by batch, None for an oracle without a batch interface.
    """

    ways: Sequence[CertifyConfig]
    found: Pilot
    bill: Bill
    pilot: PilotConfig
    images: int
    different: int
    total_variation: float
    batched: PlannedBatch | None

    def rows(self, smoothing: SmoothingConfig) -> list[Record]:
        """The record of each way, under this noise."""
        ways = [way_of(way, smoothing, self.images, capped=way is self.ways[-1]) for way in self.ways]
        votes = [(each, self.found.draws) for each in self.found.votes]
        in_looks = {} if self.batched is None else self.batched.ways(ways, votes)
        coming = forecast(
            [*ways, *in_looks.values()],
            self.found,
            images=self.different,
            total_variation=self.total_variation,
            seed=smoothing.seed,
        )
        looked = dict(zip(in_looks, coming[len(ways) :], strict=True))
        rows = []
        for place, (way, each) in enumerate(zip(self.ways, coming, strict=False)):
            row = row_of(way, each, self.bill, self.pilot, self.images)
            if self.batched is not None:
                queries, most = looked.get(place, each).queries, self.batched.batch.looks if place in looked else 1
                row["by_batch"] = self.batched.record(queries, looks=most, bill=self.bill)
            rows.append(row)
        return rows


def _chosen(images: Sequence[int], pilot: int, seed: int) -> list[int]:
    """Images of the pilot, by chance: data often stand in the order of their classes."""
    order = torch.randperm(len(images), generator=fork(seed, "pilot"))
    return sorted(images[place] for place in order[:pilot].tolist())


def _refuse_certain_cost(smoothing: SmoothingConfig, oracle: OracleConfig, images: int) -> None:
    """Refuse noise that leaves nothing to chance: what it costs is known without a pilot."""
    if not isinstance(smoothing.mechanism, Splitting):
        return
    views = smoothing.mechanism.views
    most = Fare.of(oracle).at_most(views * images)
    price = "" if most is None else f", price {most:,.2f}"
    raise UsageError(
        f"`noise` splitting needs no pilot: each image takes its {views:,} views, no more and no fewer, so that "
        f"{images:,} images, no two of them equal, cost {views * images:,} queries{price}; go on to certify"
    )


def _refuse_small_budget(oracle: OracleConfig, images: int, draws: int) -> None:
    limit = oracle.limits.reach
    if limit is not None and limit < images * draws:
        raise UsageError(
            f"a budget of {limit} queries cannot pay for the pilot: {images} images times `pilot_draws` {draws} = "
            f"{images * draws}; raise it, or lower `pilot` or `pilot_draws`"
        )
