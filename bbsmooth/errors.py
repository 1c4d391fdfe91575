"""Errors of the runs around the mathematics.

UsageError (ValueError)   a request that cannot be right
  + FrontFailed           what a user put before the oracle failed, perhaps in mid-run
DataError (ValueError)    missing, unreadable or contradictory data
"""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(?P<user>[A-Za-z][A-Za-z0-9+.-]*:/{1,2}[^\s:/@]*):(?!\d+(?:[/?#\s]|$))\S*@")
"""A user and a password in a URL; also where the password holds what should be quoted, or a path has lost a slash."""


class UsageError(ValueError):
    """A request that cannot be right: one clear line, nothing spent."""


class FrontFailed(UsageError):
    """What a user put before the oracle raised something, or returned no images. Answers of before are saved."""


class DataError(ValueError):
    """Data that cannot be used as asked: one line that names the place and says what to do."""


def without_passwords(text: str) -> str:
    """The text with asterisks for every password in a URL.

    >>> without_passwords("cannot write ftp://me:hunter2@host/run")
    'cannot write ftp://me:***@host/run'
    """
    return _PASSWORD.sub(r"\g<user>:***@", text)


def one_line(error: Exception) -> str:
    """Type and text of a foreign error, fit to stand in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
