import csv
import math
from pathlib import Path

import mpmath
import numpy as np
import pytest
from scipy.stats import beta, binom, binomtest

from bbsmooth.certification import ClopperPearson
from bbsmooth.certification.bounds.randomised import RandomisedClopperPearson
from bbsmooth.noise import Gaussian

BOUND = ClopperPearson()
CASES = [
    (successes, trials, alpha)
    for trials in (1, 2, 10, 100, 1_000, 100_000, 1_000_000)
    for successes in sorted({0, 1, trials // 2, trials // 2 + 1, trials - 1, trials})
    for alpha in (0.001, 0.05, 0.5)
]


@pytest.mark.parametrize("alpha", [1e-40, 1e-20, 1e-9, 1e-6, 0.001 / 3, 0.0005, 0.001, 0.01, 0.025, 0.05, 0.5, 0.975])
def test_the_bound_is_the_quantile_of_scipy_stats_in_every_bit(alpha: float) -> None:
    for trials in (1, 2, 3, 5, 10, 50, 100, 1_000, 10_000, 100_000, 1_000_000):
        counts = {*range(1, min(trials, 60) + 1), *range(max(1, trials - 60), trials + 1), *range(1, trials, 9973)}
        successes = np.array(sorted(counts))
        expected = beta.ppf(alpha, successes, trials - successes + 1)
        found = [BOUND.lower(int(each), trials, alpha=alpha) for each in successes]
        assert np.array_equal(found, expected)


def test_a_bound_that_is_too_small_to_be_found_is_0() -> None:
    assert BOUND.lower(3, 5, alpha=1e-300) == 0
    assert BOUND.upper(2, 5, alpha=1e-300) == 1


@pytest.mark.parametrize(
    ("successes", "trials", "alpha"),
    [
        (781, 819, 5.331769941954484e-270),  # of all these SciPy 1.17 makes bounds that are too high
        (1_403, 1_440, 2.686651229109106e-297),
        (2_920, 2_943, 8.005666492741967e-298),
        (72_536, 72_567, 1.7394845194340138e-256),
        (520_185, 520_220, 7.492889374824087e-283),
        (1_000, 1_000, 1e-300),
        (60, 100, 1e-160),
        (60, 100, 5e-324),
    ],
)
def test_deep_in_the_tail_no_bound_is_too_high(successes: int, trials: int, alpha: float) -> None:
    for bound in (BOUND, RandomisedClopperPearson(0.5)):
        lower = bound.lower(successes, trials, alpha=alpha)
        with mpmath.workdps(40):
            p = mpmath.mpf(lower)
            ways = (mpmath.binomial(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(successes, trials + 1))
            tail = mpmath.fsum(ways)
            assert alpha / 1_000 < tail <= alpha


@pytest.mark.parametrize(("successes", "trials", "alpha"), CASES)
def test_bounds_agree_with_the_exact_binomial_test(successes: int, trials: int, alpha: float) -> None:
    greater = binomtest(successes, trials, alternative="greater").proportion_ci(1 - alpha, method="exact")
    less = binomtest(successes, trials, alternative="less").proportion_ci(1 - alpha, method="exact")
    assert BOUND.lower(successes, trials, alpha=alpha) == pytest.approx(
        greater.low, rel=1e-9, abs=1e-11
    )  # its own tolerance
    assert BOUND.upper(successes, trials, alpha=alpha) == pytest.approx(
        less.high, rel=1e-9, abs=1e-11
    )  # its own tolerance


@pytest.mark.parametrize(("successes", "trials", "alpha"), [*CASES, (999, 1_000, 1e-12), (10**6, 10**6, 1e-9)])
def test_at_the_lower_bound_the_tail_has_probability_alpha(successes: int, trials: int, alpha: float) -> None:
    lower = BOUND.lower(successes, trials, alpha=alpha)
    if successes == 0:
        assert lower == 0
    else:
        assert 0 < lower < 1
        assert binom.sf(successes - 1, trials, lower) == pytest.approx(alpha, rel=1e-6)


@pytest.mark.parametrize("alpha", [0.001, 0.05, 0.2])
@pytest.mark.parametrize("trials", [1, 7, 50])
def test_the_lower_bound_is_too_high_with_probability_at_most_alpha(trials: int, alpha: float) -> None:
    lowers = np.array([BOUND.lower(successes, trials, alpha=alpha) for successes in range(trials + 1)])
    # The worst rates lie just below a bound, so the bounds themselves are part of the grid.
    rates = np.concatenate([np.linspace(0, 1, 2_001), lowers, np.nextafter(lowers, 0)]).clip(0, 1)
    outcomes = binom.pmf(np.arange(trials + 1), trials, rates[:, None])
    failure = (outcomes * (lowers > rates[:, None])).sum(1)
    assert failure.max() <= alpha * (1 + 1e-9)
    assert failure.max() > 0.99 * alpha  # and no more cautious than it must be


def test_the_bound_grows_with_every_success() -> None:
    lowers = [BOUND.lower(successes, 1_000, alpha=0.001) for successes in range(1_001)]
    assert all(np.diff(lowers) > 0)


def test_the_bound_for_all_successes_has_a_closed_form() -> None:
    assert BOUND.lower(100_000, 100_000, alpha=0.001) == pytest.approx(0.001 ** (1 / 100_000), rel=1e-14)


@pytest.mark.parametrize(("successes", "trials"), [(-1, 10), (11, 10), (0, 0), (1, -1)])
def test_impossible_counts_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match=f"got {successes} of {trials}"):
        BOUND.lower(successes, trials, alpha=0.01)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 2.0, math.nan])
def test_an_alpha_that_is_no_probability_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha must lie between 0 and 1"):
        BOUND.lower(5, 10, alpha=alpha)


def test_published_radii_come_out_to_the_last_printed_digit(shared: Path) -> None:
    with (shared / "data/cohen/rows.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == 90
    for row in rows:
        # The logs print sigma and radius rounded; the published models were made with the sigma that is printed.
        noise, trials, alpha = Gaussian(float(row["sigma"])), int(row["N"]), float(row["alpha"])

        def radius(votes: str, noise: Gaussian = noise, trials: int = trials, alpha: float = alpha) -> float:
            return noise.radius(BOUND.lower(int(votes), trials, alpha=alpha))

        assert radius(row["NA"]) == pytest.approx(float(row["radius_of_NA"]), rel=1e-9)
        printed = float(row["radius"])
        half_digit = 0.5 * 10.0 ** -len(row["radius"].partition(".")[2])
        assert radius(row["NA_min"]) <= printed + half_digit + 1e-9
        assert radius(row["NA_max"]) >= printed - half_digit - 1e-9
        assert abs(radius(row["NA"]) - printed) <= half_digit + 1e-9
