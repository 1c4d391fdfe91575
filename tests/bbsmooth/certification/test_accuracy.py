import numpy as np
import pytest
from scipy.stats import binomtest

from bbsmooth.certification import average_certified_radius, average_radius_interval, certified_accuracy, share

RADII = [None, 0.0, 0.25, 0.5, None, 1.5]


@pytest.mark.parametrize(("successes", "images"), [(0, 10), (3, 10), (10, 10), (731, 1_000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_the_interval_of_a_share_is_the_exact_one(successes: int, images: int, confidence: float) -> None:
    exact = binomtest(successes, images).proportion_ci(confidence, method="exact")
    found = share(successes, images, confidence=confidence)
    assert found.value == successes / images
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-11)


@pytest.mark.parametrize(("radius", "expected"), [(0.0, 4 / 6), (0.25, 3 / 6), (0.26, 2 / 6), (1.5, 1 / 6), (2.0, 0.0)])
def test_an_image_counts_at_every_radius_up_to_its_own(radius: float, expected: float) -> None:
    assert certified_accuracy(RADII, radius, confidence=0.95).value == expected


def test_the_average_radius_counts_abstentions_and_wrong_classes_as_zero() -> None:
    assert average_certified_radius(RADII) == 2.25 / 6


def test_the_average_radius_is_the_area_under_the_curve_of_certified_accuracy() -> None:
    steps = 2_000
    area = (
        sum(certified_accuracy(RADII, (i + 0.5) * 2 / steps, confidence=0.95).value for i in range(steps)) * 2 / steps
    )
    assert average_certified_radius(RADII) == pytest.approx(area, abs=1e-6)


@pytest.mark.parametrize("images", [20, 150])
@pytest.mark.parametrize("right", [0.3, 0.97])
def test_the_interval_of_the_average_radius_covers(images: int, right: float) -> None:
    """Radii pile up at 0 and at the largest, where Student's interval fails."""
    generator, largest, covered = np.random.default_rng(4), 1.6, 0
    mean = largest * right * (0.5 + 0.5 * 2 / 7)
    for _ in range(200):
        top, between = generator.random(images) < 0.5, largest * generator.beta(2, 5, images)
        radii = np.where(generator.random(images) < right, np.where(top, largest, between), 0.0)
        low, high = average_radius_interval([*radii.tolist()], largest=largest, confidence=0.9)
        assert 0 <= low <= radii.mean() <= high <= largest
        covered += low <= mean <= high
    assert covered / 200 >= 0.9 - 3 * (0.9 * 0.1 / 200) ** 0.5


def test_the_interval_of_the_average_radius_shrinks_with_the_images() -> None:
    radii = [None, 0.0, 0.25, 0.5, 0.5, 1.0]
    widths = []
    for times in (5, 50, 500):
        low, high = average_radius_interval(radii * times, largest=1.5, confidence=0.95)
        widths.append(high - low)
    assert widths[0] > 2 * widths[1] > 4 * widths[2]


def test_the_interval_of_the_average_radius_does_not_depend_on_the_order_of_images() -> None:
    radii = np.random.default_rng(0).beta(2, 5, 60)
    orders = (radii, np.sort(radii), np.sort(radii)[::-1], np.random.default_rng(1).permutation(radii))
    found = {average_radius_interval([*order.tolist()], largest=1.2, confidence=0.95) for order in orders}
    assert len(found) == 1


@pytest.mark.parametrize("end", [1, -1], ids=["ascending", "descending"])
def test_the_interval_of_the_average_radius_covers_where_images_are_sorted(end: int) -> None:
    """Each side covers by itself: a bound that needs a random order misses half of the time here."""
    generator, repetitions = np.random.default_rng(5), 200
    low_misses, high_misses = 0, 0
    for _ in range(repetitions):
        radii = np.sort(np.where(generator.random(40) < 0.5, 1.0, 0.1))[::end]
        low, high = average_radius_interval([*radii.tolist()], largest=1.0, confidence=0.9)
        low_misses += low > 0.55
        high_misses += high < 0.55
    assert max(low_misses, high_misses) / repetitions <= 0.05 + 3 * (0.05 * 0.95 / repetitions) ** 0.5
