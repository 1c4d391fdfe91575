"""Noise that nobody can predict, new for every image of every request, and answers that nobody remembers.

A certificate bounds the probability over its own draws. A client who could predict these, or see the same ones twice,
could choose an image for which they mislead, and the bound would say nothing about it (Dahiya et al., USENIX Security
2024, arXiv 2306.14043). So each image gets a seed of 256 bits from the operating system's generator when it is begun,
which names its streams (`bbsmooth.randomness`) and is never told, logged or stored. Given all earlier answers its draws
are as new, so the bound holds for each answer also where a client chose the image by looking at all answers before.

Philox, which spreads a seed into noise, is no cipher. But clients are shown counts of votes, never noise, and what they
are shown belongs to a key that is not used again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from torch import Tensor

from bbsmooth.certification import CertifyingCase, Plan, VoteSource
from bbsmooth.noise import NoisyCopies
from oracles import Classes

_SEED_BITS = 256


def secret_seed() -> int:
    """A seed that nobody can guess."""
    return secrets.randbits(_SEED_BITS)


class NullStore:
    """A `Store` that keeps nothing: no vote of one request is ever counted in another."""

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """None for each."""
        return [None] * len(keys)

    def write(self, rows: Mapping[bytes, bytes]) -> None:
        """Forget them."""

    def transaction(self) -> AbstractContextManager[None]:
        """Nothing can be half done."""
        return nullcontext()

    def load_classes(self, classes: Classes) -> None:
        """There are no earlier names."""

    def save_classes(self, classes: Classes) -> None:
        """Names are known while the process lives."""

    def close(self) -> None:
        """There is nothing to release."""


@dataclass(frozen=True, slots=True)
class FreshCases:
    """Begins the certification of images, each with noise of its own.

    Args:
        source: gives the votes; what it records must be forgotten.
        copies: the noise, whose seed is replaced for every image.
        plan: the settings.
    """

    source: VoteSource
    copies: NoisyCopies
    plan: Plan

    def open(self, image: Tensor) -> CertifyingCase:
        """Begin the certification of an image (C, H, W) uint8, also of one that was certified before."""
        own = replace(self.source, copies=replace(self.copies, seed=secret_seed()))
        return CertifyingCase(image, self.plan, own, own.log.spec.classes)

    @property
    def most_queries(self) -> int:
        """Queries that one image can take."""
        return self.plan.num_selection + self.plan.max_estimation
