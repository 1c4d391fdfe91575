"""How much the groups of a claim may differ, when a pilot saw few images of each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from bbsmooth.certification.population import MIDDLES, Floats, position

_CONCENTRATIONS = np.array([1.0, 3.0, 10.0, 30.0, 100.0])
_LEAST = 1e-6  # share of a kind


def kinds_of_cells(needed: tuple[float, ...]) -> NDArray[np.int64]:
    """Kind of each cell of rates: the number of radii at which an image with such a rate is good.

    Args:
        needed: the probability that each radius needs.
    """
    found: NDArray[np.int64] = (MIDDLES[:, None] > [position(rate) for rate in needed]).sum(1)
    return found


def shares_by_group(
    shares: Floats, kinds: NDArray[np.int64], seen: NDArray[np.int64], generator: np.random.Generator
) -> Floats:
    """One draw of the distribution (G, cells) of the rates in each of G groups; one group is all images.

    With w_k the share of kind k among all images, the shares of the kinds in group g are

        w_g ~ Dirichlet(c w),

    and within a kind the rates of all groups are alike. How alike the groups are, c, is not known either: it is drawn
    given the kinds that the pilot saw, whose likelihood is that of the Dirichlet-multinomial distribution (Minka 2000),
    from values that are as likely as each other beforehand.

    Args:
        shares: (cells,) of all images.
        kinds: (cells,) of each cell.
        seen: (G, K) images of the pilot, by group and kind.
        generator: of the draw.
    """
    if len(seen) == 1:
        return shares[None]
    whole = np.bincount(kinds, shares, minlength=seen.shape[1]).clip(_LEAST)
    whole /= whole.sum()
    prior = _CONCENTRATIONS[:, None] * whole  # (values of c, K)
    images = seen.sum(1)
    fits = (gammaln(prior[:, None] + seen) - gammaln(prior)[:, None]).sum((1, 2))
    fits += (gammaln(_CONCENTRATIONS)[:, None] - gammaln(_CONCENTRATIONS[:, None] + images)).sum(1)
    chosen = int((fits + generator.gumbel(size=len(fits))).argmax())  # Gumbel's trick
    drawn = generator.standard_gamma(prior[chosen] + seen)
    drawn /= drawn.sum(1, keepdims=True)
    found: Floats = shares * (drawn / whole)[:, kinds]
    found /= found.sum(1, keepdims=True)
    return found
