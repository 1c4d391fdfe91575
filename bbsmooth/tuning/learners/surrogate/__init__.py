"""A local stand-in for the oracle, distilled from its answers, and tuning with its gradients."""

from bbsmooth.tuning.learners.surrogate.corrected import CorrectedDescent
from bbsmooth.tuning.learners.surrogate.distillation import Distillation, Pupil
from bbsmooth.tuning.learners.surrogate.learner import SurrogateLearner
from bbsmooth.tuning.learners.surrogate.network import Surrogate
from bbsmooth.tuning.learners.surrogate.replay import Told
from bbsmooth.tuning.learners.surrogate.training import minimise
from bbsmooth.tuning.learners.surrogate.walk import Walk

__all__ = ["CorrectedDescent", "Distillation", "Pupil", "Surrogate", "SurrogateLearner", "Told", "Walk", "minimise"]
