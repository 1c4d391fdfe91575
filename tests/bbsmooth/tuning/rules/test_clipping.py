"""Clipping at the root of the dimension."""

import pytest
import torch

from bbsmooth.tuning.rules.clipping import Clipped
from bbsmooth.tuning.rules.steps import Sgd, SpsaGc


@pytest.mark.parametrize(("length", "expected"), [(0.5, 0.5), (3.0, 3.0), (3.1, 3.0), (1e6, 3.0), (0.0, 0.0)])
def test_a_gradient_of_nine_numbers_is_no_longer_than_three(length: float, expected: float) -> None:
    direction = torch.nn.functional.normalize(torch.arange(1.0, 10.0), dim=0)
    _, found = Clipped(Sgd()).update({}, length * direction)
    torch.testing.assert_close(found, expected * direction)


def test_the_rule_behind_it_keeps_its_memory() -> None:
    rule, plain = Clipped(SpsaGc(momentum=0.5)), SpsaGc(momentum=0.5)
    state, other = rule.initial_state(torch.zeros(4)), plain.initial_state(torch.zeros(4))
    for gradient in (torch.tensor([8.0, 0, 0, 0]), torch.tensor([0, 1.0, 0, 0])):
        state, found = rule.update(state, gradient)
        other, expected = plain.update(other, gradient.clamp(max=2.0))  # 2 is the root of 4
        torch.testing.assert_close(found, expected)
