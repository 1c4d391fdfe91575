"""The settings of `bbsmooth tune`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from bbsmooth.errors import UsageError
from bbsmooth.settings.option import Needs, Option, Panel

AUTOENCODED = ("zo-ae-ds-cge", "zo-ae-ds-rge")
"""Methods that train an autoencoder too, also behind a denoiser to start from."""

EPOCHS = 40
"""Times that pre-training sees every image, where nobody says otherwise."""


def idle_without_queries(name: str) -> UsageError:
    """The error of a setting that counts only where the oracle is asked, and nothing is left to ask it with."""
    return UsageError(
        f"`{name}` is about questions to the oracle, and `budget` leaves none for tuning: raise it, or leave `{name}` "
        "out"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneConfig:
    """Settings of a tuning: what to tune, and how.

    `method` is a name in `bbsmooth.tuning.methods.METHODS` or "auto", `objective` one in
    `bbsmooth.tuning.methods.OBJECTIVES`, "agreement", or None for what the method comes with.
    """

    method: Annotated[
        str,
        Option(
            "What is tuned and how; auto picks by what was measured, and says what and why: auto, equaliser, "
            "matrix-scaling, vector-scaling, equaliser-matrix, equaliser-vector, "
            "equaliser-cma, equaliser-clipped, equaliser-film, equaliser-corrected, pattern, "
            "spsa-gc, spsa, spsa-adam, spsa-sign, gaussian, "
            "output-differences, distilled, zo-ds, zo-ae-ds-cge, zo-ae-ds-rge, blackvip.",
            panel=Panel.TUNING,
            default="auto",
        ),
    ]
    objective: Annotated[
        str | None,
        Option(
            "What is minimised: cross-entropy, margin, mistakes or radius, of the true label; certified, the share of "
            "images that are not certified at `radius`, smoothed, classes counting alike; or agreement, with the "
            "oracle's own answer to the clean image, which needs no labels but a query for each image, a tenth of the "
            "budget at most. Without it, what the method was measured best with.",
            panel=Panel.TUNING,
            default=None,
        ),
    ]
    radius: Annotated[
        float | None,
        Option(
            "Judge by the share of held-out images that will be certified at this radius: what is kept certifies more "
            "of them by more than chance, and where a first look promises nothing, the rest of the budget stays "
            "unspent. Without it noisy accuracy is the judge.",
            panel=Panel.TUNING,
            default=None,
        ),
    ]
    shots: Annotated[
        int | None,
        Option(
            "Use this many images of each class, chosen at random, for pre-training and tuning; all of them if "
            "left out.",
            panel=Panel.TUNING,
            default=None,
        ),
    ]
    front_size: Annotated[
        str | None,
        Option(
            "The denoiser that tuning starts from: folded, a small network that is trained from nothing; small or "
            "base, the natural denoiser, fine-tuned on your images. Without it base for grey or colour images of 32 "
            "pixels a side or more, else folded.",
            panel=Panel.TUNING,
            default=None,
            needs=(Needs("start", absent=True),),
        ),
    ]
    pretrain_epochs: Annotated[
        int | None,
        Option(
            "Epochs of denoising pre-training, without a query; at most, where the natural denoiser is fine-tuned. "
            f"Also those of the autoencoder that zo-ae-ds puts behind `start`. Without it {EPOCHS}.",
            panel=Panel.TUNING,
            default=None,
            needs=(Needs("start", absent=True, unless=("method", AUTOENCODED)),),
        ),
    ]
    surrogate: Annotated[
        str | None,
        Option(
            "A classifier of yours for such images, named as `bbsmooth train` takes its model, not the oracle: before "
            "a query is asked, the denoiser learns that this one says of its images what it says of the clean ones. "
            "Its classes may be others.",
            "MODEL",
            Panel.TUNING,
            default=None,
        ),
    ] = None
    train_images: Annotated[
        int, Option("Use this many images, the first of the training split.", "IMAGES", Panel.IMAGES, default=10_000)
    ]
    steps: Annotated[
        int | None,
        Option(
            "Most steps to take: fewer ones with more questions each, for `batch`, where every step waits for its "
            "answers. Without it as many as the method usually takes with the budget.",
            panel=Panel.TUNING,
            default=None,
            least=1,
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse what does not exist."""
        from bbsmooth.coordinator.making import FRONT_SIZES
        from bbsmooth.tuning.automatic import AUTO
        from bbsmooth.tuning.methods import AGREEMENT, CERTIFIED, METHODS, OBJECTIVES

        for name, value, known in (
            ("method", self.method, [AUTO, *METHODS]),
            ("objective", self.objective, [None, *OBJECTIVES, CERTIFIED, AGREEMENT]),
        ):
            if value not in known:
                raise UsageError(f"`{name}` must be one of {', '.join(filter(None, known))}, got {value!r}")
        if self.front_size not in (None, *FRONT_SIZES):
            raise UsageError(f"`front_size` must be one of {', '.join(FRONT_SIZES)}, got {self.front_size!r}")
        if self.radius is not None and not 0 < self.radius < math.inf:
            raise UsageError(f"`radius` must be a positive number, got {self.radius}")
        if self.objective == CERTIFIED and self.radius is None:
            raise UsageError("`objective` certified needs `radius`, at which images shall be certified")
        if self.shots is not None and self.shots < 1:
            raise UsageError(f"`shots` must be at least 1, got {self.shots}")
        if self.steps is not None and self.steps < 1:
            raise UsageError(f"`steps` must be at least 1, got {self.steps}")
        if self.epochs < 1 or self.train_images < 1:
            raise UsageError("`pretrain_epochs` and `train_images` must be at least 1")

    @property
    def epochs(self) -> int:
        """Epochs of pre-training."""
        return EPOCHS if self.pretrain_epochs is None else self.pretrain_epochs
