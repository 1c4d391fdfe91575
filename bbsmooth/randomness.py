"""Named, counter-based streams of random numbers: no global seed, no state that depends on who draws first.

A stream is named by a seed and a path, such as the digest of an image and what the draws are for. It has places 0, 1,
..., each a Philox-4x64 generator (Salmon et al., SC 2011) keyed by the name, place g from counter g * 2^128 on.
Sixteen draws are taken at each place, one after the other: draw i is number i mod 16 at place i div 16. So a draw is
the same on every run, for any batch size, number of threads or resumption. And sixteen cost one call of the generator:
with a call for each, threads would spend their time waiting for the interpreter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Sample = Callable[[np.random.Generator, NDArray[np.float64]], None]
"""Fills an array (rows, values) row after row, so that a shorter array gets the first rows of a longer one."""

DRAWS_AT_A_PLACE = 16


def name_digest(seed: int, *path: str | int | bytes) -> bytes:
    """The 32-byte name of a stream: SHA-256 over `seed` and `path`, each with its type and length."""
    digest = hashlib.sha256()
    for part in (seed, *path):
        raw = part if isinstance(part, bytes) else str(part).encode()
        digest.update(f"{type(part).__name__}:{len(raw)}:".encode() + raw)
    return digest.digest()


def image_digest(image: Tensor) -> bytes:
    """SHA-256 over the shape and the bytes of one uint8 image (C, H, W)."""
    return hashlib.sha256(f"{tuple(image.shape)}".encode() + image.contiguous().numpy().tobytes()).digest()


def uniform_number(name: bytes) -> float:
    """A number in (0, 1) that belongs to the stream called `name` and is independent of its draws."""
    return (int.from_bytes(name_digest(0, "uniform", name)[:8], "big") // 2**12 + 0.5) / 2**52


def fork(seed: int, *path: str | int | bytes, device: str = "cpu") -> torch.Generator:
    """A torch generator fixed by `seed` and `path`, for what is drawn in sequence: weights, orders, directions."""
    import torch

    return torch.Generator(device).manual_seed(int.from_bytes(name_digest(seed, *path)[:7], "big"))


@dataclass(frozen=True, slots=True)
class Stream:
    """Independent draws with random access.

    Args:
        name: 32 bytes from `name_digest`; the first 16 are the Philox key.
    """

    name: bytes
    key: NDArray[np.uint64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the key off the name."""
        object.__setattr__(self, "key", np.frombuffer(self.name[:16], dtype="<u8").astype(np.uint64))

    def generators(self, first: int, count: int) -> Iterator[np.random.Generator]:
        """Generators at places `first` to `first + count - 1`, one after the other.

        One object is moved from place to place: use each before asking for the next.
        """
        bits = np.random.Philox(key=self.key)
        generator = np.random.Generator(bits)
        state = bits.state  # a copy, as it is before the first number
        counter = state["state"]["counter"]
        for place in range(first, first + count):
            counter[2] = place
            bits.state = state
            yield generator

    def fill(self, sample: Sample, out: NDArray[np.float64], *, first: int) -> None:
        """Fill row r of `out` (count, values) with draw `first + r`."""
        place, skipped = divmod(first, DRAWS_AT_A_PLACE)
        done = 0
        for generator in self.generators(place, -(-(skipped + len(out)) // DRAWS_AT_A_PLACE)):
            rows = out[done : done + DRAWS_AT_A_PLACE - skipped]
            if skipped:
                all_rows = np.empty((skipped + len(rows), out.shape[1]))
                sample(generator, all_rows)
                rows[:] = all_rows[skipped:]
            else:
                sample(generator, rows)
            done, skipped = done + len(rows), 0


class _Key(ISeedSequence):
    """Seeds a Philox generator with its key, which takes an eighth of the time of naming the key."""

    def __init__(self, key: NDArray[np.uint64]) -> None:
        self._key = key

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[Any]:
        """The two words of the key."""
        return self._key


class Words:
    """Raw 64-bit words of a stream, which numpy promises never to change (NEP 19).

    Place g, part p begins at the Philox counter g * 2^128 + p * 2^192 + 1.

    Args:
        stream: whose words.
        part: 0, 1, ..., independent of each other.
    """

    def __init__(self, stream: Stream, part: int) -> None:
        """Stand before the first word of place 0."""
        self._bits = np.random.Philox(_Key(stream.key))  # type: ignore[arg-type]  # numpy's stub forgets ISeedSequence
        self._start = self._bits.state  # a copy, as it is before the first word
        self._counter = self._start["state"]["counter"]
        self._counter[3] = part

    def go(self, place: int) -> None:
        """Stand before the first word of a place."""
        self._counter[2] = place
        self._bits.state = self._start

    def take(self, count: int) -> NDArray[np.uint64]:
        """Return the next `count` words."""
        return self._bits.random_raw(count)
