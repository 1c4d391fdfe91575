"""One process's part of a run that certifies: from votes to lines, and to a summary."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from bbsmooth import data
from bbsmooth.api.sessions.certify_question import Question
from bbsmooth.assemble import Account, Front, Subject, batch_asker
from bbsmooth.assemble.drift import Watching
from bbsmooth.assemble.incremental import worth
from bbsmooth.assemble.labels import never_matched
from bbsmooth.certification import LabelledCase, VoteSource, run_cases
from bbsmooth.certification.cases.case import ProvingCase
from bbsmooth.certification.engine.looks import Looks
from bbsmooth.certification.engine.rounds import Rounds
from bbsmooth.certification.engine.scheduler import recorded_first
from bbsmooth.certification.methods.cases import AnyPlan
from bbsmooth.certification.methods.incremental import IncrementalPlan
from bbsmooth.certification.methods.splitting import SplittingPlan
from bbsmooth.progress.expected import ExpectedQueries
from bbsmooth.progress.meter import Facts, Meter, Spending
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
from bbsmooth.runs.layout import SUMMARY
from bbsmooth.runs.records.values import Label
from bbsmooth.runs.summary import summarize
from bbsmooth.runs.usage import usage_summary
from bbsmooth.settings.batch import BatchConfig
from bbsmooth.settings.certify import DATA, EARLY, ORACLE, CertifyConfig
from bbsmooth.settings.common import OracleConfig
from oracles import Classes, Ledger, Oracle, Purpose

_ENOUGH_TO_TELL = 3
"""Certificates after which a user learns that names never match, before the rest is paid for."""

_log = logging.getLogger("bbsmooth")


@dataclass(frozen=True, slots=True)
class Work:
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
class CertifySession:
    """One process's part of a run."""

    dataset: data.ImageSet
    count: int
    labels: list[Label] | None
    file: CertificateFile
    config: CertifyConfig
    plan: AnyPlan
    folder: Path
    seen_before: bool
    ledger: Ledger
    started: float = field(default_factory=time.monotonic)
    summary: Record = field(default_factory=dict)
    told: bool = False

    @classmethod
    def of(cls, out: Path, subject: Subject, asked: Question, kept: Account, *, seen_before: bool) -> CertifySession:
        """The part of this process: what `asked` asks about the images of a subject, less what stands in `out`."""
        return cls(
            subject.images,
            len(asked.images),
            asked.labels,
            CertificateFile(out),
            asked.config,
            asked.plan,
            out,
            seen_before,
            kept.ledger,
        )

    def __post_init__(self) -> None:
        """A run never shrinks."""
        self.count = max([self.count, *(record["index"] + 1 for record in self.file.records)])

    @property
    def left(self) -> int:
        """Images without a certificate."""
        return self.count - len(self.file.records)

    def run(self, work: Work, *, recorded: bool) -> None:
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

    def run_by_batch(self, work: Work, run: RunDirectory, oracle: Oracle, front: Front, batch: BatchConfig) -> None:
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
        self, verdicts: Iterator[tuple[int, LabelledCase, float]], work: Work, expected: ExpectedQueries
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
