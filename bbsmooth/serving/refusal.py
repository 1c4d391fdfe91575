"""Refusals of requests, as an HTTP status and one line."""

from __future__ import annotations

from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

CLOSED = 499
"""Status of a reply that nobody is there to read."""

_LONGEST = 500  # characters of a message, which may quote what a client sent


class Refusal(Exception):
    """A request that is not served.

    Args:
        status: of the reply.
        message: what was expected, and what came.
        retry_after: seconds after which to ask again, None where that would not help.
        allow: the methods that the address takes, where it was asked by another.
    """

    def __init__(self, status: int, message: str, *, retry_after: int | None = None, allow: str | None = None) -> None:
        """Keep what the reply says."""
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.allow = allow

    @property
    def reply(self) -> JSONResponse:
        """In the protocol's form."""
        message = str(self)
        shown = message if len(message) <= _LONGEST else message[:_LONGEST] + "..."
        headers = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        if self.allow is not None:
            headers["allow"] = self.allow
        return JSONResponse({"error": shown}, self.status, headers)


def of_routing(error: HTTPException) -> Refusal:
    """No such address, or not by this method."""
    return Refusal(error.status_code, str(error.detail), allow=(error.headers or {}).get("Allow"))


def malformed(message: str) -> Refusal:
    """The client's mistake: status 400."""
    return Refusal(400, message)
