"""What training minimises: one file an idea, all over the same noise."""

from bbsmooth.whitebox.objectives.clean import Clean
from bbsmooth.whitebox.objectives.consistency import Consistency
from bbsmooth.whitebox.objectives.gaussian import Augmentation
from bbsmooth.whitebox.objectives.macer import Macer
from bbsmooth.whitebox.objectives.objective import Model, Objective
from bbsmooth.whitebox.objectives.smooth_adversarial import SmoothAdversarial

OBJECTIVES: dict[str, Objective] = {
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
    "Objective",
    "SmoothAdversarial",
]
