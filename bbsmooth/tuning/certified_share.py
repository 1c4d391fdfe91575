"""Whether parameters raise the share of images that will be certified: estimated from few draws an image, and tested.

A certificate at radius R asks that an image's class has more than p_R = Phi(R / sigma) of all draws, and is the true
one. The mean over draws says little about that: it rises where images that are far from p_R get a little better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.tuning.heldout import Score

_FEWEST_DRAWS, _MOST_DRAWS = 20, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiusJudge:
    """The test that decides what is kept, and when the rest of a budget stays unspent.

    Args:
        radius: R, at which images shall be certified.
        needed: p_R, the probability of an image's class that R needs.
        level: probability of keeping parameters that certify no larger share, at most.
        margin: standard errors by which a first look must be better for the rest of the budget to be spent.

    Raises:
        ValueError: a number out of its range.
    """

    radius: float
    needed: float
    level: float = 0.05
    margin: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what no share is."""
        if not (0 < self.needed < 1 and 0 < self.level < 1 and self.margin >= 0 and self.radius >= 0):
            raise ValueError(f"a judge needs probabilities between 0 and 1 and a margin not below 0, got {self}")

    @property
    def draws(self) -> int:
        """Draws an image, at least: as many as one wrong one in which is compatible with p_R."""
        return min(_MOST_DRAWS, max(_FEWEST_DRAWS, math.ceil(1 / (1 - self.needed))))

    def certified(self, votes: Tensor, draws: int) -> Tensor:
        """(J,) bool: whether more than p_R of each image's draws were right."""
        return votes > self.needed * draws

    def chances(self, votes: Tensor, draws: int) -> Tensor:
        """(J,) float64: P(p > p_R | votes) of each image under Jeffreys' prior; smoother than `certified`."""
        from scipy.stats import beta

        right = votes.double().numpy()
        return torch.from_numpy(beta.sf(self.needed, right + 0.5, draws - right + 0.5))

    def promises(self, before: Tensor, after: Tensor, draws: int) -> bool:
        """Say whether the first look is worth spending on: a gain of more than `margin` standard errors in `chances`.

        It only saves queries: what is kept is decided by `p_value`, on other images.

        Args:
            before: (J,) right draws of each image with the start.
            after: (J,) with other parameters, on the same images and noise.
            draws: of each image.
        """
        gains = self.chances(after, draws) - self.chances(before, draws)
        error = float(gains.std(correction=0)) / math.sqrt(len(gains))
        return float(gains.mean()) > self.margin * error

    def p_value(self, before: Tensor, after: Tensor, draws: int) -> float:
        """Probability of this many gained among the images that changed sides, were no larger share certified.

        McNemar's exact test, one-sided: where the share is not larger, an image that changed sides gained with a
        probability of at most 1/2, whatever the share of those is that change.

        Args:
            before: (J,) right draws of each image with the start.
            after: (J,) with other parameters, on the same images.
            draws: of each image.
        """
        from scipy.stats import binom

        then, now = self.certified(before, draws), self.certified(after, draws)
        gained, lost = int((now & ~then).sum()), int((then & ~now).sum())
        return float(binom.sf(gained - 1, gained + lost, 0.5))


def votes_of(score: Score, num_images: int) -> Tensor:
    """(J,) int64: right draws of each of J images, of a score whose draw d is of image d mod J."""
    return score.correct.view(-1, num_images).sum(0).long()
