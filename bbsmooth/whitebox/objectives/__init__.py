"""Losses that training minimises: one file an idea, all over the same noise."""

from bbsmooth.whitebox.objectives.consistency import Consistency
from bbsmooth.whitebox.objectives.cross_entropy import Augmentation, Clean
from bbsmooth.whitebox.objectives.macer import Macer
from bbsmooth.whitebox.objectives.objective import Model, TrainingObjective
from bbsmooth.whitebox.objectives.smooth_adversarial import SmoothAdversarial

OBJECTIVES: dict[str, TrainingObjective] = {
    objective.name: objective for objective in (Augmentation(), Consistency(), SmoothAdversarial(), Macer(), Clean())
}
"""By the name that users give, with their papers' defaults."""

__all__ = [
    "OBJECTIVES",
    "Augmentation",
    "Clean",
    "Consistency",
    "Macer",
    "Model",
    "SmoothAdversarial",
    "TrainingObjective",
]
