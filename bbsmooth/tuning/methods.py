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


def _gains(
    learning_rate: float, probe_radius: float, *, learning_decay: float = 0.0, probe_decay: float = 0.0
) -> Gains:
    return Gains(
        learning_rate=learning_rate,
        probe_radius=probe_radius,
        learning_decay=learning_decay,
        probe_decay=probe_decay,
        stability=0.0,
    )


_SPSA = Spsa(directions=Rademacher(), num_directions=1)

METHODS: Mapping[str, Method] = {
    "spsa-gc": Method(
        summary="SPSA with look-ahead momentum on the decoder's scales and shifts",
        form=CleanedImage(),
        space=FilmSpace(),
        plan=TunePlan(
            estimator=_SPSA,
            rule=SpsaGc(momentum=0.9),
            gains=_gains(4e-3, 0.05, learning_decay=0.4, probe_decay=0.1),
        ),
    ),
    "output-differences": Method(
        summary="differences at the image shown, along smooth patterns, taken back through the coordinator; Adam",
        form=CleanedImage(),
        space=FilmSpace(),
        plan=TunePlan(
            estimator=OutputDifferences(frequencies=8, num_directions=1), rule=Adam(), gains=_gains(5e-3, 1.5)
        ),
    ),
    "spsa": Method(
        summary="plain SPSA on the decoder's scales and shifts",
        form=CleanedImage(),
        space=FilmSpace(),
        plan=TunePlan(estimator=_SPSA, rule=Sgd(), gains=_gains(0.04, 0.05, learning_decay=0.4, probe_decay=0.1)),
    ),
    "spsa-adam": Method(
        summary="SPSA with Adam on the decoder's scales and shifts",
        form=CleanedImage(),
        space=FilmSpace(),
        plan=TunePlan(estimator=_SPSA, rule=Adam(), gains=_gains(5e-3, 0.05)),
    ),
    "blackvip": Method(
        summary="a prompt added to the input, SPSA-GC on all decoder weights (after Oh et al., CVPR 2023)",
        form=AddedPrompt(2.0),
        space=DecoderSpace(),
        plan=TunePlan(
            estimator=Spsa(directions=SegmentedUniform(), num_directions=1),
            rule=SpsaGc(momentum=0.9),
            gains=_gains(4e-4, 0.01, learning_decay=0.4, probe_decay=0.1),
        ),
    ),
}
"""The methods that `bbsmooth tune --method` names."""
