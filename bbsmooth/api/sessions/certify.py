"""A run that certifies: one certificate or abstention for each image."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from bbsmooth.api.sessions.certify_question import Question, least, refuse_other_methods, reported
from bbsmooth.api.sessions.certify_session import CertifySession, Work
from bbsmooth.api.sessions.committing import begun, opened, summarized
from bbsmooth.assemble import (
    Subject,
    account,
    answering,
    refuse_forgotten_jobs,
    refuse_small_budget,
    refuse_unfinished_jobs,
    refuse_without_batches,
    vote_source,
)
from bbsmooth.assemble.drift import watched
from bbsmooth.assemble.incremental import earlier_votes
from bbsmooth.certification.methods.cases import opener
from bbsmooth.errors import UsageError
from bbsmooth.progress.meter import meter
from bbsmooth.reporting.lineage import seen_before
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.layout import MANIFEST
from bbsmooth.runs.reading import read_run
from bbsmooth.runs.reuse import reused
from bbsmooth.settings.batch import ALONE, BATCHING, BatchConfig
from bbsmooth.settings.certify import CertifyConfig
from bbsmooth.settings.common import USUAL_DRIFT, DriftConfig, settings
from bbsmooth.settings.stamp import NO_STAMP, StampConfig
from bbsmooth.verification.resuming import refuse_damage
from oracles import Purpose

PURPOSES = (Purpose.SELECT, Purpose.ESTIMATE)

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
    _refuse_two_sources(reuse, incremental_from, stamp)
    subject = subject.drawing_as(out, reuse, incremental_from)
    asked = Question.settled(
        subject,
        config,
        incremental_from,
        reported=reported(out) if resume else (),
        begun=(out / MANIFEST).exists(),
    )
    oracle, front = subject.asking, subject.front
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
    run, fixed = opened(
        out,
        "certify",
        stated,
        asked.context if earlier is None else asked.context | {"reused": earlier.described},
        changeable=asked.config.changeable | BATCHING,
        images=asked.images,
        spec=subject.oracle.spec,
        stamp=stamp,
        resume=resume,
    )
    subject = replace(subject, smoothing=fixed.smoothing(subject.smoothing))
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
        session = CertifySession.of(out, subject, asked, kept, seen_before=seen_images)
        with (
            summarized(session),
            watched(run, answerer, kept, drift, asked.canaries(subject)) as watching,
            meter("certify", None, "queries", spending=kept.ledger) as bar,
        ):
            votes = vote_source(
                answerer, front, subject.smoothing, kept, PURPOSES, watch=watching.watch, clean=asked.clean
            )
            work = Work(opener(asked.plan, votes, earlier=before), votes, oracle, kept, watching, bar)
            if batch.batch:
                session.run_by_batch(work, run, answerer, front, batch)
            else:
                session.run(work, recorded=earlier is not None or run.resumed)
        return session.summary


def _refuse_two_sources(reuse: Path | None, incremental_from: Path | None, stamp: StampConfig) -> None:
    """Refuse an earlier run beside another one, or beside a seed that is none of its own.

    Raises:
        UsageError: see above.
    """
    if incremental_from is not None and reuse is not None:
        raise UsageError("`incremental_from` asks about draws anew, `reuse` does not: give one of them")
    if stamp.seed and (incremental_from or reuse) is not None:
        taking = "reuse" if incremental_from is None else "incremental_from"
        raise UsageError(f"`{taking}` takes the seed of the earlier run, a stamped `seed` is new: give one of them")
