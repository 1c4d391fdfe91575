"""A run that tunes: a coordinator for an oracle, from the oracle's answers alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors

from bbsmooth.api.sessions.committing import begun, committed, fixed_images, read_images
from bbsmooth.api.sessions.sigma_trials import at_sigma
from bbsmooth.api.sessions.tuning_batch import changeable, refuse_long_waiting, spare
from bbsmooth.api.sessions.tuning_idle import refuse_idle
from bbsmooth.api.sessions.tuning_images import TuningImages, tuning_images
from bbsmooth.api.sessions.tuning_method import (
    JUDGED_ONCE,
    as_begun,
    chosen,
    method_of,
    picked,
    rounds,
    taking,
    worth_spending,
)
from bbsmooth.api.sessions.tuning_resume import go_on, keep_event
from bbsmooth.api.sessions.tuning_sigma import SigmaSearch
from bbsmooth.api.sessions.tuning_start import (
    FRONT_SIZE,
    begin,
    begun_before_sizes,
    refuse_unfit_scores,
    refuse_unfit_size,
    scores_scaled,
    start_from,
)
from bbsmooth.api.sessions.tuning_surrogate import surrogate_for, taught
from bbsmooth.assemble import (
    Account,
    Front,
    Subject,
    account,
    answering,
    batch_executor,
    charged,
    grid_for,
    has_asked_by_batch,
    refuse_forgotten_jobs,
    refuse_without_batches,
)
from bbsmooth.assemble.drift import CanaryImages, Held, watched
from bbsmooth.assemble.opening import training_device
from bbsmooth.coordinator import Stored, save
from bbsmooth.coordinator.making import FOLDED
from bbsmooth.errors import UsageError
from bbsmooth.noise import Grid
from bbsmooth.progress.meter import Spending, meter
from bbsmooth.runs.certificates import Record, write_summary
from bbsmooth.runs.directory import RunDirectory
from bbsmooth.runs.files import write_bytes
from bbsmooth.runs.layout import CHECKPOINT, CHOICE, COORDINATOR, MANIFEST
from bbsmooth.runs.usage import usage_summary
from bbsmooth.settings.batch import ALONE, BatchConfig
from bbsmooth.settings.common import USUAL_DRIFT, DriftConfig, SmoothingConfig, settings
from bbsmooth.settings.sigma import SigmaConfig, SigmaPilotConfig
from bbsmooth.settings.stamp import NO_STAMP, StampConfig
from bbsmooth.settings.tune import TuneConfig
from bbsmooth.tuning import Concurrent, Event, QueryExecutor, TuneResult, one_by_one, tune
from bbsmooth.tuning.automatic import AUTO
from bbsmooth.tuning.methods import AGREEMENT, Method
from oracles import BudgetExhausted, OracleChanged, Purpose, RecordingOracle
from oracles.capabilities import interruption
from oracles.identity import IdentifiedOracle
from oracles.recording import AnswerLog

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
            parameters so far are in place.
        OracleChanged: the model was changed; the best parameters of before are in place.
        OracleError: see there; all answers so far are on disk.
    """
    subject = subject.drawing_as(out)
    base, oracle, smoothing, dataset = subject.oracle, subject.asking, subject.smoothing, subject.images
    refuse_without_batches(base, oracle, batch, out)
    batch = batch.priced_as(oracle)
    queries = batch.paid(oracle).limits.limit
    if queries is None:
        raise UsageError("tuning needs a budget: give `budget`, the queries that may be spent; 0 only pre-trains")
    drift.number(base.spec.remote)
    search, total, size = None, queries, config.front_size
    if sigmas is not None:
        search = SigmaSearch.of(
            subject,
            sigmas,
            pilot,
            radius=config.radius,
            size=size,
            learnt=config.train_images,
            named=named,
            announce=announce,
        )
        queries -= search.cost
    labelled = queries > 0
    found = _images(subject, config, smoothing.seed, labelled=labelled)
    device = training_device(oracle)
    before = picked(out) if resume else None
    choice = before or chosen(config, total, base.spec, dataset.image_shape, subject.front, len(found.pixels))
    method = as_begun(method_of(choice, config, smoothing.distribution, found.labels, dataset.image_shape), out)
    if not (out / MANIFEST).exists():  # an earlier version took and ignored more
        chooses = search is not None
        refuse_idle(config, subject, method, found, queries=queries, chooses=chooses, drift=drift, batch=batch)
    refuse_unfit_scores(method, base.spec)
    available, queries = queries, worth_spending(method, base.spec, queries)
    asked = rounds(taking(method, found, queries, config.steps), found, queries)
    if asked is not None and batch.batch:
        refuse_long_waiting(asked, base, config.steps)
    stated = settings(oracle, subject.data, config, drift, batch if batch.batch else {})
    stated["pretrain_epochs"] = config.epochs
    if size is None and begun_before_sizes(out):
        del stated[FRONT_SIZE]
        size = FOLDED
    for sigma in search.subjects if search else [smoothing.sigma]:
        if subject.front.parts is None:
            refuse_unfit_size(size, method, dataset.image_shape, sigma)
    grid_for(base, smoothing)
    surrogate = surrogate_for(config.surrogate, subject.front, method, dataset.image_shape)
    asked_for = {} if search is None else search.settings(out)
    context = subject.context | {"method_used": choice.method, "method_because": choice.reason}
    context |= {JUDGED_ONCE: True} if method.scaling is not None and method.plan.judges_once else {}
    context |= {} if surrogate is None else {"surrogate": surrogate.record}
    by_stamp = stamp.seed and config.shots is not None  # the images are chosen by the seed
    fixed = committed(
        out,
        "tune",
        stated | settings(smoothing) | asked_for,
        context,
        changeable=changeable(oracle),
        images=fixed_images(
            read_images(dataset, range(min(config.train_images, len(dataset))))
            if by_stamp
            else zip(found.indices, found.pixels, strict=True)
        )
        + (search.fixed() if search else []),
        spec=base.spec,
        stamp=stamp,
        resume=resume,
    )
    smoothing = fixed.smoothing(smoothing)
    if by_stamp:
        found = _images(subject, config, smoothing.seed, labelled=labelled)
    start = start_from(subject.front, method, found.pixels, smoothing)
    run = RunDirectory.open(
        out,
        command="tune",
        settings=stated | settings(smoothing) | asked_for,
        context=context,
        resume=resume,
        changeable=changeable(oracle),
    )
    if queries and config.method == AUTO:
        _log.info(f"method {choice.method}, because {choice.reason}")
    if queries < available:
        _log.info(f"{queries:,} of {available:,} queries are enough for a map of scores; the rest stays unspent")
    with begun(run, fixed), account(run, oracle, batch=batch) as kept:
        started = time.monotonic()
        if not batch.batch:
            refuse_forgotten_jobs(run, kept)
        subject.front.keep(out)
        if run.resumed:
            go_on(out, kept.ledger)
        if search is not None:
            sigma_choice = search.chosen(run, kept, smoothing.seed)
            queries -= max(0, sigma_choice["queries"] - search.cost)  # what was in flight when it was killed
            smoothing = replace(smoothing, sigma=sigma_choice["sigma"])
            subject = at_sigma(replace(subject, smoothing=smoothing), smoothing.sigma)
            fitting = method_of(choice, config, smoothing.distribution, found.labels, dataset.image_shape)
            method = as_begun(fitting, out)
            start = start_from(subject.front, method, found.pixels, smoothing)
        coordinator, parameters, pretraining = begin(
            out,
            start,
            found.pixels,
            method,
            smoothing,
            epochs=config.epochs,
            size=size,
            device=device,
        )
        coordinator, parameters, told = taught(out, coordinator, surrogate, found.pixels, smoothing, device=device)
        if queries and method.scaling:
            coordinator = scores_scaled(coordinator, method, base.spec)
            parameters = coordinator.initial_parameters()
        if not (out / COORDINATOR).exists():  # on resuming it may hold better parameters already
            save(out / COORDINATOR, coordinator, parameters)
        summary: Record = {"method": choice.method, "pretraining": pretraining | told, "parameters": len(parameters)}
        if search is not None:
            summary[CHOICE] = sigma_choice
        if queries:
            task = _Task(out, coordinator, found, method, smoothing, device, config.steps)
            result = task.tuned(run, subject, kept, drift, queries, batch)
            save(out / COORDINATOR, coordinator, result.parameters)
            summary |= _describe(result, config.radius, available) | usage_summary(kept.ledger.as_json())
        write_summary(out, summary | {"seconds": round(time.monotonic() - started, 3)})


