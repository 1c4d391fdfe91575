"""A local stand-in for the oracle, distilled from its answers, and tuning along its gradients."""

from bbsmooth.tuning.surrogate.learner import SurrogateLearner
from bbsmooth.tuning.surrogate.memory import Told
from bbsmooth.tuning.surrogate.network import Surrogate
from bbsmooth.tuning.surrogate.training import minimise
from bbsmooth.tuning.surrogate.walk import Walk

__all__ = ["Surrogate", "SurrogateLearner", "Told", "Walk", "minimise"]
