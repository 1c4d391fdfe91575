"""Errors of the runs around the mathematics.

UsageError (ValueError)   a request that cannot be right
DataError (ValueError)    missing, unreadable or contradictory data
"""

from __future__ import annotations


class UsageError(ValueError):
    """A request that cannot be right: one clear line, nothing spent."""


class DataError(ValueError):
    """Data that cannot be used as asked: one line that names the place and says what to do."""


def one_line(error: Exception) -> str:
    """Type and text of a foreign error, fit to stand in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
