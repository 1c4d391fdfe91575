"""Certified accuracy of the study is paired with the control's, image by image and radius by radius."""

from __future__ import annotations

import pytest
import torch

from bbsmooth.certification import SequentialPlan
from bbsmooth.certification.sequences import DEFAULT_TEST
from bbsmooth.noise import Gaussian
from experiments.tuning.certified import Proven, rows

PLAN = SequentialPlan(
    noise=Gaussian(0.5),
    num_selection=10,
    max_estimation=100,
    alpha=0.001,
    beta=0.01,
    radii=(0.25, 0.5),
    test=DEFAULT_TEST,
)


def proven(*held: list[int], undecided: int = 0) -> Proven:
    shares = torch.tensor(held, dtype=torch.bool)
    open_ones = torch.zeros_like(shares)
    open_ones[:, :undecided] = True
    return Proven(shares, open_ones, torch.tensor([30.0, 50.0, 70.0, 50.0]))


def test_gains_are_means_over_seeds_paired_by_image() -> None:
    control = proven([1, 1, 0, 0], [1, 0, 0, 0])
    found = [proven([1, 1, 1, 0], [1, 1, 0, 0], undecided=1), proven([1, 0, 1, 1], [0, 0, 0, 0])]
    near, far = rows(found, control, PLAN)
    assert (near["radius"], far["radius"]) == (0.25, 0.5)
    assert (near["certified"], far["certified"]) == (75.0, 25.0)
    assert (near["gain"], far["gain"]) == (25.0, 0.0)
    differences = torch.tensor([0.0, -50.0, 100.0, 50.0])
    assert near["standard_error"] == pytest.approx(float(differences.std()) / 2, abs=0.01)
    assert near["interval"][0] < 75 < near["interval"][1]
    assert (near["undecided"], near["queries_an_image"]) == (0.5, 50.0)


def test_the_control_gains_nothing_over_itself() -> None:
    control = proven([1, 1, 0, 0], [1, 0, 0, 0])
    assert [(row["gain"], row["standard_error"]) for row in rows([control], control, PLAN)] == [(0, 0), (0, 0)]
