"""What the history of a tuning says of its judgements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def judged_accuracies(history: Iterable[Mapping[str, Any]]) -> dict[int, float]:
    """Held-out accuracy by the step after which it was judged; 0 is the start, which the last answers may judge too."""
    found: dict[int, float] = {}
    for event in history:
        found |= {0: event["heldout_accuracy_start"]} if "heldout_accuracy_start" in event else {}
        found |= {event["step"]: event["heldout_accuracy"]} if "heldout_accuracy" in event else {}
    return found
