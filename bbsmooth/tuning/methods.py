"""Methods by name: what is tuned, how gradients are estimated, how steps are taken, with measured settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bbsmooth.coordinator import (
    AddedPrompt,
    Bottleneck,
    CleanedImage,
    DecoderSpace,
    EqualiserSpace,
    FilmSpace,
    Form,
    OutputSpace,
    PatternSpace,
    ScalingKind,
    Space,
    TriggerSpace,
)
from bbsmooth.coordinator.equaliser import SETTINGS
from bbsmooth.tuning.certified_share import RadiusJudge
from bbsmooth.tuning.estimators.bases import Blocks, Cosines
from bbsmooth.tuning.estimators.directions import Directions, Leading, Normal, Rademacher, SegmentedUniform
from bbsmooth.tuning.estimators.grouped import GroupedSpsa
from bbsmooth.tuning.estimators.image_directions import CoordinateDirections, ImageDirections, RandomDirections
from bbsmooth.tuning.estimators.image_space import OutputDifferences
from bbsmooth.tuning.estimators.parameter_space import ForwardDifference, GradientEstimator, Spsa
from bbsmooth.tuning.learners.cma_es import CmaEs
from bbsmooth.tuning.learners.descent import Descent
from bbsmooth.tuning.learners.joint import JointFit
from bbsmooth.tuning.learners.score_scaling import ScoreFit
from bbsmooth.tuning.learners.staged import Staged
from bbsmooth.tuning.learners.surrogate import CorrectedDescent, Distillation, SurrogateLearner
from bbsmooth.tuning.losses.losses import CrossEntropy, Loss, Margin, Mistakes, SoftRadius
from bbsmooth.tuning.plan import TunePlan
from bbsmooth.tuning.rules.clipping import Clipped
from bbsmooth.tuning.rules.gains import Gains
from bbsmooth.tuning.rules.steps import Adam, Sgd, Sign, SpsaGc, StepRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A way to tune a coordinator.

    Attributes:
        summary: in one line.
        form: how the network's output becomes the image for the oracle.
        space: which numbers are tuned.
        plan: how.
        latent_channels: of an autoencoder whose decoder counts to the black box, None where images are cut off.
        scaling: of the oracle's scores, which then is all that is tuned, but for `joint`; None where images are.
        joint: whether what is shown is tuned through such a scaling.
    """

    summary: str
    form: Form
    space: Space
    plan: TunePlan
    latent_channels: int | None = None
    scaling: ScalingKind | None = None
    joint: bool = False


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


_EQUALISER_STEPS = 40
_SPSA = Spsa(directions=Rademacher(), num_directions=1)


def _descent(estimator: GradientEstimator, rule: StepRule, gains: Gains) -> TunePlan:
    return TunePlan(learner=Descent(estimator=estimator, rule=rule, gains=gains))


def _denoiser(summary: str, space: Space, plan: TunePlan) -> Method:
    return Method(summary=summary, form=CleanedImage(), space=space, plan=plan)


_LATENT_DIRECTIONS = 192
"""Of Zhang et al. for CIFAR-10, whose latent has as many numbers."""


def _latent(summary: str, directions: ImageDirections) -> Method:
    estimator = OutputDifferences(
        basis=Blocks(1), directions=directions, num_directions=_LATENT_DIRECTIONS, two_sided=False
    )
    descent = Descent(estimator=estimator, rule=Adam(), gains=_gains(1e-3, 0.005))
    plan = TunePlan(learner=descent, batch_size=20)
    return Method(summary=summary, form=CleanedImage(), space=DecoderSpace(), plan=plan, latent_channels=3)


def fitted(method: Method, image_shape: tuple[int, int, int]) -> Method:
    """The method for images (C, H, W): along no more directions than a latent has coordinates.

    Raises:
        ValueError: sides that no latent fits.
    """
    learner = method.plan.learner
    if method.latent_channels is None or not isinstance(learner, Descent):
        return method
    size = Bottleneck(image_shape=image_shape, channels=method.latent_channels).latent_size
    estimator = replace(learner.estimator, num_directions=min(_LATENT_DIRECTIONS, size))  # type: ignore[type-var]
    return replace(method, plan=replace(method.plan, learner=replace(learner, estimator=estimator)))


def _of_scores(summary: str, scaling: ScalingKind) -> Method:
    plan = TunePlan(learner=ScoreFit(), averaging=0.0, validation_fraction=1 / 3, evaluations=1, margin=0.0)
    return Method(summary=summary, form=CleanedImage(), space=EqualiserSpace(), plan=plan, scaling=scaling)


