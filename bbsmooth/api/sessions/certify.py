"""A run that certifies: one certificate or abstention for each image."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from bbsmooth import data
from bbsmooth.api.sessions.certify_question import Question, least, refuse_other_methods, reported
from bbsmooth.api.sessions.committing import begun, committed
from bbsmooth.assemble import (
    Account,
    Front,
    Subject,
    account,
    answering,
    batch_asker,
    grid_for,
    refuse_forgotten_jobs,
    refuse_small_budget,
    refuse_unfinished_jobs,
    refuse_without_batches,
    vote_source,
)
from bbsmooth.assemble.drift import CanaryImages, Watching, watched
from bbsmooth.assemble.incremental import earlier_votes, worth
from bbsmooth.assemble.labels import never_matched
from bbsmooth.certification import LabelledCase, VoteSource, run_cases
from bbsmooth.certification.cases.case import ProvingCase
from bbsmooth.certification.engine.looks import Looks
from bbsmooth.certification.engine.rounds import Rounds
from bbsmooth.certification.engine.scheduler import recorded_first
from bbsmooth.certification.methods.cases import AnyPlan, opener
from bbsmooth.certification.methods.incremental import IncrementalPlan
from bbsmooth.certification.methods.splitting import SplittingPlan
from bbsmooth.errors import UsageError
from bbsmooth.progress.expected import ExpectedQueries
from bbsmooth.progress.meter import Facts, Meter, Spending, meter
from bbsmooth.reporting.lineage import seen_before
from bbsmooth.runs.certificates import (
    CertificateFile,
    Record,
    certificate_record,
    public_label,
    radii_by_norm,
    read_summary,
    write_summary,
)
from bbsmooth.runs.directory import RunDirectory
from bbsmooth.runs.layout import MANIFEST, SUMMARY
from bbsmooth.runs.reading import read_run
from bbsmooth.runs.records.values import Label
from bbsmooth.runs.reuse import reused
from bbsmooth.runs.summary import summarize
from bbsmooth.runs.usage import usage_summary
from bbsmooth.settings.batch import ALONE, BATCHING, BatchConfig
from bbsmooth.settings.certify import DATA, EARLY, ORACLE, CertifyConfig
from bbsmooth.settings.common import USUAL_DRIFT, DriftConfig, OracleConfig, settings
from bbsmooth.settings.stamp import NO_STAMP, StampConfig
from bbsmooth.verification.resuming import refuse_damage
from oracles import Classes, Ledger, Oracle, Purpose

PURPOSES = (Purpose.SELECT, Purpose.ESTIMATE)

_ENOUGH_TO_TELL = 3
"""Certificates after which a user learns that names never match, before the rest is paid for."""

_SEEN = (
    "the classifier or its coordinator was made on these very images: the certificates hold, but accuracy and its "
    "interval say nothing about new images; certify others, such as the other part of a set without splits"
)

_log = logging.getLogger("bbsmooth")


def certify(
    out: Path,
    subject: Subject,
    *,
    config: CertifyConfig,
    resume: bool,
    reuse: Path | None = None,
    incremental_from: Path | None = None,
    stamp: StampConfig = NO_STAMP,
    drift: DriftConfig = USUAL_DRIFT,
    batch: BatchConfig = ALONE,
) -> Record:
    """Certify, and return what `summary.json` says.

    Args:
        out: run directory.
        subject: whom to ask, under which noise, about which images.
        config: what to prove.
        resume: go on with the run in `out`.
        reuse: run whose answers need not be asked for again, None for none.
        incremental_from: run of the classifier before it was changed a little, None for none.
        stamp: who stamps what the run fixes before its first query, and whether the seed follows.
        drift: how a change of the model is noticed.
        batch: whether the vendor's batch interface is asked, and how.

    Raises:
        UsageError: settings that cannot work; nothing was spent.
        BudgetExhausted: the budget ended before the images did; all verdicts so far are on disk.
        OracleError: see there; all answers so far are on disk.
    """
    if incremental_from is not None and reuse is not None:
        raise UsageError("`incremental_from` asks about draws anew, `reuse` does not: give one of them")
    if stamp.seed and (incremental_from or reuse) is not None:
        taking = "reuse" if incremental_from is None else "incremental_from"
        raise UsageError(f"`{taking}` takes the seed of the earlier run, a stamped `seed` is new: give one of them")
    subject = subject.drawing_as(out, reuse, incremental_from)
    asked = Question.settled(
        subject,
        config,
        incremental_from,
        reported=reported(out) if resume else (),
        begun=(out / MANIFEST).exists(),
    )
    oracle, front, dataset = subject.asking, subject.front, subject.images
    refuse_without_batches(subject.oracle, oracle, batch, out)
    if batch.batch:
        refuse_other_methods(asked.plan)
    batch = batch.priced_as(oracle)
    refuse_small_budget(
        batch.paid(oracle), *least(asked.config, oracle, asked.plan, drift.number(subject.oracle.spec.remote))
    )
    stated = settings(oracle, subject.smoothing, subject.data, asked.config, drift, batch)
    earlier = None if reuse is None else reused(reuse, settings=stated, context=asked.context)
    if reuse is not None:
        refuse_unfinished_jobs(reuse)
    context = asked.context if earlier is None else asked.context | {"reused": earlier.described}
    fixed = committed(
        out,
        "certify",
        stated,
        context,
        changeable=asked.config.changeable | BATCHING,
        images=asked.images,
        spec=subject.oracle.spec,
        stamp=stamp,
        resume=resume,
    )
    subject = replace(subject, smoothing=fixed.smoothing(subject.smoothing))
    run = RunDirectory.open(
        out,
        command="certify",
        settings=stated | {"seed": fixed.seed},
        context=context,
        resume=resume,
        changeable=asked.config.changeable | BATCHING,
    )
    with (
        begun(run, fixed),
        answering(subject.oracle, oracle, front) as (answerer, oracle),
        account(run, oracle, reuse=earlier, batch=batch) as kept,
        earlier_votes(asked.changed, out, asked.seen.spec) as before,
    ):
        front.keep(out)
        if seen_images := seen_before(read_run(out)):
            _log.warning(_SEEN)
        if run.resumed:
            refuse_damage(out, asked.replay(subject, kept, before), kept.ledger, own=not run.manifest.get("reused"))
        if not batch.batch:
            refuse_forgotten_jobs(run, kept)
        session = _Session(
            dataset,
            len(asked.images),
            asked.labels,
            CertificateFile(out),
            asked.config,
            asked.plan,
            out,
            time.monotonic(),
            seen_images,
            kept.ledger,
        )
        try:
            additive = subject.smoothing.additive
            grid = grid_for(subject.oracle, additive)
            canaries = CanaryImages(image=dataset.image, among=len(asked.images), smoothing=additive, grid=grid)
            with watched(run, answerer, kept, drift, canaries) as watching:
                votes = vote_source(
                    answerer, front, subject.smoothing, kept, PURPOSES, watch=watching.watch, clean=asked.clean
                )
                with meter("certify", None, "queries", spending=kept.ledger) as bar:
                    begin = opener(asked.plan, votes, earlier=before)
                    work = _Work(begin, votes, oracle, kept, watching, bar)
                    if batch.batch:
                        session.run_by_batch(work, run, answerer, front, batch)
                    else:
                        session.run(work, recorded=earlier is not None or run.resumed)
        except BaseException:
            with suppress(OSError):  # on a full disk; what ended the run says more
                session.summarize()
            raise
        finally:
            session.file.close()
        session.summarize()
        return session.summary


@dataclass(frozen=True, slots=True)
class _Work:
    """What a process works with.

    Attributes:
        begin: opens the case of an image.
        source: gives the votes.
        oracle: how to ask.
        kept: the account.
        watching: the watch over the oracle.
        bar: told how far it is.
    """

    begin: Callable[[Tensor], ProvingCase]
    source: VoteSource
    oracle: OracleConfig
    kept: Account
    watching: Watching
    bar: Meter

    def spare(self) -> int | None:
        """Queries, each asked alone, that may be spent on votes."""
        return self.watching.watch.spare(self.kept.ledger.remaining)

    def spare_by_batch(self) -> int | None:
        """The same of queries that a batch interface answers."""
        return self.kept.ledger.remaining_by_batch(self.watching.watch.spare)


@dataclass(slots=True)
class _Session:
    """One process's part of a run."""

    dataset: data.ImageSet
    count: int
    labels: list[Label] | None
    file: CertificateFile
    config: CertifyConfig
    plan: AnyPlan
    folder: Path
    started: float
    seen_before: bool
    ledger: Ledger
    summary: Record = field(default_factory=dict)
    told: bool = False

    def __post_init__(self) -> None:
        """A run never shrinks."""
        self.count = max([self.count, *(record["index"] + 1 for record in self.file.records)])

    @property
    def left(self) -> int:
        """Images without a certificate."""
        return self.count - len(self.file.records)

    def run(self, work: _Work, *, recorded: bool) -> None:
        """Certify what is not certified yet; `recorded` says that answers may be on record."""
        expected = self._expected(work.bar, work.kept.ledger)
        verdicts = run_cases(
            self._waiting(work.source if recorded and not self.config.in_turn(work.oracle) else None),
            lambda image: self._open(work.begin(image), work.source),
            work.source,
            batch_size=work.oracle.batch_size,
            concurrency=work.oracle.concurrency,
            remaining=work.spare,
            arrange=self.config.arrangement(work.oracle),
            progress=lambda purpose, queries: expected.advance(queries),
        )
        self._record(verdicts, work, expected)

    def run_by_batch(self, work: _Work, run: RunDirectory, oracle: Oracle, front: Front, batch: BatchConfig) -> None:
        """The same, through the vendor's batch interface."""
        expected = self._expected(work.bar, work.kept.ledger)
        asker = batch_asker(
            run,
            oracle,
            front,
            work.kept,
            work.source,
            work.watching.watch,
            batch,
            self.dataset.image,
            lambda purpose, queries: expected.advance(queries),
        )
        drawn = work.source.copies.total_variation(math.prod(self.dataset.image_shape))
        if isinstance(self.plan, SplittingPlan | IncrementalPlan):
            raise TypeError("such a plan was refused before")
        rounds = Rounds(
            image=self.dataset.image,
            open_case=lambda image: self._open(work.begin(image), work.source),
            source=work.source,
            asker=asker,
            looks=Looks(self.plan, batch.looks, drawn, np.random.default_rng(0)),
            labelled=bool(self._extra),
            in_turn=self.config.in_turn(work.oracle),
            remaining=work.spare_by_batch,
        )
        self._record(rounds.run([index for index, _ in self._waiting(None)]), work, expected)

    def _record(
        self, verdicts: Iterator[tuple[int, LabelledCase, float]], work: _Work, expected: ExpectedQueries
    ) -> None:
        """Write down verdicts as they come, and how far that is."""
        classes, held = work.source.log.spec.classes, work.watching.hold(self.file.append)
        for index, case, seconds in verdicts:
            label = self._label(index) if case.label is None else public_label(case.label, classes)
            outcome = case.outcome()
            record = certificate_record(index, label, outcome, self.plan, classes, seconds)
            held.add(record | radii_by_norm(outcome.verdict, case.case.image.numel()))
            self._tell_mismatch(classes)
            expected.finish(record["queries"] + self._extra)
            work.bar.advance(0, *self._so_far())

    @property
    def _extra(self) -> int:
        """Queries of an image besides its votes: for its label."""
        return int(self.config.labels == ORACLE)

    def _expected(self, bar: Meter, spending: Spending) -> ExpectedQueries:
        """The queries of this process, by the images that are certified."""
        records = self.file.records
        expected = ExpectedQueries(
            bar=bar,
            left=self.left,
            cap=self.plan.num_selection + self.plan.max_estimation + self._extra,
            fixed=self.config.method not in EARLY,
            spending=spending,
            finished=len(records),
            queries=sum(record["queries"] + self._extra for record in records),
        )
        bar.expect(expected.total)
        return expected

    def _open(self, case: ProvingCase, source: VoteSource) -> LabelledCase:
        by_oracle = self.config.labels == ORACLE
        return LabelledCase.by_oracle(case, source) if by_oracle else LabelledCase.without(case)

    def _label(self, index: int) -> Label | None:
        """The label of an image in the data, as files call it."""
        number = self.dataset.label(index)
        return None if number is None or self.labels is None else self.labels[number]

    def _tell_mismatch(self, classes: Classes) -> None:
        """Warn once where the oracle has named the classes of some images, and never one of the data's."""
        if self.told or not self.labels or not classes.open_set:
            return
        if len(self.file.records) < min(_ENOUGH_TO_TELL, self.count):
            return
        self.told = True
        answered = [record["predicted"] for record in self.file.records if record["predicted"] is not None]
        if warning := never_matched(list(map(str, self.labels)), map(str, answered)):
            _log.warning(warning)

    def summarize(self) -> None:
        """Write down what all certificates so far say together."""
        before = read_summary(self.folder).get("seconds", 0.0) if (self.folder / SUMMARY).exists() else 0.0
        self.summary = summarize(
            self.file.records,
            self.config.radii,
            images=self.count,
            seconds=before + time.monotonic() - self.started,
            largest_radius=self.plan.largest_radius,
            family_wise=self.config.joint,
            discovery=self.config.discovery,
        )
        if isinstance(self.plan, IncrementalPlan):
            self.summary["incremental"] = worth(self.file.records, self.plan)
        self.summary["labels"] = ORACLE if self.config.labels == ORACLE else DATA if self.labels else None
        self.summary["seen_before"] = self.seen_before
        self.summary |= usage_summary(self.ledger.as_json())
        write_summary(self.folder, self.summary)

    def _waiting(self, source: VoteSource | None) -> Iterator[tuple[int, Tensor]]:
        """The images without a certificate; with a source first those whose class its record chooses."""
        done = {record["index"] for record in self.file.records}
        left = [index for index in range(self.count) if index not in done]
        if source is None:
            return ((index, self.dataset.image(index)) for index in left)
        size = self.plan.num_selection
        return recorded_first(left, self.dataset.image, lambda image: source.recorded(image, Purpose.SELECT, size))

    def _so_far(self) -> tuple[str, Facts]:
        records = self.file.records
        labelled = bool(records) and records[0]["label"] is not None
        counted = sum(bool(record["correct"]) if labelled else not record["abstained"] for record in records)
        name = "certified right" if labelled else "certified"
        return f"{counted} of {len(records)} {name}", {"images": len(records), name.replace(" ", "_"): counted}
