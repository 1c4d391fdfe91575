"""Zeroth-order optimisation of a coordinator's parameters on nothing but the oracle's answers."""

from bbsmooth.tuning.agreement import affordable, clean_labels
from bbsmooth.tuning.bases import Basis, Blocks, Cosines, Patterns
from bbsmooth.tuning.beliefs import beliefs, true_class_probabilities
from bbsmooth.tuning.control import Controlled, ControlVariate, Share
from bbsmooth.tuning.descent import Descent
from bbsmooth.tuning.directions import Directions, Leading, Normal, Probe, Rademacher, SegmentedUniform, Sphere
from bbsmooth.tuning.gains import Gains
from bbsmooth.tuning.gradients import (
    BatchLosses,
    ForwardDifference,
    GradientEstimate,
    GradientEstimator,
    GroupObjective,
    ImageObjective,
    Objective,
    Spsa,
)
from bbsmooth.tuning.grouped import GroupedSpsa
from bbsmooth.tuning.image_directions import (
    CoordinateDirections,
    ImageDirections,
    OrthogonalDirections,
    RandomDirections,
)
from bbsmooth.tuning.importance import Importance
from bbsmooth.tuning.learner import Learner, Lesson, Situation
from bbsmooth.tuning.losses import CrossEntropy, Loss, Margin, Mistakes, SoftRadius
from bbsmooth.tuning.noisy import NoisyImages, Sample
from bbsmooth.tuning.objective import BatchObjective
from bbsmooth.tuning.outputs import OutputDifferences
from bbsmooth.tuning.overheard import Overheard
from bbsmooth.tuning.plan import Schedule, TunePlan
from bbsmooth.tuning.staged import Staged
from bbsmooth.tuning.steps import Adam, Sgd, Sign, SpsaGc, State, StepRule, Update
from bbsmooth.tuning.surrogate import (
    CorrectedDescent,
    Distillation,
    Pupil,
    Surrogate,
    SurrogateLearner,
    Told,
    Walk,
    minimise,
)
from bbsmooth.tuning.together import Ask, AtOnce, Together, one_by_one
from bbsmooth.tuning.trust import TrustRegion
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
