"""Asking through the vendor's batch interface."""

from __future__ import annotations

from dataclasses import dataclass

from bbsmooth.errors import UsageError
from bbsmooth.settings.batch import ALONE, LOOKS, BatchConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """How to ask through a batch interface: at about half the price, answered within hours.

    No certificate and no coordinator depends on it.

    Args:
        looks: most rounds of jobs of a sequential certification; `Cohen` takes one, and a tuning one for each of its
            `steps`.
        discount: share of the price that it saves; None for what the oracle's prices say, else 0.5.
        poll_seconds: between two looks at the jobs.
    """

    looks: int = LOOKS
    discount: float | None = None
    poll_seconds: float = 60.0


def batch_config(batch: bool | Batch) -> BatchConfig:
    """Return the settings that an argument `batch` stands for.

    Raises:
        UsageError: what cannot be.
    """
    if batch is False:
        return ALONE
    asked = Batch() if batch is True else batch
    if not isinstance(asked, Batch):
        raise UsageError(f"`batch` must be True, False or a bbsmooth.Batch, got {batch!r}")
    return BatchConfig(batch=True, looks=asked.looks, batch_discount=asked.discount, batch_poll=asked.poll_seconds)
