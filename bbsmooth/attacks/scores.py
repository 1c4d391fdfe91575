"""Ascent along gradients that are estimated from the oracle's scores, for models that can only be queried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bbsmooth.attacks.target import WHITE, SmoothedTarget, beyond, on_grid
from bbsmooth.randomness import fork, image_digest, name_digest
from oracles import Answers, Feedback, ImageRefused

_MEMORY = 0.9
"""Share of the direction of the steps before that a step keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreAttack:
    """NES (Ilyas, Engstrom, Athalye, Lin, ICML 2018) whose search distribution is the smoothing noise itself.

    The smoothed margin m(x) = E f(x + e), e ~ N(0, sigma^2 I), has the gradient E[f(x + e) e] / sigma^2 (Stein), so
    every answer to a noisy copy is an unbiased estimate of it, and nothing needs to be differentiable. f is the gap
    between the best other class and the label, in logits or log-probabilities; where the oracle gives labels only, 1
    for another label. Estimates are noisy, so steps of projected ascent follow their running mean (momentum: Dong et
    al., CVPR 2018), and each ball is entered where the walk in the smaller one ended.

    Args:
        sigma: of the Gaussian noise of the smoothed classifier.
        radii: of the L2 balls, ascending.
        steps: of the ascent within each ball.
        draws: noisy copies, each a query, in one step.
    """

    sigma: float
    radii: tuple[float, ...]
    steps: int
    draws: int
    name: ClassVar[str] = "nes"

    def candidates(self, target: SmoothedTarget, image: Tensor, label: int, *, seed: int) -> Iterator[Tensor]:
        """Candidates, as `Attack` says. Balls are tried by size until one holds some; images behind them follow.

        Where the oracle refuses noisy copies, their scores are not to be had and the search is over.
        """
        with suppress(ImageRefused):
            yield from self._ascent(target, image, label, seed)

    def _ascent(self, target: SmoothedTarget, image: Tensor, label: int, seed: int) -> Iterator[Tensor]:
        clean = image.float() / WHITE
        moved, direction = torch.zeros_like(clean), torch.zeros_like(clean)
        for place, radius in enumerate(self.radii):
            for step in range(self.steps):
                name = name_digest(seed, "attack", self.name, image_digest(image), place, step)
                shown = on_grid(image, clean + moved)
                gradient = self.gradient(target, shown, label, name=name)
                direction = _MEMORY * direction + gradient / gradient.norm().clamp_min(1e-12)
                moved = moved + 2 * radius / self.steps * direction / direction.norm().clamp_min(1e-12)
                moved = moved * (radius / moved.norm().clamp_min(1e-12)).clamp_max(1)
                moved = (clean + moved).clamp(0, 1) - clean
            candidate = on_grid(image, clean + moved)
            if bool(target.misclassified(candidate[None], label)):
                yield from beyond(image, candidate)
                return

    def gradient(self, target: SmoothedTarget, image: Tensor, label: int, *, name: bytes) -> Tensor:
        """An estimate of the gradient of m at an image (C, H, W) uint8, from `draws` queries.

        The mean answer is taken off every answer first, which takes off most of the variance too.
        """
        generator = fork(0, name)
        noise = self.sigma * torch.randn(self.draws, *image.shape, generator=generator)
        answers = target.scored(image, noise, name_digest(0, name, image_digest(image)))
        gaps = margins(answers, label, target.feedback)
        return torch.einsum("b,bchw->chw", gaps - gaps.mean(), noise) / (max(1, self.draws - 1) * self.sigma**2)


def margins(answers: Answers, label: int, feedback: Feedback) -> Tensor:
    """(B,) by how much the best other class beats `label`, in logits or logarithms of probabilities; else 0 or 1."""
    if answers.scores is None or feedback not in (Feedback.LOGITS, Feedback.PROBABILITIES):
        return (answers.labels != label).float()
    values = answers.scores if feedback is Feedback.LOGITS else answers.scores.clamp_min(1e-9).log()
    others = values.clone()
    others[:, label] = -torch.inf
    return others.amax(1) - values[:, label]
