"""A run of an acceptance test: one claim or several, answered by images in the order of the seed."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bbsmooth import data
from bbsmooth.api.sessions.committing import begun, opened, summarized
from bbsmooth.assemble import (
    Account,
    Subject,
    account,
    answering,
    copies_for,
    describe_classifier,
    grid_for,
    refuse_small_budget,
    vote_source,
)
from bbsmooth.assemble.drift import LEAST, CanaryImages, Watching, watched
from bbsmooth.assemble.labels import match_labels
from bbsmooth.certification import VoteSource
from bbsmooth.certification.acceptance.case import AcceptingCase
from bbsmooth.certification.acceptance.claims import AcceptancePlan
from bbsmooth.certification.acceptance.order import tickets
from bbsmooth.certification.acceptance.scheduler import Ticket, UntilAnswered
from bbsmooth.certification.engine.loop import run_scheduled
from bbsmooth.errors import UsageError
from bbsmooth.progress.meter import Meter, meter
from bbsmooth.randomness import image_digest
from bbsmooth.reporting.lineage import seen_before
from bbsmooth.runs.acceptance import AcceptanceFile, acceptance_record, replayed, summarize_acceptance
from bbsmooth.runs.certificates import Record, read_summary, write_summary
from bbsmooth.runs.commitment import FixedImage
from bbsmooth.runs.decoding import Damaged
from bbsmooth.runs.layout import SUMMARY
from bbsmooth.runs.reading import read_acceptance, read_run
from bbsmooth.runs.records.values import Label
from bbsmooth.runs.usage import usage_summary
from bbsmooth.settings.accept import BY_CLASS, CHANGEABLE, AcceptConfig
from bbsmooth.settings.common import USUAL_DRIFT, DriftConfig, OracleConfig, settings
from bbsmooth.settings.stamp import NO_STAMP, StampConfig
from bbsmooth.verification.acceptance import AcceptanceReplay
from bbsmooth.verification.resuming import refuse_unpaid
from oracles import Classes, Ledger, Purpose, VoteLog

_SEEN = (
    "the classifier or its coordinator was made on these very images: the answer is about them, and says nothing about "
    "new images; ask about others, such as the other part of a set without splits"
)
_SHOWN = 5  # groups in a message

_log = logging.getLogger("bbsmooth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The images of a claim.

    Attributes:
        dataset: that holds them.
        labels: the oracle's class for each number of a label, as files call it.
        digests: of each image.
        groups: of each image.
    """

    dataset: data.ImageSet
    labels: Sequence[Label]
    digests: Sequence[bytes]
    groups: Sequence[str]

    @classmethod
    def of(cls, subject: Subject, config: AcceptConfig, groups: Sequence[str] | None) -> Sample:
        """Read all images once, so that none is found to be bad after others cost money.

        Raises:
            UsageError: images without labels, labels that the oracle does not know, or groups of other images.
            DataError: an image cannot be read.
        """
        dataset = subject.images
        count = min(len(dataset), config.limit or len(dataset))
        if dataset.classes is None:
            raise UsageError("the images have no labels, so that nothing says which class is right; give labelled ones")
        labels = match_labels(dataset.classes, subject.oracle.spec.classes, subject.class_order)
        if groups is None:
            numbers = [dataset.label(index) or 0 for index in range(count)]
            by_class = config.groups == BY_CLASS
            groups = [dataset.classes[number] if by_class else "" for number in numbers]
        if len(groups) < count:
            raise UsageError(f"`groups` must name a group for each of {count} images, got {len(groups)}")
        digests = [image_digest(dataset.image(index)) for index in range(count)]
        return cls(dataset=dataset, labels=labels, digests=digests, groups=list(groups[:count]))

    @property
    def sizes(self) -> dict[str, int]:
        """Images of each group, by its name."""
        return dict(sorted(Counter(self.groups).items()))

    def order(self, seed: int) -> list[Ticket]:
        """All images, in the order of a seed."""
        return tickets(seed, self.digests, self.groups)

    def label(self, index: int) -> Label:
        """The label of an image, as files call it."""
        return self.labels[self.dataset.label(index) or 0]

    def number(self, index: int, classes: Classes) -> int:
        """The number of its label among an oracle's classes."""
        label = self.label(index)
        return label if isinstance(label, int) else classes.number(label)


