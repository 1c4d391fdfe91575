"""Philox-4x64-10: the known answers of Random123, by NumPy, by torch, and written out in whole numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bbsmooth.noise.philox import philox, signed
from bbsmooth.randomness import Stream, Words, name_digest

KNOWN = {
    ((0, 0, 0, 0), (0, 0)): (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B),
    ((2**64 - 1,) * 4, (2**64 - 1,) * 2): (
        0x87B092C3013FE90B,
        0x438C3C67BE8D0224,
        0x9CC7D7C69CD777B6,
        0xA09CAEBF594F0BA0,
    ),
    (
        (0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89),
        (0x452821E638D01377, 0xBE5466CF34E90C6C),
    ): (0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6),
}
"""By counter and key, the lowest words first (kat_vectors of Random123)."""


def in_whole_numbers(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    """The definition: ten rounds of two multiplications, as the paper has it."""
    (a, b, c, d), (low, high), word = counter, key, 2**64
    for _ in range(10):
        left, right = a * 0xD2E7470EE14C6C93, c * 0xCA5A826395121157
        a, b, c, d = (right // word) ^ b ^ low, right % word, (left // word) ^ d ^ high, left % word
        low, high = (low + 0x9E3779B97F4A7C15) % word, (high + 0xBB67AE8584CAA73B) % word
    return a, b, c, d


def by_torch(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    words = philox([torch.tensor([signed(word)]) for word in counter], [torch.tensor([signed(word)]) for word in key])
    return tuple(int(word) % 2**64 for word in words)


@pytest.mark.parametrize(("asked", "answer"), KNOWN.items())
def test_known_answers(asked: tuple[tuple[int, ...], tuple[int, ...]], answer: tuple[int, ...]) -> None:
    counter, key = asked
    assert in_whole_numbers(counter, key) == answer
    assert by_torch(counter, key) == answer
    number = sum(word << 64 * place for place, word in enumerate(counter))
    before = (number - 1) % 2**256  # numpy counts before it answers
    words = np.array([before >> 64 * place & 2**64 - 1 for place in range(4)], dtype=np.uint64)
    generator = np.random.Philox(counter=words, key=np.array(key, dtype=np.uint64))
    assert tuple(map(int, generator.random_raw(4))) == answer


def test_torch_agrees_with_whole_numbers_everywhere() -> None:
    words = np.random.default_rng(1).integers(0, 2**64, (200, 6), dtype=np.uint64)
    words[::3, :2] = 2**64 - 1  # every carry
    for row in words.tolist():
        assert by_torch(tuple(row[:4]), tuple(row[4:])) == in_whole_numbers(tuple(row[:4]), tuple(row[4:]))


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("place", [0, 1, 2**40])
def test_words_of_a_stream_lie_at_their_place_and_part(place: int, part: int) -> None:
    stream = Stream(name_digest(2, "words"))
    words = Words(stream, part)
    words.take(3)
    words.go(place)
    taken = [*words.take(5).tolist(), *words.take(3).tolist()]
    low, high = map(int, stream.key)
    assert taken == [word for block in (1, 2) for word in in_whole_numbers((block, 0, place, part), (low, high))]
