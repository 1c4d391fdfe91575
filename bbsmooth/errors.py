"""Errors of the runs around the mathematics."""

from __future__ import annotations


class UsageError(ValueError):
    """A request that cannot be right: one clear line, nothing spent."""
