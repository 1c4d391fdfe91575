"""The class that votes choose."""

from __future__ import annotations

from collections.abc import Mapping

from oracles import Classes


def select(votes: Mapping[int, int], classes: Classes) -> int:
    """The class with the most votes; of equals the lowest number, in an open set the first name in the alphabet.

    The choice may not depend on the order in which answers arrived, which is what numbers an open set's classes.
    """
    most = max(votes.values())
    return min(
        (number for number, count in votes.items() if count == most),
        key=lambda number: (classes.name(number) if classes.open_set else "", number),
    )
