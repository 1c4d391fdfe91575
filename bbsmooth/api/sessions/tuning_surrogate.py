"""A surrogate that teaches tuning's start without a query: opened before anything is begun."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bbsmooth.api.sessions.tuning_start import kept_start, made_start
from bbsmooth.assemble import Front
from bbsmooth.coordinator import Autoencoder, CleanedImage, ScoreScaled, StabilityPlan, Stored, stabilise
from bbsmooth.errors import UsageError
from bbsmooth.progress.meter import meter
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.layout import STABILISED, STABILITY
from bbsmooth.runs.records.summaries import Stability
from bbsmooth.settings.common import SmoothingConfig
from bbsmooth.tuning.methods import Method

if TYPE_CHECKING:
    from bbsmooth.whitebox.surrogates import Surrogate

_log = logging.getLogger(__name__)


def surrogate_for(
    name: str | None, front: Front, method: Method, image_shape: tuple[int, int, int]
) -> Surrogate | None:
    """The surrogate of a name, opened; None where none is named.

    Args:
        name: as `bbsmooth.whitebox.storage.owned` takes it.
        front: from which tuning starts.
        method: that tunes afterwards.
        image_shape: (C, H, W).

    Raises:
        UsageError: there is no denoiser whose weights it could teach, or it is not for such images.
        SpecError: it cannot be opened.
    """
    if name is None:
        return None
    if method.form != CleanedImage() or method.latent_channels is not None:
        raise UsageError(
            "`surrogate` teaches a denoiser, and `method` adds a prompt or an autoencoder; leave one of them out"
        )
    held = None if (parts := front.parts) is None else parts[0]
    if not isinstance(held.front if isinstance(held, ScoreScaled) else held, Autoencoder | None):
        raise UsageError(
            f"`surrogate` changes the weights of bbsmooth's own network, and {front.path or '`start`'} stays as it is; "
            "leave one of them out"
        )
    from bbsmooth.whitebox.surrogates import Surrogate  # and timm, which takes as long to import as torch

    return Surrogate.named(name, image_shape)


def taught(
    out: Path,
    start: Stored,
    surrogate: Surrogate | None,
    pixels: Tensor,
    smoothing: SmoothingConfig,
    *,
    device: torch.device,
) -> tuple[Stored, Tensor, Record]:
    """What tuning starts from once the surrogate has taught `start`, its parameters, and what a summary says of it.

    Raises:
        Damaged: the one that an earlier process has left is not as it was written.
    """
    if surrogate is None:
        return start, start.initial_parameters(), {}
    assert isinstance(start, Autoencoder)
    if (out / STABILISED).exists():
        coordinator, parameters, told = made_start(out / STABILISED, out / STABILITY, Stability)
        return coordinator, parameters, {"stability": told}
    began, plan = time.monotonic(), StabilityPlan()
    with meter("learn from the surrogate (no query)", plan.steps, "steps") as bar:
        found = stabilise(
            start,
            pixels,
            surrogate.on(device),
            noise=smoothing.distribution,
            plan=plan,
            seed=smoothing.seed,
            device=device,
            progress=lambda step, loss: bar.advance(1, f"loss {loss:.3f}"),
        )
    told = {
        "surrogate": surrogate.name,
        "steps": plan.steps,
        "judged": found.judged,
        "agreement_start": found.agreement_start,
        "agreement": found.agreement,
        "seconds": round(time.monotonic() - began, 3),
    }
    kept_start(out / STABILISED, out / STABILITY, found.coordinator, told)
    _log.info(
        f"of {found.judged:,} held-out noisy images the surrogate said the same as of the clean ones for "
        f"{100 * found.agreement_start:.1f} % before, {100 * found.agreement:.1f} % now"
    )
    return found.coordinator, found.coordinator.initial_parameters(), {"stability": told}
