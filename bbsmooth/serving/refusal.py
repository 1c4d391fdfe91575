"""Why a request gets no answer, as an HTTP status and one line."""

from __future__ import annotations


class Refusal(Exception):
    """A request that is not served.

    Args:
        status: of the reply.
        message: what was expected, and what came.
        retry_after: seconds after which to ask again, None where that would not help.
    """

    def __init__(self, status: int, message: str, *, retry_after: int | None = None) -> None:
        """Keep what the reply says."""
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


def malformed(message: str) -> Refusal:
    """The client's mistake: status 400."""
    return Refusal(400, message)
