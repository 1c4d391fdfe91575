"""Replies to clients where the service fails; the oracle's own words, which may name its address, go to the log."""

from __future__ import annotations

import logging
import math

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from bbsmooth.serving.refusal import CLOSED, Refusal, of_routing
from oracles import AnswerError, BudgetExhausted, OracleChanged, OracleUnavailable, Unanswered
from oracles.errors import QuestionRejected

_log = logging.getLogger(__name__)
_AGAIN = 10  # seconds, where the oracle does not say


def refused(request: Request, error: Exception) -> Response:
    """The reply, in the protocol's form."""
    return explained(error).reply


def explained(error: Exception) -> Refusal:
    """Status, one line, and seconds to wait."""
    match error:
        case Refusal():
            return error
        case HTTPException():
            return of_routing(error)
        case ClientDisconnect():
            return Refusal(CLOSED, "the client has left")
        case BudgetExhausted():
            told = Refusal(503, "the service has spent what it may spend on its classifier")
        case OracleChanged():
            told = Refusal(503, "the classifier behind the service was changed, so that votes cannot be added up")
        case AnswerError() | QuestionRejected():
            told = Refusal(502, "the classifier behind the service gave no usable answer")
        case Unanswered() if error.retry_after is not None:
            wait = math.ceil(error.retry_after)
            told = Refusal(503, "the classifier behind the service is busy", retry_after=wait)
        case OracleUnavailable():
            told = Refusal(503, "the classifier behind the service cannot be asked at the moment", retry_after=_AGAIN)
        case _:
            told = Refusal(500, "the service failed; its log says why")
    if told.status == 500:
        _log.error("a request failed", exc_info=error)
    else:
        _log.error("a request failed: %s", error)
    return told
