import numpy as np
import pytest
from scipy.stats import binom

from bbsmooth.certification import ClopperPearson
from bbsmooth.certification.bounds.randomised import RandomisedClopperPearson


@pytest.mark.parametrize("p", [0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("trials", [1, 20, 150])
def test_the_error_is_exactly_alpha_at_every_rate(p: float, trials: int) -> None:
    alpha, uniforms = 0.05, (np.arange(400) + 0.5) / 400
    wrong = [
        [RandomisedClopperPearson(uniform).lower(successes, trials, alpha=alpha) > p for uniform in uniforms[::20]]
        for successes in range(trials + 1)
    ]
    error = binom.pmf(np.arange(trials + 1), trials, p) @ np.mean(wrong, axis=1)
    largest_atom = binom.pmf(np.arange(trials + 1), trials, p).max()
    assert error == pytest.approx(alpha, abs=largest_atom / 20 + 1e-9)  # 20 uniforms stand for all


def test_it_is_never_below_the_bound_that_draws_no_number() -> None:
    for successes, trials in [(0, 5), (3, 5), (5, 5), (990, 1_000)]:
        plain = ClopperPearson().lower(successes, trials, alpha=0.001)
        bounds = [RandomisedClopperPearson(u).lower(successes, trials, alpha=0.001) for u in (1e-9, 0.5, 1 - 1e-9)]
        assert bounds == sorted(bounds, reverse=True)
        assert bounds[-1] == pytest.approx(plain, abs=1e-6)
        assert bounds[-1] >= plain - 1e-12


@pytest.mark.parametrize("uniform", [0.0, 1.0, float("nan")])
def test_a_number_that_is_no_draw_is_refused(uniform: float) -> None:
    with pytest.raises(ValueError, match="uniform must lie between"):
        RandomisedClopperPearson(uniform)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="got 6 of 5"):
        RandomisedClopperPearson(0.5).lower(6, 5, alpha=0.1)
