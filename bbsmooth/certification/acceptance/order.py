"""The order of the images: a random permutation that the seed fixes, and that anybody can compute again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bbsmooth.certification.acceptance.scheduler import Ticket
from bbsmooth.randomness import name_digest

_PURPOSE = "order of acceptance"


def tickets(seed: int, digests: Sequence[bytes], groups: Sequence[str]) -> list[Ticket]:
    """All images, in the order in which they are asked about.

    Image i comes before image j where SHA-256 over the seed and i is smaller than that over the seed and j. The names
    of the streams of the draws are digests over other things, so that order and draws are independent.

    Args:
        seed: of the run.
        digests: of each image; the second of two equal ones has draws of its own.
        groups: the group of each image.
    """
    order = sorted(range(len(digests)), key=lambda index: name_digest(seed, _PURPOSE, index))
    seen: Counter[bytes] = Counter()
    found = []
    for position, index in enumerate(order):
        found.append(Ticket(position, index, groups[index], seen[digests[index]]))
        seen[digests[index]] += 1
    return found
