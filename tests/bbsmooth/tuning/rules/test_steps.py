import pytest
import torch
from torch import Tensor

from bbsmooth.randomness import fork
from bbsmooth.tuning import Adam, Gains, Rademacher, SegmentedUniform, Sgd, Spsa, SpsaGc, StepRule


def test_sgd_follows_the_gradient() -> None:
    gradient = torch.tensor([1.0, -2.0])
    assert Sgd().update({}, gradient).direction is gradient


def test_spsa_gc_by_hand() -> None:
    # b = 0.5; g1 = 1: m1 = 1, direction 1 + 0.5 * 1. g2 = 4: m2 = 0.5 * 1 + 4 = 4.5, direction 4 + 0.5 * 4.5.
    rule = SpsaGc(momentum=0.5)
    first = rule.update(rule.initial_state(torch.zeros(1)), torch.tensor([1.0]))
    second = rule.update(first.state, torch.tensor([4.0]))
    assert first.direction.item() == 1.5
    assert second.state["momentum"].item() == 4.5
    assert second.direction.item() == 6.25


def test_spsa_gc_is_the_look_ahead_method_of_the_paper() -> None:
    # BlackVIP's form on a quadratic: m' = b m - a g(z + b m), z' = z + m'. What is kept here is the point z + b m.
    rate, momentum, slope = 0.1, 0.8, torch.tensor([1.0, 3.0])
    point, velocity = torch.tensor([2.0, -1.0]), torch.zeros(2)
    rule = SpsaGc(momentum=momentum)
    ahead, state = point, rule.initial_state(point)
    for _ in range(20):
        velocity = momentum * velocity - rate * slope * (point + momentum * velocity)
        point = point + velocity
        state, direction = rule.update(state, slope * ahead)
        ahead = ahead - rate * direction
        torch.testing.assert_close(ahead, point + momentum * velocity)


def test_adam_is_that_of_torch() -> None:
    parameters = torch.randn(5, generator=fork(0))
    theirs = torch.nn.Parameter(parameters.clone())
    optimiser = torch.optim.Adam([theirs], lr=0.03, betas=(0.8, 0.95), eps=1e-6)
    rule = Adam(beta1=0.8, beta2=0.95, epsilon=1e-6)
    state = rule.initial_state(parameters)
    for step in range(30):
        gradient = torch.randn(5, generator=fork(1, step)) * 10.0 ** (step % 3)
        theirs.grad = gradient
        optimiser.step()
        state, direction = rule.update(state, gradient)
        parameters = parameters - 0.03 * direction
        torch.testing.assert_close(parameters, theirs.detach())


@pytest.mark.parametrize("directions", [Rademacher(), SegmentedUniform()], ids=repr)
@pytest.mark.parametrize("rule", [Sgd(), SpsaGc(momentum=0.5), Adam(beta2=0.9)], ids=repr)
def test_spsa_with_gains_finds_the_minimum_of_a_quadratic(rule: StepRule, directions: Rademacher) -> None:
    target = torch.tensor([1.0, -2.0, 0.5, 3.0])

    class Bowl:
        def losses(self, points: Tensor) -> Tensor:
            return (points - target).square().sum(1)

    gains = Gains(learning_rate=0.5, probe_radius=0.1, learning_decay=0.602, probe_decay=0.101, stability=10.0)
    estimator = Spsa(directions=directions, num_directions=1)
    point = torch.zeros(4)
    state = rule.initial_state(point)
    for step in range(1, 1_001):
        radius = gains.probe_radius_at(step)
        estimate = estimator.estimate(Bowl(), point, probe_radius=radius, generator=fork(7, step))
        state, direction = rule.update(state, estimate.gradient)
        point = point - gains.learning_rate_at(step) * direction
    assert (point - target).norm() < 0.05


@pytest.mark.parametrize("rule", [Sgd(), SpsaGc(momentum=0.9), Adam()], ids=repr)
def test_update_is_a_pure_function(rule: StepRule) -> None:
    state = rule.update(rule.initial_state(torch.zeros(3)), torch.ones(3)).state
    kept = {name: tensor.clone() for name, tensor in state.items()}
    gradient = torch.randn(3, generator=fork(0))
    once, again = rule.update(state, gradient), rule.update(state, gradient)
    assert torch.equal(once.direction, again.direction)
    assert all(torch.equal(state[name], kept[name]) for name in kept)


def test_rules_that_never_forget_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        SpsaGc(momentum=1.0)
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        Adam(beta1=1.0)
    with pytest.raises(ValueError, match="epsilon"):
        Adam(epsilon=0.0)
