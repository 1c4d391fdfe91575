"""Zeroth-order optimisation of a coordinator's parameters on nothing but the oracle's answers."""

from bbsmooth.tuning.directions import Directions, Normal, Probe, Rademacher, SegmentedUniform, Sphere
from bbsmooth.tuning.gains import Gains
from bbsmooth.tuning.gradients import (
    ForwardDifference,
    GradientEstimate,
    GradientEstimator,
    ImageObjective,
    Objective,
    Spsa,
)
from bbsmooth.tuning.objective import Ask, BatchObjective, losses_of, true_class_probabilities
from bbsmooth.tuning.outputs import OutputDifferences
from bbsmooth.tuning.plan import Schedule, TunePlan
from bbsmooth.tuning.steps import Adam, Sgd, SpsaGc, State, StepRule, Update
from bbsmooth.tuning.tune import Event, TuneResult, tune

__all__ = [
    "Adam",
    "Ask",
    "BatchObjective",
    "Directions",
    "Event",
    "ForwardDifference",
    "Gains",
    "GradientEstimate",
    "GradientEstimator",
    "ImageObjective",
    "Normal",
    "Objective",
    "OutputDifferences",
    "Probe",
    "Rademacher",
    "Schedule",
    "SegmentedUniform",
    "Sgd",
    "Sphere",
    "Spsa",
    "SpsaGc",
    "State",
    "StepRule",
    "TunePlan",
    "TuneResult",
    "Update",
    "losses_of",
    "true_class_probabilities",
    "tune",
]
