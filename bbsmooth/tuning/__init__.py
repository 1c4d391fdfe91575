"""Zeroth-order optimisation of a coordinator's parameters on nothing but the oracle's answers."""

from bbsmooth.tuning.agreement import affordable, clean_labels
from bbsmooth.tuning.estimators.bases import Basis, Blocks, Cosines, Patterns
from bbsmooth.tuning.estimators.control_variate import Controlled, ControlVariate, Share
from bbsmooth.tuning.estimators.directions import (
    Directions,
    Leading,
    Normal,
    Probe,
    Rademacher,
    SegmentedUniform,
    Sphere,
)
from bbsmooth.tuning.estimators.grouped import GroupedSpsa
from bbsmooth.tuning.estimators.image_directions import (
    CoordinateDirections,
    ImageDirections,
    OrthogonalDirections,
    RandomDirections,
)
from bbsmooth.tuning.estimators.image_space import OutputDifferences
from bbsmooth.tuning.estimators.parameter_space import (
    BatchLosses,
    ForwardDifference,
    GradientEstimate,
    GradientEstimator,
    GroupObjective,
    ImageObjective,
    Objective,
    Spsa,
)
from bbsmooth.tuning.learners.descent import Descent
from bbsmooth.tuning.learners.importance import Importance
from bbsmooth.tuning.learners.protocol import Learner, Lesson, Situation
from bbsmooth.tuning.learners.recorder import Overheard
from bbsmooth.tuning.learners.staged import Staged
from bbsmooth.tuning.learners.surrogate import (
    CorrectedDescent,
    Distillation,
    Pupil,
    Surrogate,
    SurrogateLearner,
    Told,
    Walk,
    minimise,
)
from bbsmooth.tuning.learners.trust_region import TrustRegion
from bbsmooth.tuning.losses.losses import CrossEntropy, Loss, Margin, Mistakes, SoftRadius
from bbsmooth.tuning.losses.probabilities import beliefs, true_class_probabilities
from bbsmooth.tuning.noisy import NoisyImages, Sample
from bbsmooth.tuning.objective import BatchObjective
from bbsmooth.tuning.plan import Schedule, TunePlan
from bbsmooth.tuning.rules.gains import Gains
from bbsmooth.tuning.rules.steps import Adam, Sgd, Sign, SpsaGc, State, StepRule, Update
from bbsmooth.tuning.together import Ask, AtOnce, Together, one_by_one
from bbsmooth.tuning.tune import Event, TuneResult, tune

__all__ = [
    "Adam",
    "Ask",
    "AtOnce",
    "Basis",
    "BatchLosses",
    "BatchObjective",
    "Blocks",
    "ControlVariate",
    "Controlled",
    "CoordinateDirections",
    "CorrectedDescent",
    "Cosines",
    "CrossEntropy",
    "Descent",
    "Directions",
    "Distillation",
    "Event",
    "ForwardDifference",
    "Gains",
    "GradientEstimate",
    "GradientEstimator",
    "GroupObjective",
    "GroupedSpsa",
    "ImageDirections",
    "ImageObjective",
    "Importance",
    "Leading",
    "Learner",
    "Lesson",
    "Loss",
    "Margin",
    "Mistakes",
    "NoisyImages",
    "Normal",
    "Objective",
    "OrthogonalDirections",
    "OutputDifferences",
    "Overheard",
    "Patterns",
    "Probe",
    "Pupil",
    "Rademacher",
    "RandomDirections",
    "Sample",
    "Schedule",
    "SegmentedUniform",
    "Sgd",
    "Share",
    "Sign",
    "Situation",
    "SoftRadius",
    "Sphere",
    "Spsa",
    "SpsaGc",
    "Staged",
    "State",
    "StepRule",
    "Surrogate",
    "SurrogateLearner",
    "Together",
    "Told",
    "TrustRegion",
    "TunePlan",
    "TuneResult",
    "Update",
    "Walk",
    "affordable",
    "beliefs",
    "clean_labels",
    "minimise",
    "one_by_one",
    "true_class_probabilities",
    "tune",
]
