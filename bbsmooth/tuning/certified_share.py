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

_FEWEST_LOOKED_AT = 5
_LOOKED_AT = 4
"""Of a test's draws, one in that many is enough for a look: many images under few draws say more of a mean."""

_ROOM = 0.5
"""Share of the images not certified yet that tuning may be hoped to lift: three times what was ever measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiusJudge:
    """The test that decides what is kept, and when the rest of a budget stays unspent.

    Args:
        radius: R, at which images shall be certified.
        needed: p_R, the probability of an image's class that R needs.
        level: probability of keeping parameters that certify no larger share, at most.
        margin: standard errors by which a first look must be better for the rest of the budget to be spent; what
            changes nothing is that much better once in sixteen times.
        hope: standard errors by which a first look may have missed what further steps will have reached.
        budget: queries that may be spent, where not all of them are worth it, so that a first look may take more; None
            for those that are planned with.

    Raises:
        ValueError: a number out of its range.
    """

    radius: float
    needed: float
    level: float = 0.05
    margin: float = 1.55
    hope: float = 1.64
    budget: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no share is."""
        if not (0 < self.needed < 1 and 0 < self.level < 1 and min(self.margin, self.hope, self.radius) >= 0):
            raise ValueError(f"a judge needs probabilities between 0 and 1, margin and hope not below 0, got {self}")

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

    @property
    def look_draws(self) -> int:
        """Draws an image of a look that decides nothing but whether to go on."""
        return max(_FEWEST_LOOKED_AT, math.ceil(self.draws / _LOOKED_AT))

    def leaves_room(self, start: Tensor, draws: int, *, tested: int) -> bool:
        """Say whether the test would show it, did half of the images that the start does not certify rise.

        Args:
            start: (J,) right draws of each image with the start.
            draws: of each image.
            tested: images of the test.
        """
        missing = 1 - float(self.certified(start, draws).double().mean())
        return self.shows(round(_ROOM * missing * tested), 0)

    def promises(self, before: Tensor, after: Tensor, draws: int, *, tested: int, steps_follow: bool = False) -> bool:
        """Say whether the first look is worth spending on.

        The gain in `chances` must be larger than `margin` standard errors, and one that the test would rather show than
        not: as many images gained and lost as are to be expected of the tested ones would be enough. It only saves
        queries: what is kept is decided by `p_value`.

        Args:
            before: (J,) right draws of each image with the start.
            after: (J,) with other parameters, on the same images and noise.
            draws: of each image.
            tested: images of the test.
            steps_follow: whether parameters will go on improving, so that `hope` is added to the gain.
        """
        gains = self.chances(after, draws) - self.chances(before, draws)
        gain, error = float(gains.mean()), float(gains.std(correction=0)) / math.sqrt(len(gains))
        if gain <= self.margin * error:
            return False
        expected = gain + (self.hope * error if steps_follow else 0.0)
        changed = max(float(gains.abs().mean()), expected)
        return self.shows(round(tested * (changed + expected) / 2), round(tested * (changed - expected) / 2))

    def p_value(self, before: Tensor, after: Tensor, draws: int) -> float:
        """Probability of this many gained among the images that changed sides, were no larger share certified.

        McNemar's exact test, one-sided: where the share is not larger, an image that changed sides gained with a
        probability of at most 1/2, whatever the share of those is that change.

        Args:
            before: (J,) right draws of each image with the start.
            after: (J,) with other parameters, on the same images.
            draws: of each image.
        """
        then, now = self.certified(before, draws), self.certified(after, draws)
        return _p_value(int((now & ~then).sum()), int((then & ~now).sum()))

    def shows(self, gained: int, lost: int) -> bool:
        """Say whether that many images that rose above p_R and fell below it show a gain."""
        return _p_value(gained, lost) <= self.level


def _p_value(gained: int, lost: int) -> float:
    from scipy.stats import binom

    return float(binom.sf(gained - 1, gained + lost, 0.5))


def votes_of(score: Score, num_images: int) -> Tensor:
    """(J,) int64: right draws of each of J images, of a score whose draw d is of image d mod J."""
    return score.correct.view(-1, num_images).sum(0).long()
