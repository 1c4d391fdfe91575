from .agreement import affordable, clean_labels
from .estimators.bases import Basis, Blocks, Cosines, Patterns
from .estimators.control_variate import Controlled, ControlVariate, Share
from .estimators.directions import (
    Directions,
    Leading,
    Normal,
    Probe,
    Rademacher,
    SegmentedUniform,
    Sphere,
)
from .estimators.grouped import GroupedSpsa
from .estimators.image_directions import (
    CoordinateDirections,
    ImageDirections,
    OrthogonalDirections,
    RandomDirections,
)
from .estimators.image_space import OutputDifferences
from .estimators.parameter_space import (
    BatchLosses,
    ForwardDifference,
    GradientEstimate,
    GradientEstimator,
    GroupObjective,
    ImageObjective,
    Objective,
    Spsa,
)
from .learners.descent import Descent
from .learners.importance import Importance
from .learners.protocol import Learner, Lesson, Situation
from .learners.recorder import Overheard
from .learners.staged import Staged
from .learners.surrogate import (
    CorrectedDescent,
    Distillation,
    Pupil,
    Surrogate,
    SurrogateLearner,
    Told,
    Walk,
    minimise,
)
from .learners.trust_region import TrustRegion
from .losses.losses import CrossEntropy, Loss, Margin, Mistakes, SoftRadius
from .losses.probabilities import beliefs, true_class_probabilities
from .noisy import NoisyImages, Sample
from .objective import BatchObjective
from .plan import Schedule, TunePlan
from .rules.gains import Gains
from .rules.steps import Adam, Sgd, Sign, SpsaGc, State, StepRule, Update
from .together import Ask, AtOnce, Together, one_by_one
from .tune import Event, TuneResult, tune

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
