"""Integer noise by exact inversion: each probability against mpmath, and draws against each probability."""

from __future__ import annotations

import math
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chisquare

from bbsmooth.noise import Gaussian, Laplace, NoiseDistribution, Uniform
from bbsmooth.noise.adding import add_cells, draws_together
from bbsmooth.noise.cells import Cells, cells, largest_integer, total_variation
from bbsmooth.noise.gaussian_tails import upper_tails
from bbsmooth.randomness import Stream, name_digest

NOISES = [Gaussian(0.01), Gaussian(0.25), Gaussian(1.0), Laplace(0.02), Laplace(0.3), Uniform(0.003), Uniform(0.3)]
STREAM = Stream(name_digest(3, "cells"))


def drawn(
    noise: NoiseDistribution, white: int, *, values: int, count: int, stream: Stream = STREAM
) -> NDArray[np.int64]:
    """(count, values) integers."""
    found = np.empty((count, values), dtype=np.int64)
    pixels = np.zeros(values, dtype=np.int64)
    for rows, columns, sums in add_cells(pixels, cells(noise, white), stream, first=0, count=count):
        found[rows, columns] = sums
    return found


def beyond(noise: NoiseDistribution, at: mpmath.mpf) -> mpmath.mpf:
    """P(noise > at), white being 1, in the form that a textbook has; here at the 200 bits of the caller."""
    if isinstance(noise, Gaussian):
        return mpmath.ncdf(-at / noise.sigma)
    if isinstance(noise, Laplace):
        return 1 - (1 - mpmath.exp(-at / noise.scale) / 2)
    assert isinstance(noise, Uniform)
    return max(mpmath.mpf(0), 1 - (at + noise.reach) / (2 * mpmath.mpf(noise.reach)))


def ideal(noise: NoiseDistribution, white: int, k: int) -> mpmath.mpf:
    """Probability of the cell of the integer `k`."""
    half, k = mpmath.mpf(1) / 2, abs(k)
    if k == 0:
        return 1 - 2 * beyond(noise, half / white)
    return beyond(noise, (k - half) / white) - beyond(noise, (k + half) / white)


def probabilities(held: Cells) -> list[mpmath.mpf]:
    """Probabilities of -largest, ..., largest, as the words give them."""
    ends = [0, *map(int, held.thresholds), 1 << 64]
    return [mpmath.ldexp(high - low, -64) for low, high in pairwise(ends)]


