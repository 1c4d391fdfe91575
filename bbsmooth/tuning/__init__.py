"""Zeroth-order optimisation of a coordinator's parameters on nothing but the oracle's answers."""

from bbsmooth.tuning.agreement import affordable, clean_labels
from bbsmooth.tuning.bases import Basis, Blocks, Cosines, Patterns
from bbsmooth.tuning.beliefs import beliefs, true_class_probabilities
from bbsmooth.tuning.control import ControlVariate
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
from bbsmooth.tuning.learner import Learner, Lesson
from bbsmooth.tuning.losses import CrossEntropy, Loss, Margin, Mistakes, SoftRadius
from bbsmooth.tuning.noisy import NoisyImages, Sample
from bbsmooth.tuning.objective import Ask, BatchObjective
from bbsmooth.tuning.outputs import OutputDifferences
from bbsmooth.tuning.plan import Schedule, TunePlan
from bbsmooth.tuning.staged import Staged
from bbsmooth.tuning.steps import Adam, Sgd, Sign, SpsaGc, State, StepRule, Update
from bbsmooth.tuning.surrogate import Surrogate, SurrogateLearner, Told, Walk, minimise
from bbsmooth.tuning.tune import Event, TuneResult, tune

__all__ = [
    "Adam",
    "Ask",
    "Basis",
    "BatchLosses",
    "BatchObjective",
    "Blocks",
    "ControlVariate",
    "CoordinateDirections",
    "Cosines",
    "CrossEntropy",
    "Descent",
    "Directions",
    "Event",
    "ForwardDifference",
    "Gains",
    "GradientEstimate",
    "GradientEstimator",
    "GroupObjective",
    "GroupedSpsa",
    "ImageDirections",
    "ImageObjective",
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
    "Patterns",
    "Probe",
    "Rademacher",
    "RandomDirections",
    "Sample",
    "Schedule",
    "SegmentedUniform",
    "Sgd",
    "Sign",
    "SoftRadius",
    "Sphere",
    "Spsa",
    "SpsaGc",
    "Staged",
    "State",
    "StepRule",
    "Surrogate",
    "SurrogateLearner",
    "Told",
    "TunePlan",
    "TuneResult",
    "Update",
    "Walk",
    "affordable",
    "beliefs",
    "clean_labels",
    "minimise",
    "true_class_probabilities",
    "tune",
]
