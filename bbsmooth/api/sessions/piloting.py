"""Pilots of the sessions that forecast: their queries, and the records of what these let expect."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from bbsmooth import data
from bbsmooth.api.sessions.bill import Bill
from bbsmooth.api.sessions.fares import Fare
from bbsmooth.assemble import Account
from bbsmooth.certification import VoteSource, run_cases
from bbsmooth.certification.forecast import Cap, Expectation, Interval, Way
from bbsmooth.certification.methods.pilot import Pilot, PilotCase
from bbsmooth.errors import UsageError
from bbsmooth.progress.meter import meter
from bbsmooth.randomness import image_digest
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.directory import RunDirectory, ended
from bbsmooth.runs.endings import ENDINGS
from bbsmooth.settings.certify import CertifyConfig
from bbsmooth.settings.common import OracleConfig, SmoothingConfig
from bbsmooth.settings.plan import PilotConfig, smaller_caps

NOTE = "pilot"
"""Entry of the manifest."""


@dataclass(slots=True)
class AskedPilot:
    """The queries of a pilot, and how long they took in all processes that asked some."""

    run: RunDirectory
    kept: Account
    source: VoteSource
    oracle: OracleConfig
    draws: int

    @property
    def seconds(self) -> float:
        """Wall time of the queries so far."""
        return float((self.run.manifest.get("pilot") or {}).get("seconds", 0.0))

    @property
    def seconds_per_query(self) -> float:
        """Wall time divided by queries."""
        return self.seconds / max(1, self.kept.ledger.total)

    def cost(self, images: int) -> str:
        """The cost of the pilot, in words."""
        queries = images * self.draws
        price = Fare.of(self.oracle).said(queries)
        return f"the pilot asks {queries:,} queries{price}: {images} images, {self.draws} draws each"

    def ask(
        self, images: list[tuple[int, Tensor]], first: Callable[[list[tuple[int, Tensor]], int], None]
    ) -> dict[int, PilotCase]:
        """The finished case of each image; what is on record, after `first` too, is not asked again."""
        classes, began, before = self.source.log.spec.classes, time.monotonic(), self.seconds
        try:
            first(images, self.draws)
            with meter("pilot", len(images) * self.draws, "queries") as bar:
                finished = run_cases(
                    images,
                    lambda image: PilotCase(image, self.draws, self.source, classes),
                    self.source,
                    batch_size=self.oracle.batch_size,
                    concurrency=self.oracle.concurrency,
                    remaining=lambda: self.kept.ledger.remaining,
                    progress=lambda purpose, queries: bar.advance(queries),
                )
                return {index: case for index, case, _ in finished}
        finally:
            self.run.note(NOTE, {"seconds": round(before + time.monotonic() - began, 3)})


@contextmanager
def planning(
    out: Path | None,
    settings: Mapping[str, Any],
    context: Mapping[str, Any],
    *,
    changeable: frozenset[str],
    resume: bool,
) -> Iterator[RunDirectory]:
    """The run of a pilot, marked by how the block ends; with None for `out` one that nobody finds again."""
    with ExitStack() as stack:
        folder = out or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bbsmooth-")))
        run = RunDirectory.open(
            folder, command="plan", settings=settings, context=context, resume=resume, changeable=changeable
        )
        stack.enter_context(ended(run, ENDINGS))
        yield run


def pilot_record(images: Sequence[int], seen: Pilot, asking: AskedPilot, bill: Bill) -> Record:
    """What a plan says of its pilot: of which images, what was answered, and what it cost."""
    ledger, tokens = asking.kept.ledger, bill.fare.per_query()
    return {
        "images": list(images),
        "votes": list(seen.votes),
        "draws": seen.draws,
        "unanswered": seen.unanswered,
        "queries": ledger.total,
        "price": ledger.price,
        "seconds": asking.seconds,
        **({"per_query": tokens} if tokens else {}),
    }


def pilot_of(cases: Mapping[int, PilotCase], draws: int) -> Pilot:
    """Votes of the pilot's images for their leading classes."""
    counts = [case.counts() for case in cases.values()]
    answered = [each for each in counts if each is not None]
    return Pilot(
        votes=tuple(votes for votes, *_ in answered),
        draws=draws,
        others=tuple(tuple(others) for _, *others in answered),
        unanswered=len(counts) - len(answered),
    )


def different_images(dataset: data.ImageSet, count: int) -> list[int]:
    """The first of each kind of equal images: these share their draws, which are paid for once."""
    first: dict[bytes, int] = {}
    for index in range(count):
        first.setdefault(image_digest(dataset.image(index)), index)
    return list(first.values())


def way_of(config: CertifyConfig, smoothing: SmoothingConfig, images: int, *, capped: bool) -> Way:
    """A certification to be forecast, with smaller caps if asked for and where these can prove something."""
    smaller = []
    for fewer in smaller_caps(config) if capped else ():
        with suppress(UsageError):
            smaller.append(fewer.judged_plan(smoothing.distribution, images))
    plan = config.judged_plan(smoothing.distribution, images)
    return Way(plan=plan, radii=config.radii, smaller=tuple(smaller))


def row_of(way: CertifyConfig, coming: Expectation, bill: Bill, pilot: PilotConfig, images: int) -> Record:
    """The record of one way of certifying; with the smallest cap that loses little, where that is asked for."""
    least = (pilot.choose_cap or 0) * images
    good = [cap for cap in coming.caps if cap.lost.expected * bill.equal <= least]
    chosen = min(good, key=lambda cap: cap.draws) if good and pilot.choose_cap is not None else None
    return {
        "method": way.method,
        "radii": list(way.radii),
        "num_estimation": way.num_estimation if chosen is None else chosen.draws,
        **bill.record((chosen or coming).queries),
        "certified": _certified(way, (chosen or coming).certified),
        "issued": _issued(way, (chosen or coming).certified, images),
        "caps": [_cap(way, cap, bill) for cap in coming.caps],
    }


def _cap(way: CertifyConfig, cap: Cap, bill: Bill) -> Record:
    return {
        "num_estimation": cap.draws,
        **bill.record(cap.queries),
        "certified": _certified(way, cap.certified),
        "saved": asdict(cap.saved),
        "saved_price": bill.priced(cap.saved),
        "lost": asdict(cap.lost.times(bill.equal)),
        "uncertified": _certified(way, cap.uncertified),
    }


def _certified(way: CertifyConfig, found: Sequence[Interval]) -> list[Record]:
    return [{"radius": radius, **asdict(share)} for radius, share in zip(way.radii, found, strict=True)]


def _issued(way: CertifyConfig, certified: Sequence[Interval], images: int) -> Record | None:
    """How many images have to be certified before any certificate is issued, and how many are expected to be.

    None without a bound on the share of wrong ones. What is certified at the smallest radius counts; at radii below
    it a few more may be.
    """
    if way.discovery is None:
        return None
    return {"needed": way.discovery.needed(images), "certified": asdict(certified[0].times(images))}
