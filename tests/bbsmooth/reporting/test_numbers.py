import pytest

from bbsmooth.reporting import numbers


def test_a_radius_is_never_rounded_up() -> None:
    assert numbers.rounded_down(0.99999, 4) == 0.9999
    assert numbers.rounded_down(1.23456789, 4) == 1.2345


def test_shares_and_their_intervals() -> None:
    assert numbers.percent(0.9166) == "91.7 %"
    assert numbers.interval(0.5, 1) == "50.0 % to 100.0 %"
    assert (numbers.points(0.052), numbers.points(-0.001)) == ("+5.2", "-0.1")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (8440, "2 h 20 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


def test_small_probabilities_keep_their_order_of_magnitude() -> None:
    assert (numbers.probability(0.0421), numbers.probability(3.2e-9)) == ("0.042", "3e-09")


def test_long_texts_say_how_long_they_are() -> None:
    assert numbers.shortened("abcdef", 3) == "abc... (6 characters)"
    assert numbers.shortened("abc", 3) == "abc"
    assert (numbers.count(1, "image"), numbers.count(1200, "image")) == ("1 image", "1,200 images")
