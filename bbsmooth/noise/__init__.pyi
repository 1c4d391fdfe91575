from .algorithms import ALGORITHM, ALGORITHMS, check_algorithm
from .copies import NoisyCopies, SplitViews
from .distribution import NoiseDistribution, Norm, Smoothing
from .gaussian import Gaussian
from .grid import Grid, stream_name
from .laplace import Laplace
from .named import DISTRIBUTIONS, noise_called
from .norms import implied_radius
from .splitting import Splitting
from .uniform import Uniform

__all__ = [
    "ALGORITHM",
    "ALGORITHMS",
    "DISTRIBUTIONS",
    "Gaussian",
    "Grid",
    "Laplace",
    "NoiseDistribution",
    "NoisyCopies",
    "Norm",
    "Smoothing",
    "SplitViews",
    "Splitting",
    "Uniform",
    "check_algorithm",
    "implied_radius",
    "noise_called",
    "stream_name",
]
