"""One-sided lower bounds on the mean of values in [0, 1], such as scores."""

from bbsmooth.certification.means.bernstein import EmpiricalBernstein
from bbsmooth.certification.means.betting import MeanBetting
from bbsmooth.certification.means.protocol import MeanBound

__all__ = ["EmpiricalBernstein", "MeanBetting", "MeanBound"]
