"""What can go wrong with a data set.

DataError (ValueError)   missing, unreadable or contradictory data: one line that names the place and says what to do
"""

from __future__ import annotations


class DataError(ValueError):
    """Data that cannot be used as asked."""


def one_line(error: Exception) -> str:
    """Kind and text of a foreign error, fit to stand in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
