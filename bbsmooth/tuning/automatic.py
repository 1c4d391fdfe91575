"""Choice of the method that a budget is best spent with, as measured (`docs/tuning.md`)."""

from __future__ import annotations

from typing import NamedTuple

from bbsmooth.coordinator.score_scaling import MOST_CLASSES
from oracles import Feedback

AUTO = "auto"

_SMALLEST_SIDE = 16


class Choice(NamedTuple):
    """The name of a method, and why it was picked, as half a sentence."""

    method: str
    reason: str


def choose(
    *,
    queries: int,
    feedback: Feedback,
    image_shape: tuple[int, int, int],
    num_classes: int | None = None,
    given_denoiser: bool = False,
) -> Choice:
    """The method that did best in the study for what is known before the first query.

    Args:
        queries: the budget.
        feedback: what the oracle's answers hold.
        image_shape: (C, H, W).
        num_classes: of a closed set whose scores may be scaled; None where they may not.
        given_denoiser: whether tuning starts from a denoiser whose weights stay as they are.
    """
    if num_classes is not None and num_classes > 1 and feedback is not Feedback.LABELS:
        method = "matrix-scaling" if num_classes <= MOST_CLASSES else "vector-scaling"
        return Choice(
            method, f"each answer's {feedback.value} tell how to weigh classes under noise, so that few answers do"
        )
    if given_denoiser:
        return Choice("equaliser", "a given denoiser stays as it is, and its twenty numbers stand behind any")
    if min(image_shape[1:]) < _SMALLEST_SIDE:
        return Choice(
            "spsa-gc", f"images below {_SMALLEST_SIDE} pixels a side have no bands of frequencies to speak of"
        )
    told = "labels alone" if feedback is Feedback.LABELS else f"{feedback.value} feedback"
    return Choice(
        "equaliser", f"{told} and {queries:,} queries suffice for its twenty numbers; docs/tuning.md has figures"
    )
