"""Noise that is new every time, and votes that nobody remembers."""

from __future__ import annotations

import torch

from bbsmooth.certification import VoteSource
from bbsmooth.noise import Grid, NoisyCopies
from bbsmooth.serving.smoothed.fair_batching import PURPOSE
from bbsmooth.serving.smoothed.fresh import FreshCases, NullStore, secret_seed
from oracles import Purpose, VoteLog
from oracles.recording import UNANSWERED
from tests.bbsmooth.serving.smoothed.running import PLAN
from tests.builders import halfspace, pictures

IMAGE = pictures(1, seed=0)[0]
COPIES = NoisyCopies(noise=PLAN.noise, grid=Grid(1), seed=0)
SOURCE = VoteSource(oracles={PURPOSE: halfspace()}, log=VoteLog(NullStore(), halfspace().spec), copies=COPIES)
CASES = FreshCases(SOURCE, COPIES, PLAN)


def noise(purpose: Purpose) -> torch.Tensor:
    """(16, 1, 4, 4) of a case of its own."""
    source = CASES.open(IMAGE).source
    return source.copies.draw(IMAGE, source.stream(IMAGE, purpose), first=0, count=16) - IMAGE / 255


def test_equal_images_never_share_noise() -> None:
    draws = [noise(purpose).flatten(1) for _ in range(20) for purpose in (Purpose.SELECT, Purpose.ESTIMATE)]
    together = torch.cat(draws)
    assert len(torch.unique(together, dim=0)) == len(together)
    correlations = torch.corrcoef(torch.stack([each.flatten() for each in draws])) - torch.eye(len(draws))
    assert correlations.abs().max() < 6 / 16  # 256 values each: standard deviation 1/16


def test_a_seed_is_long_and_new() -> None:
    seeds = {secret_seed() for _ in range(1000)}
    assert len(seeds) == 1000
    assert max(seed.bit_length() for seed in seeds) == 256
    ones = sum(seed.bit_count() for seed in seeds) / 256_000
    assert abs(ones - 0.5) < 6 * 0.5 / 256_000**0.5


def test_votes_are_forgotten() -> None:
    case = CASES.open(IMAGE)
    draws = case.take(Purpose.SELECT, 5)
    SOURCE.votes([draws], PURPOSE)
    assert (SOURCE.log.read(draws.stream, 0, 5) == UNANSWERED).all()
