"""Settings of a tuning that would be ignored, refused before a run is begun."""

from __future__ import annotations

from bbsmooth.api.sessions.tuning_images import TuningImages
from bbsmooth.assemble import Subject
from bbsmooth.coordinator import LatentCoordinator
from bbsmooth.errors import UsageError
from bbsmooth.settings.batch import BatchConfig
from bbsmooth.settings.common import USUAL_DRIFT, DriftConfig
from bbsmooth.settings.tune import TuneConfig, idle_without_queries
from bbsmooth.tuning.automatic import AUTO
from bbsmooth.tuning.methods import AGREEMENT, OBJECTIVES, Method
from oracles import Feedback

_OF_LABELS = "mistakes"
"""The objective that all others are where an oracle gives labels alone."""


def refuse_idle(
    config: TuneConfig,
    subject: Subject,
    method: Method,
    images: TuningImages,
    *,
    queries: int,
    chooses: bool,
    drift: DriftConfig,
    batch: BatchConfig,
) -> None:
    """Refuse settings that would change nothing, of a run that is still to be begun.

    Args:
        config: of the tuning.
        subject: whom to ask, and from where tuning starts.
        method: that tunes.
        images: that it learns from.
        queries: left for tuning.
        chooses: whether sigma is chosen first, for which labels and a radius count.
        drift: how a change of the model is noticed.
        batch: how the oracle is asked.

    Raises:
        UsageError: the first of them.
    """
    if config.pretrain_epochs is not None and not trains(subject, method):
        raise UsageError(
            "`pretrain_epochs` does not count here: `start` has all that `method` needs, and nothing is pre-trained; "
            "leave `pretrain_epochs` out"
        )
    if subject.class_order is not None and images.labels is None and not chooses:
        raise UsageError(
            "`class_order` says how labels are numbered, and none are needed here: leave `class_order` out"
        )
    if not queries:
        _refuse_questions(config, method, chooses=chooses, drift=drift, batch=batch)
    spec = subject.oracle.spec
    if spec.feedback is Feedback.LABELS and config.objective in OBJECTIVES and config.objective != _OF_LABELS:
        raise UsageError(
            f"`objective` {config.objective} needs scores, and {spec.name} answers with labels alone: leave it out, or "
            f"give {_OF_LABELS}"
        )


def trains(subject: Subject, method: Method) -> bool:
    """Whether something is trained before the first query: a denoiser, or an autoencoder behind one."""
    parts = subject.front.parts
    return parts is None or (method.latent_channels is not None and not isinstance(parts[0], LatentCoordinator))


def _refuse_questions(
    config: TuneConfig, method: Method, *, chooses: bool, drift: DriftConfig, batch: BatchConfig
) -> None:
    """Refuse what counts only where the oracle is asked."""
    given = {
        "objective": config.objective not in (None, AGREEMENT),
        "radius": config.radius is not None and not chooses,
        "steps": config.steps is not None,
        "canary_every": drift.canary_every != USUAL_DRIFT.canary_every,
        "batch": batch.batch,
        "method": config.method != AUTO and method.scaling is not None,
    }
    for name, is_given in given.items():
        if is_given:
            raise idle_without_queries(name)
