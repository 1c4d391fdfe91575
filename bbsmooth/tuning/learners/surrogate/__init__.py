"""A local surrogate for the oracle, distilled from its answers, and tuning with its gradients."""

from bbsmooth.tuning.learners.surrogate.corrected import CorrectedDescent
from bbsmooth.tuning.learners.surrogate.descent import SurrogateDescent
from bbsmooth.tuning.learners.surrogate.distillation import Distillation, Student
from bbsmooth.tuning.learners.surrogate.learner import SurrogateLearner
from bbsmooth.tuning.learners.surrogate.network import Surrogate
from bbsmooth.tuning.learners.surrogate.replay import ReplayBuffer
from bbsmooth.tuning.learners.surrogate.training import minimise

__all__ = [
    "CorrectedDescent",
    "Distillation",
    "ReplayBuffer",
    "Student",
    "Surrogate",
    "SurrogateDescent",
    "SurrogateLearner",
    "minimise",
]
