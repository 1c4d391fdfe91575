"""A local stand-in for the oracle, distilled from its answers, and tuning with its gradients."""

from bbsmooth.tuning.surrogate.corrected import CorrectedDescent
from bbsmooth.tuning.surrogate.distillation import Distillation, Pupil
from bbsmooth.tuning.surrogate.learner import SurrogateLearner
from bbsmooth.tuning.surrogate.memory import Told
from bbsmooth.tuning.surrogate.network import Surrogate
from bbsmooth.tuning.surrogate.training import minimise
from bbsmooth.tuning.surrogate.walk import Walk

__all__ = ["CorrectedDescent", "Distillation", "Pupil", "Surrogate", "SurrogateLearner", "Told", "Walk", "minimise"]
