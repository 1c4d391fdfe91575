"""A run that tunes: a coordinator for an oracle, from the oracle's answers alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from bbsmooth.api.sessions.committing import begun, committed
from bbsmooth.api.sessions.tuning_batch import changeable
from bbsmooth.api.sessions.tuning_question import TuningQuestion
from bbsmooth.api.sessions.tuning_resume import go_on, keep_raised, planned
from bbsmooth.api.sessions.tuning_sigma import SigmaSearch
from bbsmooth.api.sessions.tuning_start import begin, scores_scaled
from bbsmooth.api.sessions.tuning_surrogate import taught
from bbsmooth.api.sessions.tuning_task import TuningTask, described
from bbsmooth.assemble import Subject, account, refuse_forgotten_jobs
from bbsmooth.coordinator import Stored, save
from bbsmooth.runs.certificates import Record, write_summary
from bbsmooth.runs.directory import RunDirectory
from bbsmooth.runs.layout import CHOICE, COORDINATOR
from bbsmooth.runs.usage import usage_summary
from bbsmooth.settings.batch import ALONE, BatchConfig
from bbsmooth.settings.common import USUAL_DRIFT, DriftConfig
from bbsmooth.settings.sigma import SigmaConfig, SigmaPilotConfig
from bbsmooth.settings.stamp import NO_STAMP, StampConfig
from bbsmooth.settings.tune import TuneConfig
from bbsmooth.tuning.automatic import AUTO

_log = logging.getLogger(__name__)

USUAL_PILOT = SigmaPilotConfig()


def tune_coordinator(
    out: Path,
    subject: Subject,
    *,
    config: TuneConfig,
    resume: bool,
    stamp: StampConfig = NO_STAMP,
    drift: DriftConfig = USUAL_DRIFT,
    batch: BatchConfig = ALONE,
    sigmas: SigmaConfig | None = None,
    pilot: SigmaPilotConfig = USUAL_PILOT,
    named: bool = True,
    announce: Callable[[str], None] = _log.info,
) -> None:
    """Pre-train, tune, and leave `coordinator.safetensors` and `summary.json` in `out`.

    A budget of 0 stops after pre-training: the denoiser that costs no query. Tuning starts from the subject's front
    in place of pre-training, where it has one; a surrogate teaches either. `stamp` says who stamps what the run fixes
    before its first query, `batch` whether the vendor's batch interface is asked: each step and each validation is a
    round of jobs then.
    With `sigmas` the one that certifies most is chosen first, by a `pilot` from the same budget; the manifest says
    which, and the subject's own sigma, one of them, counts for nothing; see `tuning_sigma`.

    Raises:
        UsageError: settings that cannot work; nothing was spent.
        BudgetExhausted: answers were lost in a crash, so that the budget ended before the plan did; the best
            parameters so far are in place, and a larger budget ends the plan.
        OracleChanged: the model was changed; the best parameters of before are in place.
        OracleError: see there; all answers so far are on disk.
    """
    limits = subject.asking
    subject = replace(subject.drawing_as(out), asking=planned(out, limits) if resume else limits)
    search = None if sigmas is None else SigmaSearch.of(subject, config, sigmas, pilot, named=named, announce=announce)
    asked = TuningQuestion.settled(out, subject, config, search, resume=resume, drift=drift, batch=batch)
    oracle, stated, context = subject.asking, asked.settings(out, drift), asked.context
    fixed = committed(
        out,
        "tune",
        stated,
        context,
        changeable=changeable(oracle),
        images=asked.fixed(stamp),
        spec=subject.oracle.spec,
        stamp=stamp,
        resume=resume,
    )
    asked = asked.seeded(stamp, fixed)
    start = asked.start()
    run = RunDirectory.open(
        out,
        command="tune",
        settings=stated | {"seed": fixed.seed},
        context=context,
        resume=resume,
        changeable=changeable(oracle),
    )
    if asked.queries and config.method == AUTO:
        _log.info(f"method {asked.choice.method}, because {asked.choice.reason}")
    if asked.queries < asked.available:
        _log.info(
            f"{asked.queries:,} of {asked.available:,} queries are enough for a map of scores; the rest stays unspent"
        )
    with begun(run, fixed), account(run, limits, batch=asked.batch) as kept:
        started = time.monotonic()
        keep_raised(run, limits, oracle)
        if not asked.batch.batch:
            refuse_forgotten_jobs(run, kept)
        subject.front.keep(out)
        if run.resumed:
            go_on(out, kept.ledger)
        choice: Record = {}
        if asked.search is not None:
            choice = {CHOICE: asked.search.chosen(run, kept, fixed.seed)}
            asked = asked.with_sigma(out, choice[CHOICE])
            start = asked.start()
        coordinator, parameters, told = _made(out, asked, start)
        if not (out / COORDINATOR).exists():  # on resuming it may hold better parameters already
            save(out / COORDINATOR, coordinator, parameters)
        summary: Record = {"method": asked.choice.method, "pretraining": told, "parameters": len(parameters), **choice}
        if asked.queries:
            task = TuningTask(
                out, coordinator, asked.images, asked.method, asked.subject.smoothing, asked.device, config.steps
            )
            result = task.tuned(run, asked.subject, kept, drift, asked.queries, asked.batch)
            save(out / COORDINATOR, coordinator, result.parameters)
            summary |= described(result, config.radius, asked.available) | usage_summary(kept.ledger.as_json())
        write_summary(out, summary | {"seconds": round(time.monotonic() - started, 3)})


def _made(out: Path, asked: TuningQuestion, start: Stored | None) -> tuple[Stored, Tensor, Record]:
    """The coordinator before any query, its parameters, and what is told of its making."""
    smoothing, pixels = asked.subject.smoothing, asked.images.pixels
    coordinator, parameters, pretraining = begin(
        out,
        start,
        pixels,
        asked.method,
        smoothing,
        epochs=asked.config.epochs,
        size=asked.size,
        device=asked.device,
    )
    coordinator, parameters, told = taught(out, coordinator, asked.surrogate, pixels, smoothing, device=asked.device)
    if asked.queries and asked.method.scaling:
        coordinator = scores_scaled(coordinator, asked.method, asked.subject.oracle.spec)
        parameters = coordinator.initial_parameters()
    return coordinator, parameters, pretraining | told