@pytest.mark.parametrize("noise", NOISES, ids=str)
@pytest.mark.parametrize("white", [255, 510])
def test_every_cell_is_right_to_two_to_the_minus_64(noise: NoiseDistribution, white: int) -> None:
    held = cells(noise, white)
    with mpmath.workprec(200):
        found, inner = probabilities(held), range(held.largest)
        assert found == found[::-1]
        for k in inner[:: max(1, held.largest // 400)]:  # each of a small grid, four hundred of a large one
            assert abs(found[held.largest + k] - ideal(noise, white, k)) <= mpmath.ldexp(1, -64)
        last = beyond(noise, (held.largest - mpmath.mpf(0.5)) / white)  # the last one stands for all beyond, too
        assert abs(found[-1] - last) <= mpmath.ldexp(1, -65)
        assert last - ideal(noise, white, held.largest) < mpmath.ldexp(1, -65)


@pytest.mark.parametrize("noise", [Gaussian(0.01), Laplace(0.005), Uniform(0.05)], ids=str)
def test_the_distance_to_ideal_noise_is_what_the_closed_form_bounds(noise: NoiseDistribution) -> None:
    """The total variation, summed over all cells with mpmath, beside the bound."""
    held = cells(noise, 255)
    with mpmath.workprec(200):
        pairs = zip(range(-held.largest, held.largest + 1), probabilities(held), strict=True)
        distance = sum(abs(found - ideal(noise, 255, k)) for k, found in pairs) / 2
        distance += beyond(noise, (held.largest + mpmath.mpf(0.5)) / 255)
        bound = total_variation(noise, 255)
        assert distance <= bound
        assert bound == (2 * held.largest + 3) * 2.0**-65
        assert distance > bound / 50


def test_the_largest_integer_is_found_without_the_cells() -> None:
    for noise in NOISES:
        assert largest_integer(noise, 255) == cells(noise, 255).largest
    assert largest_integer(Gaussian(1e-5), 255) == 0
    assert (drawn(Gaussian(1e-5), 255, values=7, count=3) == 0).all()
    assert largest_integer(Uniform(0.5), 255) == math.floor(Uniform(0.5).reach * 255 + 0.5)


@pytest.mark.parametrize("step", [0.5, 0.11, 1 / 64, 1 / 700])
def test_tails_at_equally_spaced_points_are_those_of_mpmath(step: float) -> None:
    count = int(9.5 / step)
    with mpmath.workprec(220):
        first, spacing = mpmath.mpf(step) / 2, mpmath.mpf(step)
        found = upper_tails(first, spacing, count)
        for k in range(0, count, max(1, count // 60)):
            exact = mpmath.ncdf(-(first + k * spacing))
            assert abs(mpmath.ldexp(found[k], -160) - exact) < mpmath.ldexp(1, -120)


@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_table_and_refinement_are_the_inversion_of_the_whole_word(noise: NoiseDistribution) -> None:
    held = cells(noise, 510)
    edges = np.concatenate([held.thresholds, held.thresholds - np.uint64(1), [np.uint64(0), np.uint64(2**64 - 1)]])
    words = np.concatenate([edges, np.random.default_rng(1).integers(0, 2**64, 20_000, dtype=np.uint64)])
    heads, rest = (words >> np.uint64(48)).astype(np.uint16), words & np.uint64(2**48 - 1)
    found = held.table.take(heads).astype(np.int64)
    places = found == held.undecided
    found[places] = held.refine(heads[places], rest[places])
    assert (found == held.invert(words)).all()
    chosen = slice(None, None, len(words) // 50)
    by_hand = [sum(int(word) >= int(end) for end in held.thresholds) - held.largest for word in words[chosen]]
    assert found[chosen].tolist() == by_hand


@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_draws_have_the_probabilities_of_the_cells(noise: NoiseDistribution) -> None:
    observed = drawn(noise, 255, values=500, count=2_000)
    largest = cells(noise, 255).largest
    counts = np.bincount(observed.ravel() + largest, minlength=2 * largest + 1)
    with mpmath.workprec(80):
        expected = np.array([float(each) for each in probabilities(cells(noise, 255))]) * observed.size
    rare = expected < 20
    assert counts[rare].sum() < 20 + 2 * expected[rare].sum()
    counts[largest] += counts[rare].sum()  # too rare to be told apart
    expected[largest] += expected[rare].sum()
    assert chisquare(counts[~rare], expected[~rare]).pvalue > 1e-4


def test_pixels_draws_and_images_are_independent() -> None:
    values = drawn(Gaussian(0.25), 255, values=64, count=8_000) / (0.25 * 255)
    other = drawn(Gaussian(0.25), 255, values=64, count=8_000, stream=Stream(name_digest(4, "another"))) / (0.25 * 255)
    limit = 5 / math.sqrt(len(values))
    assert np.abs(np.corrcoef(values.T) - np.eye(64)).max() < limit
    for apart in (1, 2, 16, 17):  # within and across the places of a stream
        assert abs(np.mean(values[:-apart] * values[apart:])) < limit / 8
    assert np.abs(np.corrcoef(values.T, other.T)[:64, 64:]).max() < limit
    assert abs(np.corrcoef(values.ravel() ** 2, other.ravel() ** 2)[0, 1]) < 5 / math.sqrt(values.size)


def test_integers_fit_sixteen_bits_where_every_sum_does() -> None:
    assert cells(Gaussian(1.0), 510).table.dtype == np.int16
    wide = cells(Laplace(4.1), 255)
    assert wide.largest + 255 > np.iinfo(np.int16).max
    assert wide.table.dtype == np.int32
    assert np.abs(drawn(Laplace(4.1), 255, values=5_000, count=4)).max() <= wide.largest


@pytest.mark.parametrize(
    ("values", "together"), [(1, 16), (784, 16), (1_024, 16), (1_025, 15), (3_072, 5), (16_384, 1), (150_528, 1)]
)
def test_small_images_share_a_place(values: int, together: int) -> None:
    assert draws_together(values) == together


@pytest.mark.parametrize(
    ("noise", "first", "last"),
    [
        (Gaussian(0.25), [139, -153, -44, -41, 189, -144, -63, -147], [321, -12, 18, -63, -201, -100, 32, 57]),
        (Laplace(0.25), [116, -132, -29, -26, 179, -122, -43, -125], [400, -7, 11, -43, -195, -76, 20, 38]),
        (Uniform(0.25), [160, -170, -60, -55, 190, -164, -84, -166], [218, -16, 25, -84, -195, -125, 44, 76]),
    ],
    ids=str,
)
def test_the_integers_are_these_forever(noise: NoiseDistribution, first: list[int], last: list[int]) -> None:
    found = drawn(noise, 510, values=20_003, count=2)
    assert found[0, :8].tolist() == first
    assert found[1, -8:].tolist() == last
