from .estimators.bases import Basis, Blocks, Cosines, Patterns
from .estimators.control_variate import Coefficient, Controlled, ControlVariate
from .estimators.directions import (
    Directions,
    Leading,
    Normal,
    ProbeDirection,
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
from .executor import Ask, Concurrent, QueryExecutor, one_by_one
from .learners.descent import Descent
from .learners.importance import Importance
from .learners.protocol import Learner, StepContext, StepResult
from .learners.recorder import Recorder
from .learners.staged import Staged
from .learners.surrogate import (
    CorrectedDescent,
    Distillation,
    ReplayBuffer,
    Student,
    Surrogate,
    SurrogateDescent,
    SurrogateLearner,
    minimise,
)
from .learners.trust_region import TrustRegion
from .losses.losses import CrossEntropy, Loss, Margin, Mistakes, SoftRadius
from .noisy import NoisyImages, Sample
from .objective import BatchObjective, affordable, clean_labels
from .plan import BudgetSchedule, TunePlan
from .rules.gains import Gains
from .rules.steps import Adam, Sgd, Sign, SpsaGc, State, StepRule, Update
from .tune import Event, TuneResult, tune

__all__ = [
    "Adam",
    "Ask",
    "Basis",
    "BatchLosses",
    "BatchObjective",
    "Blocks",
    "BudgetSchedule",
    "Coefficient",
    "Concurrent",
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
    "Loss",
    "Margin",
    "Mistakes",
    "NoisyImages",
    "Normal",
    "Objective",
    "OrthogonalDirections",
    "OutputDifferences",
    "Patterns",
    "ProbeDirection",
    "QueryExecutor",
    "Rademacher",
    "RandomDirections",
    "Recorder",
    "ReplayBuffer",
    "Sample",
    "SegmentedUniform",
    "Sgd",
    "Sign",
    "SoftRadius",
    "Sphere",
    "Spsa",
    "SpsaGc",
    "Staged",
    "State",
    "StepContext",
    "StepResult",
    "StepRule",
    "Student",
    "Surrogate",
    "SurrogateDescent",
    "SurrogateLearner",
    "TrustRegion",
    "TunePlan",
    "TuneResult",
    "Update",
    "affordable",
    "clean_labels",
    "minimise",
    "one_by_one",
    "tune",
]
