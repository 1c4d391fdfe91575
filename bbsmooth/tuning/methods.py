"""Methods by name: what is tuned, how gradients are estimated, how steps are taken, with measured settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bbsmooth.coordinator import AddedPrompt, CleanedImage, DecoderSpace, FilmSpace, Form, Space
from bbsmooth.tuning.directions import Rademacher, SegmentedUniform
from bbsmooth.tuning.gains import Gains
from bbsmooth.tuning.gradients import Spsa
from bbsmooth.tuning.outputs import OutputDifferences
from bbsmooth.tuning.plan import TunePlan
from bbsmooth.tuning.steps import Adam, Sgd, SpsaGc


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A way to tune a coordinator.

    Attributes:
        summary: in one line.
        form: how the network's output becomes the image for the oracle.
        space: which numbers are tuned.
        plan: how.
    """

    summary: str
    form: Form
    space: Space
    plan: TunePlan


_FILM_GAINS = Gains(learning_rate=1e-3, probe_radius=0.05, learning_decay=0.4, probe_decay=0.1, stability=0.0)
_BLACKVIP_GAINS = Gains(learning_rate=0.01, probe_radius=0.01, learning_decay=0.4, probe_decay=0.2, stability=1.0)

METHODS: Mapping[str, Method] = {
    "output-differences": Method(
        summary="differences at the image shown, along smooth patterns, back-propagated through the coordinator",
        form=CleanedImage(),
        space=DecoderSpace(),
        plan=TunePlan(
            estimator=OutputDifferences(frequencies=8, num_directions=1),
            rule=Adam(),
            gains=Gains(learning_rate=5e-4, probe_radius=3.0, learning_decay=0.4, probe_decay=0.0, stability=0.0),
        ),
    ),
    "spsa-gc": Method(
        summary="SPSA with look-ahead momentum on the decoder's scales and shifts",
        form=CleanedImage(),
        space=FilmSpace(),
        plan=TunePlan(
            estimator=Spsa(directions=Rademacher(), num_directions=1), rule=SpsaGc(momentum=0.9), gains=_FILM_GAINS
        ),
    ),
    "spsa": Method(
        summary="plain SPSA on the decoder's scales and shifts",
        form=CleanedImage(),
        space=FilmSpace(),
        plan=TunePlan(estimator=Spsa(directions=Rademacher(), num_directions=1), rule=Sgd(), gains=_FILM_GAINS),
    ),
    "spsa-adam": Method(
        summary="SPSA with Adam on the decoder's scales and shifts",
        form=CleanedImage(),
        space=FilmSpace(),
        plan=TunePlan(estimator=Spsa(directions=Rademacher(), num_directions=1), rule=Adam(), gains=_FILM_GAINS),
    ),
    "blackvip": Method(
        summary="a prompt added to the input, SPSA-GC on all decoder weights (Oh et al., CVPR 2023)",
        form=AddedPrompt(1.0),
        space=DecoderSpace(),
        plan=TunePlan(
            estimator=Spsa(directions=SegmentedUniform(), num_directions=1),
            rule=SpsaGc(momentum=0.9),
            gains=_BLACKVIP_GAINS,
        ),
    ),
}
"""The methods that `bbsmooth tune --method` names."""

DEFAULT_METHOD = "spsa-gc"
"""What `bbsmooth tune` does unless told otherwise."""
