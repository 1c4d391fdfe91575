from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import kstest

from bbsmooth.randomness import Stream, fork, image_digest, name_digest, uniform_number


def uniform(generator: np.random.Generator, out: NDArray[np.float64]) -> None:
    generator.random(out=out)


def normal(generator: np.random.Generator, out: NDArray[np.float64]) -> None:
    generator.standard_normal(out=out)


def draws(stream: Stream, *, first: int, count: int, values: int = 5) -> NDArray[np.float64]:
    out = np.empty((count, values))
    stream.fill(uniform, out, first=first)
    return out


def test_the_stream_of_a_name_is_the_same_on_every_machine_and_every_day() -> None:
    stream = Stream(name_digest(7, "estimate", b"image"))
    assert stream.name.hex() == "a0c9133c76c98a1e91bcc986e277ae9251ba77018fc22cf4a89d87a3b1431486"
    raw = [int(generator.integers(2**63)) for generator in stream.generators(0, 3)]
    assert raw == [2436776222726786291, 3464189729313877108, 8136808453434273545]
    assert int(next(stream.generators(2**40, 1)).integers(2**63)) == 5959224662572833346


def test_normal_draws_are_the_same_on_every_machine_and_every_day() -> None:
    values = np.empty((2, 3))
    Stream(name_digest(7, "x")).fill(normal, values, first=5)
    assert np.rint(values * 10**6).astype(int).tolist() == [[1000340, 1266831, 1345761], [652109, 635318, 499886]]


@pytest.mark.parametrize("cuts", [(0, 1, 2, 3, 40), (0, 40), (0, 13, 14, 40), (0, 16, 31, 33, 40)])
def test_a_draw_does_not_depend_on_how_the_draws_are_split(cuts: tuple[int, ...]) -> None:
    stream = Stream(name_digest(1, "a"))
    parts = [draws(stream, first=start, count=stop - start) for start, stop in pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(parts), draws(stream, first=0, count=40))


def test_a_place_does_not_depend_on_how_much_the_place_before_it_took() -> None:
    stream = Stream(name_digest(1, "a"))
    greedy = []
    for turn, generator in enumerate(stream.generators(0, 10)):
        greedy.append(generator.random())
        generator.integers(0, 2**31, size=turn, dtype=np.int32)  # leaves half a word behind
    assert greedy == draws(stream, first=0, count=160, values=1)[::16].ravel().tolist()


def test_draws_of_one_stream_do_not_overlap() -> None:
    stream = Stream(name_digest(1, "a"))
    values = draws(stream, first=0, count=50, values=400)
    assert len(np.unique(values)) == values.size


def test_neighbouring_draws_are_uniform_and_independent() -> None:
    values = draws(Stream(name_digest(3, "a")), first=0, count=20_000, values=2)
    assert kstest(values[:, 0], "uniform").pvalue > 1e-3
    lag = np.corrcoef(values[:-1, 0], values[1:, 0])[0, 1]
    assert abs(lag) < 4 / np.sqrt(20_000)


def test_the_first_draws_of_many_streams_are_uniform() -> None:
    values = [draws(Stream(name_digest(seed, "a")), first=0, count=1, values=1)[0, 0] for seed in range(5_000)]
    assert kstest(values, "uniform").pvalue > 1e-3


def test_names_that_read_alike_are_different_names() -> None:
    paths: list[tuple[str | int | bytes, ...]] = [
        ("a", "b"), ("ab",), ("a", "b", ""), ("", "a", "b"), (b"a", "b"), ("a:b",),
        ("1",), (1,), (b"1",), ("str:1:1",), (),
    ]  # fmt: skip
    assert len({name_digest(1, *path) for path in paths}) == len(paths)
    assert name_digest(11) != name_digest(1, 1) != name_digest(1, "1")


def test_an_image_is_known_by_its_bytes_and_its_shape() -> None:
    image = torch.arange(16, dtype=torch.uint8).reshape(1, 4, 4)
    assert image_digest(image) == image_digest(image.clone())
    assert image_digest(image.transpose(1, 2)) == image_digest(image.transpose(1, 2).contiguous())
    others = [image.transpose(1, 2), image.reshape(1, 2, 8), image.reshape(4, 2, 2), image ^ 1]
    assert len({image_digest(other) for other in [image, *others]}) == 5


def test_forks_with_the_same_name_agree_and_others_do_not() -> None:
    first, again, other = (torch.rand(4, generator=fork(*name)) for name in [(1, "a"), (1, "a"), (1, "b")])
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_number_of_a_stream_is_uniform_and_belongs_to_its_name() -> None:
    numbers = [uniform_number(name_digest(seed, "a")) for seed in range(5_000)]
    assert kstest(numbers, "uniform").pvalue > 1e-3
    assert 0 < min(numbers) < max(numbers) < 1
    assert uniform_number(name_digest(3, "a")) == numbers[3]
