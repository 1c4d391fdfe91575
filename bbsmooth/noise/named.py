"""Noise by name."""

from __future__ import annotations

from bbsmooth.noise.distribution import NoiseDistribution
from bbsmooth.noise.gaussian import Gaussian
from bbsmooth.noise.laplace import Laplace
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