def _images(subject: Subject, config: TuneConfig, seed: int, *, labelled: bool) -> TuningImages:
    """The images that tuning learns from; `seed` chooses them where only some of each class are used."""
    return tuning_images(
        subject.images,
        subject.oracle.spec.classes,
        most=config.train_images,
        shots=config.shots,
        labelled=labelled and config.objective != AGREEMENT,
        seed=seed,
        order=subject.class_order,
    )


@dataclass(frozen=True, slots=True)
class _Task:
    """A coordinator that is tuned in a run directory."""

    out: Path
    coordinator: Stored
    images: TuningImages
    method: Method
    smoothing: SmoothingConfig
    device: torch.device
    steps: int | None

    def tuned(
        self,
        run: RunDirectory,
        subject: Subject,
        kept: Account,
        drift: DriftConfig,
        queries: int,
        batch: BatchConfig,
    ) -> TuneResult:
        """Tune within the budget, less what canaries take."""
        base, pixels = subject.oracle, self.images.pixels
        canaries = CanaryImages(
            image=pixels.__getitem__, among=len(pixels), smoothing=self.smoothing, grid=grid_for(base, self.smoothing)
        )
        with (
            _best_kept(self.out, self.coordinator),
            answering(base, subject.asking, Front(None, self.smoothing.sigma)) as (answerer, speed),
            watched(run, answerer, kept, drift, canaries) as watching,
        ):
            watch = watching.watch
            queries = spare(subject.asking, watch, queries, batch)
            task = replace(self, method=taking(self.method, self.images, queries, self.steps))
            rounds(task.method, self.images, queries)
            asked = IdentifiedOracle(charged(answerer, kept.ledger, Purpose.TUNE), kept.store)
            log = AnswerLog(watch.store, asked.spec) if batch.batch or has_asked_by_batch(run) else None
            recorded = RecordingOracle(watch.guard(asked), watch.store, log)
            steps = watching.hold(partial(_keep, self.out))
            executor: QueryExecutor = one_by_one
            if log is not None and batch.batch:
                executor = batch_executor(run, answerer, kept, recorded, log, watch, batch)
            elif subject.asking.on_ray:
                executor = Concurrent(speed.concurrency, interruption(answerer))
            return task._tune(recorded, steps, queries, kept.ledger, executor)

    def _tune(
        self, asked: RecordingOracle, steps: Held[_Step], queries: int, spending: Spending, executor: QueryExecutor
    ) -> TuneResult:
        """Each step leaves a checkpoint and a line of history once its answers are established."""
        checkpoint, chosen = self.out / CHECKPOINT, self.images.within(queries)
        with meter("tune", queries, "queries", spending=spending) as bar:
            spent, latest = 0, b""

            def remember(raw: bytes) -> None:
                nonlocal latest
                latest = raw

            def history(event: Event) -> None:
                nonlocal spent
                steps.add((latest, event))
                note = f"held-out accuracy {event['heldout_accuracy']:.3f}" if event.get("heldout_accuracy") else ""
                bar.advance(int(event["queries"] or 0) - spent, note, event)
                spent = int(event["queries"] or 0)

            return tune(
                self.coordinator.on(self.device),
                chosen.pixels,
                chosen.truth(asked.ask, executor),
                noise=self.smoothing.distribution,
                grid=Grid.fitting(self.smoothing.distribution, eight_bit=False, algorithm=self.smoothing.algorithm),
                plan=self.method.plan,
                queries=queries - self.images.cost(queries),
                seed=self.smoothing.seed,
                feedback=asked.spec.feedback,
                ask=asked.ask,
                executor=executor,
                resume=checkpoint.read_bytes() if checkpoint.exists() else None,
                history=history,
                checkpoint=remember,
            )


