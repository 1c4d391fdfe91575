import dataclasses

import pytest
import torch

from experiments.tuning.paired import correct, gain
from experiments.tuning.worlds import Labelled
from oracles import HalfspaceOracle

IMAGES = torch.tensor([0, 60, 128, 200, 255], dtype=torch.uint8).view(-1, 1, 1, 1).expand(5, 1, 4, 4)
BRIGHT = Labelled(IMAGES, torch.tensor([0, 0, 1, 1, 1]))
ORACLE = HalfspaceOracle(normal=torch.ones(1, 4, 4), offset=8.0)


def test_without_noise_to_speak_of_the_bare_oracle_is_right() -> None:
    right = correct(ORACLE, BRIGHT, sigma=1e-4, draws=2)
    assert right.tolist() == [1.0] * 5


def test_the_share_of_right_draws_is_that_of_the_closed_form() -> None:
    # The mean of 16 pixels has noise sigma / 4; clipping is the oracle's own, so only a mid-grey image is exact: 1/2.
    grey = Labelled(torch.full((1, 1, 4, 4), 128, dtype=torch.uint8), torch.tensor([1]))
    share = correct(ORACLE, grey, sigma=0.2, draws=2_000)
    assert share.item() == pytest.approx(0.516, abs=0.04)


def test_a_gain_is_paired() -> None:
    before, after = torch.tensor([1.0, 0.0, 0.5, 0.0]), torch.tensor([1.0, 0.5, 1.0, 0.5])
    found = gain(after, before)
    assert found.points == pytest.approx(37.5)
    assert found.error == pytest.approx(12.5)
    assert gain(before, before) == dataclasses.replace(found, points=0.0, error=0.0)
