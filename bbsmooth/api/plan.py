"""Forecasts, from a pilot, of the cost of certifying images in memory."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from bbsmooth.api.batch import Batch, batch_config
from bbsmooth.api.oracle import BATCH_SIZE
from bbsmooth.api.results import Forecast
from bbsmooth.api.sessions import plan as session
from bbsmooth.api.sessions.plan_sigma import plan_sigma
from bbsmooth.api.subject import AnyFront, AnyOracle, Callback, noises_of, subject_of, told
from bbsmooth.errors import UsageError
from bbsmooth.noise import NoiseDistribution
from bbsmooth.settings.accept import BY_CLASS
from bbsmooth.settings.certify import CertifyConfig
from bbsmooth.settings.common import IN_MEMORY
from bbsmooth.settings.idle import refuse_without
from bbsmooth.settings.plan import PILOT_DRAWS, ClaimConfig, PilotConfig
from bbsmooth.settings.sigma import SigmaConfig, refuse_with_choice
from oracles import Budget

_log = logging.getLogger(__name__)


def plan(
    oracle: AnyOracle,
    images: Any,
    labels: Any = None,
    *,
    noise: NoiseDistribution | Sequence[NoiseDistribution],
    radii: Sequence[float],
    num_selection: int,
    max_estimation: int,
    alpha: float,
    beta: float,
    pilot: int,
    seed: int,
    pilot_draws: int = PILOT_DRAWS,
    choose_cap: float | None = None,
    at_least: float | None = None,
    alpha_total: float | None = None,
    beta_total: float | None = None,
    population: Literal["data", "source"] | None = None,
    image_draws: int | None = None,
    max_images: int | None = None,
    accept_budget: int | None = None,
    groups: Sequence[str] | Literal["class"] | None = None,
    run: Path | str | None = None,
    budget: Budget | None = None,
    front: AnyFront | None = None,
    limit: int | None = None,
    batch: bool | Batch = False,
    resume: bool = True,
    batch_size: int = BATCH_SIZE,
    concurrency: int | None = None,
    callbacks: Sequence[Callback] = (),
) -> Forecast:
    """Queries, time, price and certified share to expect of a certification, with intervals, from a small pilot.

    Args:
        oracle: from `bbsmooth.oracle`, or what that takes.
        images: (N, C, H, W) uint8 or floats that are k / 255, or a data set.
        labels: (N,) class of each, which `at_least` and several `noise` need; a data set may bring its own.
        noise: `Gaussian`, `Laplace` or `Uniform`; or several that differ in sigma, of which the one that certifies most
            at the only one of `radii` is chosen (`Forecast.sigma`), from labelled images after the first `limit`.
        radii: that are wanted.
        num_selection: draws that choose an image's class (n0); the pilot asks the first of these.
        max_estimation: fresh draws that bound its probability (n), for sequential methods the most of them.
        alpha: probability that a certificate is wrong.
        beta: probability that an early end gives up what holds.
        pilot: images of the pilot, chosen by chance; with several `noise` those of its first round.
        seed: of all draws; `certify` with the same seed takes the pilot's answers over with `reuse=run`.
        pilot_draws: of each image of the pilot.
        choose_cap: share of the images that a smaller cap may leave open; the smallest such cap is chosen. None keeps
            `max_estimation`.
        at_least: share of the images that must be right and robust at all `radii`: forecasts `accept` too, with the
            settings that follow, which have no defaults. None does not.
        alpha_total: as of `accept`.
        beta_total: `beta` of `accept`.
        population: as of `accept`.
        image_draws: `max_estimation` of `accept`.
        max_images: as of `accept`.
        accept_budget: queries after which `accept` ends without an answer, None for no limit.
        groups: as of `accept`.
        run: the run directory, made where it is missing; None keeps nothing.
        budget: what the pilot may spend, None for no limit.
        front: stands between the noise and the oracle: what `tune`, `pretrain` or `denoiser` returned, a
            function from images and sigma to images, or the directory of a run.
        limit: images that are to be certified, from the first; None for all.
        batch: whether the pilot is asked through the vendor's batch interface, or how; where there is one, the
            certification is forecast through it too.
        resume: False refuses a directory that holds a run.
        batch_size: images in one call of the oracle.
        concurrency: calls under way at once, None for what suits the oracle.
        callbacks: each told (task, done, facts) as the pilot goes on.

    Raises:
        ShapeError: images that are no 8-bit images.
        UsageError: settings that cannot work, or a budget below the pilot; nothing was spent.
        OracleError: see `oracles.errors`; all answers so far are on disk.
    """
    jobs, folder = batch_config(batch), None if run is None else Path(run)
    levels = noises_of(noise)
    _, subject = subject_of(
        oracle,
        images,
        labels,
        noise=levels[0],
        front=front,
        budget=budget,
        seed=seed,
        run=folder,
        batch_size=batch_size,
        concurrency=concurrency,
    )
    config = CertifyConfig(
        method="sequential",
        radii=tuple(sorted(set(map(float, radii)))),
        num_selection=num_selection,
        num_estimation=max_estimation,
        alpha=alpha,
        beta=beta,
        limit=limit,
    )
    claim = _claim(
        at_least=at_least,
        alpha_total=alpha_total,
        beta_total=beta_total,
        population=population,
        image_draws=image_draws,
        max_images=max_images,
    )
    columns = None if groups is None or groups == BY_CLASS else list(map(str, groups))
    if claim is None:
        refuse_without("at_least", accept_budget=accept_budget is not None, groups=groups is not None)
    else:
        named = BY_CLASS if groups == BY_CLASS else None if columns is None else f"{IN_MEMORY}groups"
        claim = replace(claim, accept_budget=accept_budget, groups=named)
    asked = PilotConfig(pilot=pilot, pilot_draws=pilot_draws, choose_cap=choose_cap)
    with told(callbacks) if callbacks else nullcontext():
        if len(levels) > 1:
            refuse_with_choice(asked, claim, jobs)
            choice = SigmaConfig.of(tuple(each.sigma for each in levels), config, levels[0].name)
            chosen = plan_sigma(
                folder, subject, config=config, pilot=asked, choice=choice, resume=resume, announce=_log.info
            )
            return Forecast(chosen, folder)
        found = session.plan(
            folder,
            subject,
            config=config,
            pilot=asked,
            claim=claim,
            groups=columns,
            resume=resume,
            announce=_log.info,
            batch=jobs,
        )
    return Forecast(found, folder)


def _claim(**given: Any) -> ClaimConfig | None:
    """The acceptance test that is forecast, None where nothing was said about one.

    Raises:
        UsageError: a setting is missing.
    """
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(given):
        return None
    if missing:
        raise UsageError(f"a forecast of an acceptance test needs `{'`, `'.join(missing)}` too")
    return ClaimConfig(**given)
