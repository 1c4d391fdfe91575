"""The distribution of the rates of images, as far as the votes of a few of them tell.

Each image has a rate p, the probability of its most likely class under noise; let x = Phi^-1(p). What certifying an
image costs depends on p alone, and most of all on how near p lies to the p_R of a radius: the few images there take
most of the draws. So a model of the rates must allow for kinds of images that are few and alike, and must not conclude
from a pilot without such images that there are none.

The distribution F of x is a mixture of normal distributions (mean, deviation), cut into `CELLS` cells:

    F = e_0 DP + sum_R e_R N(x_R + small, small),        (e_0, e_1, ...) ~ Dirichlet(1, 1/2, 1/2, ...)

DP is a Dirichlet process mixture (Ferguson 1973; Lo 1984) whose means are spread evenly and whose deviations reach from
a clump to all images; its concentration is learnt. The other parts, one for each radius, are clumps next to p_R. Their
shares have Jeffreys' prior: of k images of which none lies there, a share of up to about 2 / k stays plausible, and so
does none. Votes are binomial given p. Posterior by the blocked Gibbs sampler of Ishwaran & James (JASA 2001), with
means and deviations on a grid, so that every step is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, xlog1py, xlogy

from bbsmooth.certification.methods.pilot import Pilot

Floats = NDArray[np.float64]

EDGES = np.linspace(-4, 5, 181)
"""Of the cells of x: p from 0.00003 to 0.9999997."""

MIDDLES = (EDGES[1:] + EDGES[:-1]) / 2
CELLS = len(MIDDLES)

_MEANS = np.arange(EDGES[0] + 0.05, EDGES[-1], 0.1)
_DEVIATIONS = (0.05, 0.15, 0.5, 1.2)
_LEAST_MEAN = -2.0  # the most likely of ten classes has more than 0.02
_PARTS = 20  # of the Dirichlet process; the rest of the weight is negligible
_CONCENTRATIONS = np.array([0.5, 1.0, 2.0, 4.0])
_NEAR, _NARROW = 0.15, 0.2  # deviation of the mean of a clump next to p_R, and the most of its own
_SHARES = (1.0, 0.5)  # Dirichlet's, of the process and of each clump
_BURN, _EVERY = 100, 2  # steps before the first draw, and from one to the next
_TINY = 1e-300


@dataclass(frozen=True, slots=True)
class Rates:
    """One draw of what the rates may be.

    Attributes:
        shares: (`CELLS`,) of the images that were not in the pilot, by cell.
        pilot: (k,) cell of each image of the pilot.
    """

    shares: Floats
    pilot: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Population:
    """Posterior of the rates of images.

    Args:
        pilot: what was seen.
        probabilities: that the radii need; near each of them there may be a clump.
    """

    pilot: Pilot
    probabilities: tuple[float, ...]
    likelihood: Floats = field(init=False, repr=False, compare=False)
    """(k, `CELLS`): of each image's votes."""
    _kernels: Floats = field(init=False, repr=False, compare=False)  # (grid, CELLS)
    _bases: Floats = field(init=False, repr=False, compare=False)  # (parts, grid) logarithms

    def __post_init__(self) -> None:
        """Lay out the grid of means and deviations."""
        means = np.tile(_MEANS, len(_DEVIATIONS))
        deviations = np.repeat(_DEVIATIONS, len(_MEANS))
        kernels = np.diff(ndtr((EDGES - means[:, None]) / deviations[:, None]))
        even = (means > _LEAST_MEAN) * 1.0
        narrow = deviations < _NARROW
        clumps = [narrow * np.exp(-0.5 * ((means - position(p)) / _NEAR) ** 2) for p in self.probabilities]
        bases = np.array([even] * _PARTS + clumps)
        rate, hits = ndtr(MIDDLES), np.array(self.pilot.votes, dtype=np.float64)[:, None]
        logs = xlogy(hits, rate) + xlog1py(self.pilot.draws - hits, -rate)
        object.__setattr__(self, "likelihood", np.exp(logs - logs.max(1, keepdims=True)))
        object.__setattr__(self, "_kernels", kernels / kernels.sum(1, keepdims=True))
        object.__setattr__(self, "_bases", np.log(bases / bases.sum(1, keepdims=True) + _TINY))

    def draws(self, number: int, generator: np.random.Generator) -> Iterator[Rates]:
        """Draws of the posterior, `number` of them."""
        evidence = np.log(self.likelihood @ self._kernels.T + _TINY)  # (k, grid)
        images, parts = len(evidence), len(self._bases)
        kinds = _choose(self._bases, generator)
        weights, concentration = np.full(parts, 1 / parts), 1.0
        for step in range(_BURN + _EVERY * number):
            part_of = _choose(np.log(weights + _TINY) + evidence[:, kinds], generator)
            members = np.zeros((parts, images))
            members[part_of, np.arange(images)] = 1
            weights, concentration = _weigh(members.sum(1), concentration, generator)
            kinds = _choose(self._bases + members @ evidence, generator)
            if step >= _BURN and (step - _BURN) % _EVERY == 0:
                shares = weights @ self._kernels[kinds]
                own = np.log(self.likelihood * self._kernels[kinds[part_of]] + _TINY)
                yield Rates(shares / shares.sum(), _choose(own, generator))


def _weigh(counts: Floats, concentration: float, generator: np.random.Generator) -> tuple[Floats, float]:
    """Weights (parts,) and concentration, given how many images are in each part."""
    process = counts[:_PARTS]
    after = process[::-1].cumsum()[::-1] - process
    sticks = generator.beta(1 + process, concentration + after).clip(1e-12, 1 - 1e-12)
    left = np.log1p(-sticks[:-1])
    sticks[-1] = 1.0
    whole, each = _SHARES
    top = generator.dirichlet(np.append(whole + process.sum(), each + counts[_PARTS:]))
    weights = np.append(top[0] * sticks * np.exp(np.append(0.0, np.cumsum(left))), top[1:])
    fits = (_PARTS - 1) * np.log(_CONCENTRATIONS) + (_CONCENTRATIONS - 1) * left.sum()
    return weights, float(_CONCENTRATIONS[_choose(fits, generator)])


def _choose(logs: Floats, generator: np.random.Generator) -> NDArray[np.int64]:
    """One of the last axis, with probabilities in proportion to the exponentials (Gumbel's trick)."""
    chosen: NDArray[np.int64] = (logs + generator.gumbel(size=logs.shape)).argmax(-1)
    return chosen


def position(probability: float) -> float:
    """Position x of a rate, within the cells."""
    return float(np.clip(ndtri(probability), MIDDLES[0], MIDDLES[-1]))
