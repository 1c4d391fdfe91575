import torch

from bbsmooth.randomness import fork
from bbsmooth.tuning import ReplayBuffer


def test_answers_are_kept_and_the_oldest_go_first() -> None:
    told = ReplayBuffer.nothing((1, 2, 2), 3)
    assert len(told) == 0
    for shade in (0.0, 0.5, 1.0):
        told = told.add(torch.full((2, 1, 2, 2), shade), torch.eye(3)[:2] * shade, most=5)
    assert told.images[:, 0, 0, 0].tolist() == [0, 128, 128, 255, 255]
    assert told.probabilities[-1].tolist() == [0, 1, 0]


def test_what_is_drawn_belongs_together() -> None:
    shades = torch.linspace(0, 1, 11)
    told = ReplayBuffer.nothing((1, 1, 1), 1).add(shades.view(-1, 1, 1, 1), shades.view(-1, 1), most=100)
    images, probabilities = told.draw(50, fork(0))
    torch.testing.assert_close(images.flatten(), probabilities.flatten(), atol=3e-3, rtol=0)
    assert len(set(images.flatten().tolist())) > 5