def judged_twice(method: Method) -> Method:
    """A method that scales scores, as runs of before judged it: the start was asked about apart, by as many queries."""
    return replace(method, plan=replace(method.plan, validation_fraction=0.5, evaluations=2))


JUDGED, WORTH = 8, 16
"""Times the queries that a map of scores is learnt from, and times those that are enough, which a budget is worth where
a radius decides.

The rest of them judge: few images change sides, and the fewer of these are seen, the larger a gain must be to show.
"""


def judged(method: Method, judge: RadiusJudge) -> Method:
    """The method where certified shares at a radius decide what is kept."""
    fraction = 1 - 1 / JUDGED if method.plan.judges_once else method.plan.validation_fraction
    return replace(method, plan=replace(method.plan, judge=judge, validation_fraction=fraction))


def within(method: Method, budget: int) -> Method:
    """The method where that many queries may be spent, whether they are worth it or not."""
    judge = method.plan.judge
    return method if judge is None else replace(method, plan=replace(method.plan, judge=replace(judge, budget=budget)))


_DECAYED = {"learning_decay": 0.4, "probe_decay": 0.1}


def _grouped(directions: Directions, gains: Gains) -> Descent:
    return Descent(estimator=GroupedSpsa(directions=directions, num_groups=10), rule=Adam(), gains=gains)


_EQUALISER_GAINS = _gains(0.03, 0.1, learning_decay=0.25)
_EQUALISER = _grouped(Leading(Rademacher(), SETTINGS), _EQUALISER_GAINS)

LIKELIHOOD = "cross-entropy"
"""The objective of methods that fit by maximum likelihood."""


def _joint(summary: str, scaling: ScalingKind) -> Method:
    plan = TunePlan(learner=JointFit(descent=_EQUALISER), test_share=0.2)
    return Method(summary=summary, form=CleanedImage(), space=EqualiserSpace(), plan=plan, scaling=scaling, joint=True)


OBJECTIVES: Mapping[str, Loss] = {
    LIKELIHOOD: CrossEntropy(),
    "margin": Margin(),
    "mistakes": Mistakes(),
    "radius": SoftRadius(),
}
"""What `bbsmooth tune --objective` names; with labels only, all of them are the share of mistakes."""

CERTIFIED = "certified"
"""The objective of the share of images that are certified at the radius that was asked for."""

AGREEMENT = "agreement"
"""The objective that counts the oracle's own answer to the clean image as the truth."""

