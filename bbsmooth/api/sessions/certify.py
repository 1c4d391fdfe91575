"""A run that certifies: one certificate or abstention for each image."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from bbsmooth import data
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
from bbsmooth.assemble.incremental import EarlierRun, earlier_run, earlier_votes, worth
from bbsmooth.assemble.labels import match_labels, never_matched
from bbsmooth.certification import LabelledCase, VoteSource, run_cases, unreachable_radii
from bbsmooth.certification.cases.case import ProvingCase
from bbsmooth.certification.engine.scheduler import recorded_first
from bbsmooth.certification.methods.cases import AnyPlan, opener
from bbsmooth.certification.methods.incremental import IncrementalPlan
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
from bbsmooth.runs.directory import RunDirectory, ended, read_manifest
from bbsmooth.runs.endings import ENDINGS
from bbsmooth.runs.layout import MANIFEST, SUMMARY
from bbsmooth.runs.reading import read_run
from bbsmooth.runs.records import Label
from bbsmooth.runs.reuse import reused
from bbsmooth.runs.summary import summarize
from bbsmooth.settings.certify import DATA, EARLY, ORACLE, CertifyConfig
from bbsmooth.settings.common import USUAL_DRIFT, DriftConfig, OracleConfig, settings
from bbsmooth.verification.replay import Replay
from bbsmooth.verification.resuming import refuse_damage
from oracles import Classes, Oracle, Purpose, VoteLog

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
    drift: DriftConfig = USUAL_DRIFT,
) -> Record:
    """Certify, and return what `summary.json` says.

    Args:
        out: run directory.
        subject: whom to ask, under which noise, about which images.
        config: what to prove.
        resume: go on with the run in `out`.
        reuse: run whose answers need not be asked for again, None for none.
        incremental_from: run of the classifier before it was changed a little, None for none.
        drift: how a change of the model is noticed.

    Raises:
        UsageError: settings that cannot work; nothing was spent.
        BudgetExhausted: the budget ended before the images did; all verdicts so far are on disk.
        OracleError: see there; all answers so far are on disk.
    """
    if incremental_from is not None and reuse is not None:
        raise UsageError("`incremental_from` asks about draws anew, `reuse` does not: give one of them")
    subject = subject.drawing_as(out, reuse, incremental_from)
    asked = _Question.settled(subject, config, incremental_from, reported=_reported(out) if resume else ())
    oracle, front, dataset = subject.asking, subject.front, subject.images
    refuse_small_budget(oracle, *_least(asked.config, oracle, asked.plan, drift.number(subject.oracle.spec.remote)))
    stated = settings(oracle, subject.smoothing, subject.data, asked.config, drift)
    earlier = None if reuse is None else reused(reuse, settings=stated, context=asked.context)
    run = RunDirectory.open(
        out,
        command="certify",
        settings=stated,
        context=asked.context if earlier is None else asked.context | {"reused": earlier.described},
        resume=resume,
        changeable=asked.config.changeable,
    )
    with (
        ended(run, ENDINGS),
        answering(subject.oracle, oracle, front) as (answerer, oracle),
        account(run, oracle, reuse=earlier) as kept,
        earlier_votes(asked.changed, out, asked.seen.spec) as before,
    ):
        front.keep(out)
        if seen_images := seen_before(read_run(out)):
            _log.warning(_SEEN)
        if run.resumed:
            refuse_damage(out, asked.replay(subject, kept, before), kept.ledger, own=not run.manifest.get("reused"))
        session = _Session(
            dataset,
            asked.count,
            asked.labels,
            CertificateFile(out),
            asked.config,
            asked.plan,
            out,
            time.monotonic(),
            seen_images,
        )
        try:
            additive = subject.smoothing.additive
            grid = grid_for(subject.oracle, additive)
            canaries = CanaryImages(image=dataset.image, among=asked.count, smoothing=additive, grid=grid)
            with watched(run, answerer, kept, drift, canaries) as watching:
                votes = vote_source(
                    answerer, front, subject.smoothing, kept, PURPOSES, watch=watching.watch, clean=asked.clean
                )
                with meter("certify", None, "queries", spending=kept.ledger) as bar:
                    recorded = earlier is not None or run.resumed
                    session.run(opener(asked.plan, votes, earlier=before), votes, oracle, kept, watching, bar, recorded)
        except BaseException:
            with suppress(OSError):  # on a full disk; what ended the run says more
                session.summarize()
            raise
        finally:
            session.file.close()
        session.summarize()
        return session.summary


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """All that a run is asked to show, settled before it is begun.

    Attributes:
        config: the settings.
        plan: of each image.
        count: images to certify.
        labels: of the classes in the data, as the oracle names them; None where nothing is compared with them.
        seen: the oracle behind its front.
        context: what the manifest says of oracle, data and an earlier run.
        changed: the run of the classifier before it was changed.
    """

    config: CertifyConfig
    plan: AnyPlan
    count: int
    labels: list[Label] | None
    seen: Oracle
    context: Record
    changed: EarlierRun | None

    @classmethod
    def settled(
        cls, subject: Subject, config: CertifyConfig, incremental_from: Path | None, *, reported: Sequence[float]
    ) -> _Question:
        """Settle what the settings leave open.

        Raises:
            UsageError: settings, images or oracle that do not fit.
        """
        seen, smoothing, dataset = subject.seen, subject.smoothing, subject.images
        copies_for(seen, smoothing)
        config = config.settled(smoothing.mechanism)
        config.decidable_plan(smoothing.mechanism, 1)
        context = subject.context | describe_classifier(seen.spec)
        changed = None if incremental_from is None else earlier_run(incremental_from, smoothing, context)
        if changed is not None:
            config = changed.settled(config)
            context |= {"earlier": changed.described}
        count = min(len(dataset), config.limit or len(dataset))
        data.check(dataset, count)
        plan = config.decidable_plan(smoothing.mechanism, count)
        if beyond := unreachable_radii(plan):
            _log.warning(
                "`num_estimation` %s is too small to certify radius %s, even if all votes agree: it can only be "
                "refuted",
                f"{config.num_estimation:,}",
                ", ".join(f"{radius:g}" for radius in beyond),
            )
        labels = None
        if dataset.classes is not None and config.labels == DATA:
            labels = match_labels(dataset.classes, subject.oracle.spec.classes, subject.class_order)
        return cls(
            config=config.with_radii(plan.largest_radius, reported),
            plan=plan,
            count=count,
            labels=labels,
            seen=seen,
            context=context,
            changed=changed,
        )

    @property
    def clean(self) -> frozenset[Purpose]:
        """Purposes for which images are asked about without noise."""
        return frozenset({Purpose.PREDICT} if self.config.labels == ORACLE else ())

    def replay(self, subject: Subject, kept: Account, before: VoteLog | None) -> Replay:
        """A way to draw the answers on record again, which asks nobody."""
        copies, log = copies_for(self.seen, subject.smoothing), VoteLog(kept.store, self.seen.spec)
        on_record = VoteSource(oracles={}, log=log, copies=copies, clean=self.clean)
        return Replay(
            plan=self.plan,
            by_oracle=bool(self.clean),
            images=subject.images,
            labels=self.labels,
            source=on_record,
            begin=opener(self.plan, on_record, earlier=before),
        )


def _reported(out: Path) -> Sequence[float]:
    """The radii at which the run in `out` reports; none where there is no run."""
    return read_manifest(out)["settings"].get("radii") or () if (out / MANIFEST).exists() else ()


def _least(config: CertifyConfig, oracle: OracleConfig, plan: AnyPlan, canaries: int) -> tuple[int, str]:
    """The smallest budget that makes sense, and the settings that add up to it."""
    votes = (
        (plan.max_estimation, "`num_selection` + `num_estimation`")
        if config.in_turn(oracle)
        else (1, "`num_selection` + 1")
    )
    parts = [(plan.num_selection + votes[0], votes[1])]
    if config.labels == ORACLE:
        parts.append((1, "1 for the label"))
    if canaries:
        parts.append((LEAST * canaries, f"{LEAST} times {canaries} for canaries"))
    return sum(number for number, _ in parts), " + ".join(what for _, what in parts)


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
    summary: Record = field(default_factory=dict)
    told: bool = False

    def __post_init__(self) -> None:
        """A run never shrinks."""
        self.count = max([self.count, *(record["index"] + 1 for record in self.file.records)])

    @property
    def left(self) -> int:
        """Images without a certificate."""
        return self.count - len(self.file.records)

    def run(
        self,
        begin: Callable[[Tensor], ProvingCase],
        source: VoteSource,
        oracle: OracleConfig,
        kept: Account,
        watching: Watching,
        bar: Meter,
        recorded: bool,
    ) -> None:
        """Certify what is not certified yet; `recorded` says that answers may be on record."""
        classes, held = source.log.spec.classes, watching.hold(self.file.append)
        expected = self._expected(bar, kept.ledger)
        verdicts = run_cases(
            self._waiting(source if recorded and not self.config.in_turn(oracle) else None),
            lambda image: self._open(begin(image), source),
            source,
            batch_size=oracle.batch_size,
            concurrency=oracle.concurrency,
            remaining=lambda: watching.watch.spare(kept.ledger.remaining),
            arrange=self.config.arrangement(oracle),
            progress=lambda purpose, queries: expected.advance(queries),
        )
        for index, case, seconds in verdicts:
            label = self._label(index) if case.label is None else public_label(case.label, classes)
            outcome = case.outcome()
            record = certificate_record(index, label, outcome, self.plan, classes, seconds)
            held.add(record | radii_by_norm(outcome.verdict, case.case.image.numel()))
            self._tell_mismatch(classes)
            expected.finish(record["queries"] + self._extra)
            bar.advance(0, *self._so_far())

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