_Step = tuple[bytes, Event]
"""A checkpoint, and what history says of the step that led to it."""


def _keep(out: Path, step: _Step) -> None:
    """Write a step down."""
    raw, event = step
    keep_event(out, event)  # first: what is beyond the checkpoint is dropped on resuming
    write_bytes(out / CHECKPOINT, raw)


@contextmanager
def _best_kept(out: Path, coordinator: Stored) -> Iterator[None]:
    """Leave the best parameters so far where the budget or a change of the model ends the block."""
    try:
        yield
    except (BudgetExhausted, OracleChanged):
        if (out / CHECKPOINT).exists():
            save(out / COORDINATOR, coordinator, load_tensors((out / CHECKPOINT).read_bytes())["best"])
        raise


def _describe(result: TuneResult, radius: float | None, queries: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "steps": result.num_steps,
        "queries": result.queries,
        "best_step": result.best_step,
        "heldout_draws": result.heldout_draws,
        "heldout_accuracy_start": result.start_accuracy,
        "heldout_accuracy_best": result.best_accuracy,
    }
    if radius is None:
        return told
    judged = result.judged
    verdict = f"tuning buys nothing here: {result.queries:,} of {queries:,} queries used, start kept"
    if result.best_step:
        before, after = (f"{100 * judged[which]:.1f} %" for which in ("start", "best"))
        verdict = f"certified at radius {radius:g}: {before} of held-out images before, {after} now"
    _log.info(verdict)
    return told | {
        "judged_radius": radius,
        "heldout_images": int(judged["images"]),
        "heldout_certified_start": judged["start"],
        "heldout_certified_best": judged["best"],
        "gain_p_value": judged.get("p_value"),
        "verdict": verdict,
    }
