"""Certificates for images in memory."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Literal

from bbsmooth.api.batch import Batch, batch_config
from bbsmooth.api.methods import CertificationMethod, Cohen
from bbsmooth.api.oracle import BATCH_SIZE
from bbsmooth.api.results import Certificates
from bbsmooth.api.sessions import certify as session
from bbsmooth.api.subject import AnyFront, AnyOracle, Callback, drift_of, subject_of, told
from bbsmooth.errors import UsageError
from bbsmooth.noise import NoiseDistribution, Splitting
from bbsmooth.settings.certify import ONE_CLASS, CertifyConfig
from bbsmooth.settings.stamp import STAMPED, StampConfig
from oracles import Budget, BudgetExhausted

_LOG = logging.getLogger(__name__)


def certify(
    oracle: AnyOracle,
    images: Any,
    labels: Any = None,
    *,
    noise: NoiseDistribution | Splitting,
    plan: CertificationMethod | None = None,
    seed: int | Literal["stamped"],
    run: Path | str,
    budget: Budget | None = None,
    front: AnyFront | None = None,
    radii: Sequence[float] | None = None,
    truth: Literal["data", "oracle"] = "data",
    family_wise: str | None = None,
    false_discovery_rate: float | None = None,
    allocation: str = "cheapest",
    reuse: Path | str | None = None,
    incremental_from: Path | str | None = None,
    classes: Sequence[str] | None = None,
    limit: int | None = None,
    resume: bool = True,
    timestamp: str | None = None,
    canaries: int | None = None,
    canary_every: int = 5_000,
    batch: bool | Batch = False,
    batch_size: int = BATCH_SIZE,
    concurrency: int | None = None,
    callbacks: Sequence[Callback] = (),
) -> Certificates:
    """Certificates of the smoothed classifier, in a complete run directory.

    Called again with the same settings it goes on where it ended, and asks nothing twice. With others it is refused:
    nobody may choose n or alpha anew after seeing results of the same draws; `reuse` says what may differ.

    Args:
        oracle: from `bbsmooth.oracle`, or what that takes.
        images: (N, C, H, W) uint8 or floats that are k / 255, in NumPy or torch; a list of images; or a data set.
        labels: (N,) numbers or names; None for those of a data set, or for none.
        noise: `Gaussian`, `Laplace`, `Uniform` or `Splitting`.
        plan: `Cohen`, `Sequential` or `Adaptive`; None with `Splitting`, which leaves nothing to chance.
        seed: of all draws; "stamped" derives it from the stamp of `timestamp`.
        run: the run directory, made where it is missing.
        budget: what may be spent in all, earlier calls on this run included; None for no limit.
        front: stands between the noise and the oracle: what `tune`, `pretrain` or `denoiser` returned, a
            function from images and sigma to images, or the directory of a run.
        radii: at which the run's reports count; None keeps those of a run that goes on, and else chooses from 0 to what
            `plan` can prove. `Sequential` has its own.
        truth: what counts as right: "data", the labels, or "oracle", its answer to the image without noise.
        family_wise: shares alpha among all images: "bonferroni" or, with `Cohen`, "holm".
        false_discovery_rate: bounds the expected share of wrong certificates among those issued: all are where at
            least alpha / `false_discovery_rate` of the images are certified; else each is an abstention of reason
            `FALSE_DISCOVERY`. `limit` and the number of images count from the start.
        allocation: with a budget, whose draws are paid for first: "cheapest", "uniform", "round-robin" or "in-turn".
        reuse: directory of an earlier run whose answers are not asked for again, where that leaves the guarantee.
        incremental_from: directory of a run of the classifier before it was changed a little.
        classes: names of the labels, where these are numbers.
        limit: images that are certified, from the first; None for all.
        resume: False refuses a directory that holds a run.
        timestamp: URL of an RFC 3161 authority that stamps `commitment.json`, what the run fixes before its first
            query; None for none.
        canaries: images that tell whether the model was changed; None for the usual number where it may be.
        canary_every: queries after which they are asked.
        batch: whether the vendor's batch interface is asked, or how (`Batch`): OpenAI and compatible services, Mistral,
            Anthropic, Gemini. Each call waits for its jobs; one that was ended picks their answers up in the next.
        batch_size: images in one call of the oracle.
        concurrency: calls under way at once, None for what suits the oracle.
        callbacks: each told (task, done, facts) as the run goes on.

    Returns:
        One certificate or abstention an image, in order. Where the budget ended first, images that are not decided are
        abstentions of reason `UNFINISHED`, `complete` is False, and a call with a larger budget goes on.

    Raises:
        ShapeError: images that are no 8-bit images.
        UsageError: settings that cannot work, or a run of other settings in `run`; nothing was spent.
        OracleError: see `oracles.errors`; all answers so far are on disk.
    """
    jobs, folder = batch_config(batch), Path(run)
    asked, subject = subject_of(
        oracle,
        images,
        labels,
        noise=noise,
        front=front,
        budget=budget,
        seed=0 if seed == STAMPED else seed,
        run=folder,
        classes=classes,
        batch_size=batch_size,
        concurrency=concurrency,
    )
    config = _config(
        noise,
        plan,
        radii,
        limit,
        limited=budget is not None,
        changed=incremental_from is not None,
        allocation=allocation,
        family_wise=family_wise,
        false_discovery_rate=false_discovery_rate,
        labels=truth,
    )
    with told(callbacks) if callbacks else nullcontext(), suppress(BudgetExhausted):  # said below, with what to do
        session.certify(
            folder,
            subject,
            config=config,
            resume=resume,
            reuse=None if reuse is None else Path(reuse),
            incremental_from=None if incremental_from is None else Path(incremental_from),
            stamp=StampConfig(timestamp=timestamp, seed=seed == STAMPED),
            drift=drift_of(asked, canaries, canary_every),
            batch=jobs,
        )
    found = Certificates.read(folder, images=subject.images)
    if not found.complete:
        _LOG.warning(
            "the budget ended with %d of %d images unfinished; a call with a larger `budget` goes on",
            len(found.unfinished),
            len(found),
        )
    return found


def _config(
    noise: NoiseDistribution | Splitting,
    plan: CertificationMethod | None,
    radii: Sequence[float] | None,
    limit: int | None,
    *,
    limited: bool,
    changed: bool,
    **options: Any,
) -> CertifyConfig:
    """The settings of the certificates.

    Raises:
        UsageError: no plan for noise that is drawn, or one for noise that is not; an allocation where nothing is
            allocated, or a bound where that of an earlier run's votes counts.
    """
    if (plan is None) is not isinstance(noise, Splitting):
        raise UsageError(
            "`plan` must be Cohen, Sequential or Adaptive; with Splitting noise, which draws nothing, None"
        )
    stops_early = plan is not None and not isinstance(plan, Cohen)
    if options["allocation"] != "cheapest" and not (stops_early and limited):
        raise UsageError("`allocation` counts only with a Sequential or Adaptive `plan` and a `budget`; leave it out")
    if changed and isinstance(plan, Cohen) and plan.bound != ONE_CLASS:
        raise UsageError("`bound` does not count with `incremental_from`: leave it out")
    given = {"num_selection": 1, "num_estimation": 1, "alpha": 0.5} if plan is None else plan.settings
    if "radii" in given and radii is not None:
        raise UsageError("`radii` are part of a Sequential plan; leave them out of the call")
    asked = tuple(sorted(set(map(float, radii or ()))))
    return CertifyConfig(**{"radii": asked} | given | {"limit": limit} | options)
