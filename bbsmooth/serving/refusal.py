"""Why a request gets no answer, as an HTTP status and one line."""

from __future__ import annotations

from fastapi.responses import JSONResponse

CLOSED = 499
"""Status of a reply that nobody is there to read."""

_LONGEST = 500  # characters of a message, which may quote what a client sent


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

    @property
    def reply(self) -> JSONResponse:
        """In the protocol's form."""
        message = str(self)
        shown = message if len(message) <= _LONGEST else message[:_LONGEST] + "..."
        headers = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return JSONResponse({"error": shown}, self.status, headers)


def malformed(message: str) -> Refusal:
    """The client's mistake: status 400."""
    return Refusal(400, message)
