"""Noise distributions on the pixel grid, and the radius that each one proves.

A computer cannot add real-valued noise to an image: sums are rounded, the rounding depends on the image, and
certificates can be broken through it (Voracek & Hein, ICLR 2023; Jin et al., arXiv 2205.10159). Here pixels are
integers on a grid of 1 / (255 * 2^bits), noise is rounded to the same grid without looking at the image, and the sum is
exact. Image x on the grid plus rounded noise equals the rounded sum of x and real-valued noise, so what comes after
(rounding included) is post-processing of the mechanism that the theorem is about, for every image on the grid.
"""

from bbsmooth.noise.copies import NoisyCopies, SplitViews
from bbsmooth.noise.distribution import NoiseDistribution, Norm, Smoothing
from bbsmooth.noise.gaussian import Gaussian
from bbsmooth.noise.grid import ALGORITHM, Grid, stream_name
from bbsmooth.noise.laplace import Laplace
from bbsmooth.noise.norms import implied_radius
from bbsmooth.noise.splitting import Splitting
from bbsmooth.noise.uniform import Uniform

DISTRIBUTIONS: dict[str, type[Gaussian] | type[Laplace] | type[Uniform]] = {
    kind.name: kind for kind in (Gaussian, Laplace, Uniform)
}
"""The distributions by name; each is made from its standard deviation."""


def noise_called(name: str, sigma: float) -> NoiseDistribution | Splitting:
    """The noise of a name and a standard deviation.

    Raises:
        ValueError: there is no such noise.
    """
    if name == Splitting.name:
        return Splitting(sigma)
    if name not in DISTRIBUTIONS:
        raise ValueError(f"`noise` must be one of {', '.join((*DISTRIBUTIONS, Splitting.name))}, got {name!r}")
    return DISTRIBUTIONS[name](sigma)


__all__ = [
    "ALGORITHM",
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
    "implied_radius",
    "noise_called",
    "stream_name",
]
