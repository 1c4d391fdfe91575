"""Forecasts of certifications through a vendor's batch interface, and pilots that are asked through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, replace

import numpy as np
from torch import Tensor

from bbsmooth.api.sessions.bill import Bill
from bbsmooth.api.sessions.fares import Fare
from bbsmooth.assemble import Account, Subject, batch_asker
from bbsmooth.certification import VoteSource
from bbsmooth.certification.engine.looks import InLooks, Looks
from bbsmooth.certification.engine.rounds import missing
from bbsmooth.certification.forecast import Interval, Way
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.directory import RunDirectory
from bbsmooth.settings.batch import BatchConfig
from oracles import Purpose
from oracles.capabilities import batching_of
from oracles.ledger import Ledger
from oracles.remote.batches.endpoint import WINDOW_HOURS
from oracles.watch import NoWatch

_TRIALS = 20  # of a look: forecasts are made of hundreds of images


def ask_pilot(
    images: Sequence[tuple[int, Tensor]],
    draws: int,
    *,
    run: RunDirectory,
    subject: Subject,
    kept: Account,
    source: VoteSource,
    batch: BatchConfig,
) -> None:
    """Ask the selection draws of a pilot by batch; they are on record when this returns.

    Args:
        images: of the pilot, with their indices.
        draws: of each.
        run: of the plan.
        subject: whom to ask.
        kept: the account of the run.
        source: names and draws the noisy copies.
        batch: how to ask.

    Raises:
        OracleError: see there.
    """
    loaded = dict(images)
    asker = batch_asker(
        run, subject.oracle, subject.front, kept, source, NoWatch(kept.store), batch, loaded.__getitem__
    )
    asker.drain()
    while wanted := [part for index, image in images for part in missing(source, index, image, Purpose.SELECT, draws)]:
        asker.ask(wanted, look=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBatch:
    """Ways of certifying in few looks.

    Args:
        batch: the settings.
        alone: what queries cost that are asked alone.
        by_batch: what others cost.
        total_variation: distance between drawn and ideal noise of one image.
        seed: of the simulated votes.
    """

    batch: BatchConfig
    alone: Fare
    by_batch: Fare
    total_variation: float
    seed: int

    @classmethod
    def of(cls, subject: Subject, batch: BatchConfig, total_variation: float, ledger: Ledger) -> PlannedBatch | None:
        """The forecast for an oracle that has a batch interface, None for others."""
        if batching_of(subject.oracle) is None:
            return None
        paid = replace(batch, batch=True).paid(subject.asking)
        return cls(
            batch=batch,
            alone=Fare.of(subject.asking, ledger),
            by_batch=Fare.of(paid, ledger),
            total_variation=total_variation,
            seed=subject.smoothing.seed,
        )

    def ways(self, ways: Sequence[Way], votes: Sequence[tuple[int, int]]) -> dict[int, Way]:
        """By place, the ways whose draws depend on when the votes are looked at, in looks.

        Args:
            ways: as they are asked alone.
            votes: of the pilot's images: those for the leading class, and all.
        """
        found = {}
        for place, way in enumerate(ways):
            generator = np.random.default_rng(self.seed)
            looks = Looks(way.plan, self.batch.looks, self.total_variation, generator, _TRIALS)
            if not looks.fixed:
                found[place] = Way(plan=InLooks(looks, tuple(votes)), radii=way.radii)
        return found

    def record(self, votes: Interval, *, looks: int, bill: Bill) -> Record:
        """Queries, price and the longest time of a way.

        Args:
            votes: of its images.
            looks: it takes at most.
            bill: of what else is asked.
        """
        asked = [number + bill.images for number in astuple(votes)]
        alone = [bill.asked_alone(number) for number in asked]
        cheap, dear = map(self.by_batch.expected, asked), map(self.alone.expected, alone)
        known = [n + m for n, m in zip(cheap, dear, strict=True) if n is not None and m is not None]
        return {
            "queries": asdict(bill.total(votes)),
            "price": asdict(Interval(*known)) if known else None,
            "discount": self.batch.discount,
            "looks": looks,
            "hours_at_most": looks * WINDOW_HOURS,
        }