def accept(
    out: Path,
    subject: Subject,
    *,
    config: AcceptConfig,
    groups: Sequence[str] | None = None,
    resume: bool,
    stamp: StampConfig = NO_STAMP,
    drift: DriftConfig = USUAL_DRIFT,
) -> Record:
    """Answer the claims, and return what `summary.json` says.

    Args:
        out: run directory.
        subject: whom to ask, under which noise, about which images.
        config: the claims.
        groups: of each image, None where `config.groups` names classes or nothing.
        resume: go on with the run in `out`.
        stamp: who stamps what the run fixes before its first query, and whether the seed follows.
        drift: how a change of the model is noticed.

    Raises:
        UsageError: settings that cannot work; nothing was spent.
        BudgetExhausted: the budget ended before there was an answer; a later call goes on.
        OracleError: see there; all answers so far are on disk.
    """
    subject = subject.drawing_as(out)
    oracle, front = subject.asking, subject.front
    noise = subject.smoothing.distribution
    config = config.settled(noise)
    copies = copies_for(subject.seen, subject.smoothing)
    sample = Sample.of(subject, config, groups)
    plan = config.plan(noise, sample.sizes)
    total_variation = copies.total_variation(math.prod(subject.images.image_shape))
    refuse_hopeless(plan, total_variation)
    canaries = drift.number(subject.oracle.spec.remote)
    refuse_small_budget(oracle, 1 + LEAST * canaries, f"1 draw + {LEAST} times {canaries} for canaries")
    context = subject.context | describe_classifier(subject.seen.spec) | {"groups": sample.sizes}
    run, fixed = opened(
        out,
        "accept",
        settings(oracle, subject.smoothing, subject.data, config, drift),
        context,
        changeable=CHANGEABLE,
        images=list(map(FixedImage, sample.digests, sample.groups)),
        spec=subject.oracle.spec,
        stamp=stamp,
        resume=resume,
    )
    smoothing = fixed.smoothing(subject.smoothing)
    with (
        begun(run, fixed),
        answering(subject.oracle, oracle, front) as (answerer, oracle),
        account(run, oracle) as kept,
    ):
        front.keep(out)
        seen = seen_before(read_run(out))
        if seen:
            _log.warning(_SEEN)
        if run.resumed:
            refuse_unpaid(out, kept.ledger)
            on_record = VoteSource(
                oracles={}, log=VoteLog(kept.store, subject.seen.spec), copies=copies_for(subject.seen, smoothing)
            )
            replay = AcceptanceReplay(plan, total_variation, sample.dataset, sample.labels, on_record)
            _refuse_damage(out, replay, sample.order(smoothing.seed))
        session = _Session(sample, plan, total_variation, smoothing.seed, out, AcceptanceFile(out), seen, kept.ledger)
        with summarized(session):
            images = CanaryImages(
                image=sample.dataset.image,
                among=len(sample.digests),
                smoothing=smoothing,
                grid=grid_for(subject.oracle, smoothing),
            )
            with (
                watched(run, answerer, kept, drift, images) as watching,
                meter("accept", None, "queries", spending=kept.ledger) as bar,
            ):
                votes = vote_source(answerer, front, smoothing, kept, (Purpose.ESTIMATE,), watch=watching.watch)
                session.run(votes, oracle, kept, watching, bar)
        return session.summary


def refuse_hopeless(plan: AcceptancePlan, total_variation: float) -> None:
    """Refuse what could not be shown whatever the oracle says.

    Raises:
        UsageError: a group with too few images.
    """
    hopeless = plan.out_of_reach(total_variation)
    if not hopeless:
        return
    names = ", ".join(repr(name) for name in hopeless[:_SHOWN]) + (", ..." if len(hopeless) > _SHOWN else "")
    of = "" if list(plan.sizes) == [""] else f" of {names}"
    most = max(plan.cap(group) for group in hopeless)
    raise UsageError(
        f"{most:,} images{of} could not show a share of {plan.at_least:g} at `alpha_total` {plan.alpha_total:g}, even "
        "if each of them were certified; give more images, or a larger `max_images`"
    )


def _refuse_damage(out: Path, replay: AcceptanceReplay, order: Sequence[Ticket]) -> None:
    """Refuse lines of an earlier process, perhaps a killed one, that its answers on record do not give.

    Raises:
        Damaged: the first that does not fit.
    """
    for problem in replay.wrong(order, read_acceptance(out)):
        raise Damaged(f"{out / problem}; restore it from a copy, or remove this line and all after it")


@dataclass(slots=True)
class _Session:
    """One process's part of a run."""

    sample: Sample
    plan: AcceptancePlan
    total_variation: float
    seed: int
    folder: Path
    file: AcceptanceFile
    seen_before: bool
    ledger: Ledger
    started: float = field(default_factory=time.monotonic)
    summary: Record = field(default_factory=dict)

    def run(self, source: VoteSource, oracle: OracleConfig, kept: Account, watching: Watching, bar: Meter) -> None:
        """Look at images until the claims are answered."""
        classes, held = source.log.spec.classes, watching.hold(self.file.append)
        acceptance = replayed(self.plan, self.total_variation, self.file.records)
        order = self.sample.order(self.seed)

        def begin(ticket: Ticket, level: int) -> AcceptingCase:
            number = self.sample.number(ticket.index, classes)
            image = self.sample.dataset.image(ticket.index)
            region = self.plan.region(level, self.total_variation)
            return AcceptingCase(image, number, self.plan.test, source, ticket.occurrence, region)

        finished = run_scheduled(
            lambda budget: UntilAnswered(order, begin, acceptance, budget),
            source,
            batch_size=oracle.batch_size,
            concurrency=oracle.concurrency,
            remaining=lambda: watching.watch.spare(kept.ledger.remaining),
            progress=lambda purpose, queries: bar.advance(queries),
        )
        for position, case, seconds in finished:
            ticket = order[position]
            held.add(acceptance_record(ticket, self.sample.label(ticket.index), case, classes, seconds))
            counted = sum(counts.certified[-1] for counts in acceptance.groups.values())
            looked = sum(counts.images for counts in acceptance.groups.values())
            bar.advance(0, f"{counted} of {looked} certified right", {"images": looked, "certified_right": counted})

    def summarize(self) -> None:
        """Write down the answers so far."""
        before = read_summary(self.folder).get("seconds", 0.0) if (self.folder / SUMMARY).exists() else 0.0
        self.summary = summarize_acceptance(
            replayed(self.plan, self.total_variation, self.file.records),
            self.file.records,
            seconds=before + time.monotonic() - self.started,
            seen_before=self.seen_before,
        ) | usage_summary(self.ledger.as_json())
        write_summary(self.folder, self.summary)
