"""The method of a tuning: which one is meant, for which images, and in how many rounds it takes a budget."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from bbsmooth.api.sessions.tuning_images import TuningImages
from bbsmooth.assemble import Front
from bbsmooth.coordinator import Denoised, ScoreScaling
from bbsmooth.errors import UsageError
from bbsmooth.noise import NoiseDistribution
from bbsmooth.runs.directory import read_manifest
from bbsmooth.runs.layout import MANIFEST
from bbsmooth.settings.tune import TuneConfig
from bbsmooth.tuning.automatic import AUTO, Choice, choose
from bbsmooth.tuning.certified_share import RadiusJudge
from bbsmooth.tuning.losses.certified_share import CertifiedShare, balanced
from bbsmooth.tuning.methods import (
    AGREEMENT,
    CERTIFIED,
    LIKELIHOOD,
    METHODS,
    OBJECTIVES,
    WORTH,
    Method,
    fitted,
    judged,
    judged_twice,
)
from bbsmooth.tuning.plan import TunePlan
from bbsmooth.tuning.radius_schedule import TooFewImages
from bbsmooth.tuning.rounds import Rounds, Schedule, in_steps
from bbsmooth.tuning.tune import schedule_of
from oracles import OracleSpec

_IMAGES_A_CLASS = 2
"""Fewer, and there is nothing to learn how much to believe in most classes from."""

JUDGED_ONCE = "judged_once"
"""Entry of a manifest: the answers that judge a map of scores judge its start too. Earlier versions asked apart."""

_APART = 1.25
"""Times as many queries, where the start is asked about apart."""

_MOST_NEEDED = 0.999
"""Largest probability that a hundred draws an image can say anything about."""


def chosen(
    config: TuneConfig,
    queries: int,
    spec: OracleSpec,
    image_shape: tuple[int, int, int],
    front: Front,
    num_images: int,
) -> Choice:
    """The method that is meant, and why; `num_images` are there to tune on."""
    if config.method != AUTO:
        return Choice(config.method, "it was asked for")
    given = (parts := front.parts) is not None and isinstance(parts[0], Denoised)
    by_likelihood = config.objective in (None, LIKELIHOOD, AGREEMENT) and not spec.classes.open_set
    by_likelihood &= num_images >= _IMAGES_A_CLASS * len(spec.classes)
    return choose(
        queries=queries,
        feedback=spec.feedback,
        image_shape=image_shape,
        num_classes=len(spec.classes) if by_likelihood else None,
        given_denoiser=given,
    )


def picked(out: Path) -> Choice | None:
    """The method of a run that was begun, which goes on with it whatever would be picked today."""
    if not (out / MANIFEST).exists():
        return None
    manifest = read_manifest(out)
    method, reason = manifest.get("method_used"), manifest.get("method_because")
    return Choice(str(method), str(reason)) if method in METHODS else None


def worth_spending(method: Method, spec: OracleSpec, queries: int) -> int:
    """The queries of a budget that are worth spending: few do for a map of scores, more to judge it by a radius."""
    if method.scaling is None or method.joint:
        return queries
    enough = ScoreScaling(method.scaling, len(spec.classes)).enough * (1 if method.plan.judges_once else _APART)
    return min(queries, int(enough if method.plan.judge is None else WORTH * enough))


def as_begun(method: Method, out: Path) -> Method:
    """The method as it judges in the run in `out`, which goes on as it was begun."""
    begun_before = (out / MANIFEST).exists() and not dict[str, Any](read_manifest(out)).get(JUDGED_ONCE)
    return judged_twice(method) if method.plan.judges_once and begun_before else method


def method_of(
    choice: Choice,
    config: TuneConfig,
    noise: NoiseDistribution,
    labels: Tensor | None,
    image_shape: tuple[int, int, int],
) -> Method:
    """The method for images of this shape, with the objective and the judge that were asked for.

    Raises:
        UsageError: a radius that no probability proves, or images that it is not for.
    """
    return _fitted(_named(choice, config, noise, labels), image_shape)


def _fitted(method: Method, image_shape: tuple[int, int, int]) -> Method:
    """The method for images of this shape.

    Raises:
        UsageError: it is not for such images.
    """
    try:
        return fitted(method, image_shape)
    except ValueError as error:
        raise UsageError(f"`method`: {error}") from None


def _named(choice: Choice, config: TuneConfig, noise: NoiseDistribution, labels: Tensor | None) -> Method:
    """The method, with the objective and the judge that were asked for.

    Raises:
        UsageError: a radius that no probability proves, or an objective that the method does not have.
    """
    method = METHODS[choice.method]
    loss = OBJECTIVES.get(config.objective or "", method.plan.loss)
    if method.scaling and config.objective not in (None, LIKELIHOOD, AGREEMENT):
        raise UsageError(f"`method` {choice.method} fits by maximum likelihood; leave `objective` out")
    if config.radius is not None:
        needed = noise.probability(config.radius)
        if not 0.5 <= needed < _MOST_NEEDED:
            raise UsageError(f"`radius` {config.radius:g} needs a probability of {needed:g}; choose a smaller one")
        method = judged(method, RadiusJudge(radius=config.radius, needed=needed))
        if config.objective == CERTIFIED:
            loss = CertifiedShare(needed=needed, weights=() if labels is None else balanced(labels))
    return replace(method, plan=replace(method.plan, loss=loss))


def taking(method: Method, images: TuningImages, queries: int, steps: int | None) -> Method:
    """The method in at most `steps` steps, None for as many as it usually takes.

    Raises:
        UsageError: too few images or queries to tune anything, or too few steps.
    """
    if steps is None or rounds(method, images, queries) is None:
        return method
    try:
        return replace(method, plan=in_steps(method.plan, steps, lambda plan: _schedule(plan, images, queries)))
    except ValueError as error:
        raise UsageError(f"`steps` {steps} are too few for this budget: {str(error).partition(';')[0]}") from None


def rounds(method: Method, images: TuningImages, queries: int) -> Rounds | None:
    """The rounds of questions that a budget is spent in; None without a budget.

    Raises:
        UsageError: too few images or queries to tune anything.
    """
    num_images = len((images.within(queries) if queries else images).pixels)
    if num_images < 2:
        raise UsageError(f"tuning needs at least 2 images, got {num_images}")
    if not queries:
        return None
    with _explained():
        return Rounds.of(_schedule(method.plan, images, queries), clean=images.cost(queries))


def _schedule(plan: TunePlan, images: TuningImages, queries: int) -> Schedule:
    num_images = len(images.within(queries).pixels)
    num_heldout = plan.num_heldout(num_images)
    return schedule_of(
        max(0, queries - images.cost(queries)), plan, num_images=num_images - num_heldout, num_heldout=num_heldout
    )


@contextmanager
def _explained() -> Iterator[None]:
    """Say of a budget that cannot be divided what to change.

    Raises:
        UsageError: it cannot.
    """
    try:
        yield
    except TooFewImages as error:
        raise UsageError(f"{error}: give more images to tune on, or leave `radius` out") from None
    except ValueError as error:
        raise UsageError(f"`budget`: {str(error).partition(';')[0]}; raise it") from None
