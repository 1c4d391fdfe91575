"""One-sided lower bounds on the mean of values in [0, 1], such as scores.

Intervals use `MeanBetting`; `EmpiricalBernstein` is what `experiments/scores` compares it with.
"""

from bbsmooth.certification.bounds.means.bernstein import EmpiricalBernstein
from bbsmooth.certification.bounds.means.betting import MeanBetting
from bbsmooth.certification.bounds.means.constant import ConstantBets
from bbsmooth.certification.bounds.means.protocol import MeanBound

__all__ = ["ConstantBets", "EmpiricalBernstein", "MeanBetting", "MeanBound"]
