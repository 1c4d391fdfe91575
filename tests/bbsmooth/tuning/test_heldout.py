import torch

from bbsmooth.tuning.heldout import Score


def score(correct: list[int], probability: list[float]) -> Score:
    return Score(torch.tensor(correct).float(), torch.tensor(probability))


def test_accuracy_is_the_share_of_right_answers() -> None:
    assert score([1, 0, 1, 1], [1.0, 0.0, 1.0, 1.0]).accuracy == 0.75


def test_a_clear_gain_wins_and_a_tie_does_not() -> None:
    base = score([1, 0], [0.5, 0.5])
    assert score([1, 0], [0.6, 0.6]).beats(base, margin=2.0)
    assert not base.beats(base, margin=0.0)


def test_a_gain_within_the_margin_is_luck() -> None:
    # Gains 0.3 and -0.1: mean 0.1, standard error 0.2 / sqrt(2) = 0.141.
    base, lucky = score([1, 1], [0.5, 0.5]), score([1, 1], [0.8, 0.4])
    assert lucky.beats(base, margin=0.5)
    assert not lucky.beats(base, margin=1.0)


def test_accuracy_is_never_given_up_for_merit() -> None:
    assert not score([0, 1], [0.45, 1.0]).beats(score([1, 1], [0.55, 0.6]), margin=0.0)