METHODS: Mapping[str, Method] = {
    "matrix-scaling": _of_scores(
        "an affine map of the oracle's log-probabilities, by maximum likelihood (matrix scaling, Guo et al., ICML"
        " 2017)",
        ScalingKind.MATRIX,
    ),
    "vector-scaling": _of_scores(
        "a factor and a shift for each class's log-probability, by maximum likelihood (vector scaling, the same)",
        ScalingKind.VECTOR,
    ),
    "equaliser": _denoiser(
        "SPSA with Adam on twenty numbers: how loud each band of frequencies is in the image shown",
        EqualiserSpace(),
        TunePlan(learner=_EQUALISER),
    ),
    "equaliser-matrix": _joint(
        "the equaliser, and matrix scaling of what is answered, which is fitted to the same answers", ScalingKind.MATRIX
    ),
    "equaliser-vector": _joint("the same with vector scaling", ScalingKind.VECTOR),
    "equaliser-film": _denoiser(
        "the equaliser for 8,000 queries, then with it the decoder's scales and shifts",
        EqualiserSpace(FilmSpace()),
        TunePlan(
            learner=Staged(
                first=_EQUALISER,
                second=_grouped(Rademacher(), _gains(5e-3, 0.05, learning_decay=0.25)),
                steps=_EQUALISER_STEPS,
            )
        ),
    ),
    "equaliser-corrected": _denoiser(
        "the equaliser; a local surrogate that is taught every answer takes off what its own gradient explains",
        EqualiserSpace(),
        TunePlan(
            learner=CorrectedDescent(
                estimator=GroupedSpsa(directions=Rademacher(), num_groups=10),
                rule=Adam(),
                gains=_EQUALISER_GAINS,
                distillation=Distillation(fit_steps=20),
            )
        ),
    ),
    "pattern": _denoiser(
        "SPSA with Adam on the lowest cosine waves of a pattern that is added to every image shown",
        PatternSpace(8),
        TunePlan(learner=_grouped(Rademacher(), _EQUALISER_GAINS)),
    ),
    "equaliser-cma": _denoiser(
        "CMA-ES on the equaliser's twenty numbers (Hansen & Ostermeier, 2001)",
        EqualiserSpace(),
        TunePlan(learner=CmaEs(), batch_size=60, averaging=0.5),
    ),
    "equaliser-clipped": _denoiser(
        "SPSA on the equaliser's twenty numbers, gradients clipped at their number's root (ZIP, Park et al., 2025)",
        EqualiserSpace(),
        TunePlan(
            learner=Descent(
                estimator=GroupedSpsa(directions=Rademacher(), num_groups=10),
                rule=Clipped(SpsaGc(momentum=0.9)),
                gains=_gains(0.03, 0.1, learning_decay=0.25),
            )
        ),
    ),
    "distilled": _denoiser(
        "gradients of a local surrogate that is taught every answer, on all decoder weights",
        DecoderSpace(),
        TunePlan(learner=SurrogateLearner(), batch_size=500, averaging=0.5),
    ),
    "spsa-gc": _denoiser(
        "SPSA with look-ahead momentum on the decoder's scales and shifts",
        FilmSpace(),
        _descent(_SPSA, SpsaGc(momentum=0.9), _gains(4e-3, 0.05, **_DECAYED)),
    ),
    "output-differences": _denoiser(
        "differences at the image shown, along smooth patterns, taken back through the coordinator; Adam",
        FilmSpace(),
        _descent(
            OutputDifferences(basis=Cosines(8), directions=RandomDirections(), num_directions=1),
            Adam(),
            _gains(5e-3, 1.5),
        ),
    ),
    "spsa": _denoiser(
        "plain SPSA on the decoder's scales and shifts",
        FilmSpace(),
        _descent(_SPSA, Sgd(), _gains(0.04, 0.05, **_DECAYED)),
    ),
    "spsa-adam": _denoiser(
        "SPSA with Adam on the decoder's scales and shifts", FilmSpace(), _descent(_SPSA, Adam(), _gains(5e-3, 0.05))
    ),
    "spsa-sign": _denoiser(
        "signs of SPSA's gradients on the decoder's scales and shifts (Liu et al., ICLR 2019)",
        FilmSpace(),
        _descent(_SPSA, Sign(), _gains(3e-3, 0.05, **_DECAYED)),
    ),
    "gaussian": _denoiser(
        "one-sided differences along Gaussian directions on scales and shifts (Nesterov & Spokoiny, 2017)",
        FilmSpace(),
        _descent(ForwardDifference(directions=Normal(), num_directions=1), Sgd(), _gains(0.04, 0.05, **_DECAYED)),
    ),
    "zo-ds": _denoiser(
        "differences at single pixels of the image shown, by random directions, on all decoder weights"
        " (ZO-DS with RGE, Zhang et al., ICLR 2022)",
        DecoderSpace(),
        _descent(
            OutputDifferences(basis=Blocks(1), directions=RandomDirections(), num_directions=9, two_sided=False),
            Adam(),
            _gains(3e-3, 1.5),
        ),
    ),
    "zo-ae-ds-cge": _latent(
        "differences along each coordinate of an autoencoder's latent, whose decoder counts to the oracle, on all"
        " decoder weights of the denoiser (ZO-AE-DS with CGE, Zhang et al., ICLR 2022)",
        CoordinateDirections(),
    ),
    "zo-ae-ds-rge": _latent("the same along random directions (ZO-AE-DS with RGE)", RandomDirections()),
    "blackvip": Method(
        summary="a prompt added to the input, SPSA-GC on all decoder weights and a trigger (Oh et al., CVPR 2023)",
        form=AddedPrompt(2.0),
        space=TriggerSpace(),
        plan=_descent(
            Spsa(directions=SegmentedUniform(), num_directions=1),
            SpsaGc(momentum=0.9),
            _gains(4e-4, 0.01, **_DECAYED),
        ),
    ),
}
"""The methods that `bbsmooth tune --method` names."""


def behind_any(method: Method) -> bool:
    """True for a method that changes only what is shown, or how answers are read, so that any denoiser will do."""
    space = method.space
    own = isinstance(space, EqualiserSpace) and space.inner is not None
    return isinstance(method.form, CleanedImage) and isinstance(space, OutputSpace) and not own
