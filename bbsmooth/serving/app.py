"""A bare oracle as an Open Inference Protocol server, with the binary tensor extension of Triton."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from bbsmooth.serving.batching import Batcher, BatchPlan
from bbsmooth.serving.bodies import read_body
from bbsmooth.serving.description import inference
from bbsmooth.serving.measures import Measures
from bbsmooth.serving.model import ServedModel
from bbsmooth.serving.refusal import CLOSED, Refusal, of_routing
from bbsmooth.serving.replies import write_reply
from bbsmooth.serving.requests import HEADER_LENGTH, read_request
from bbsmooth.serving.routes import always, model_routes, server_routes
from oracles import ImageRefused, InputError, Oracle, OracleError, OracleUnavailable, Unanswered
from oracles.errors import QuestionRejected

_log = logging.getLogger(__name__)


def create_app(
    oracle: Oracle,
    *,
    name: str,
    plan: BatchPlan = BatchPlan(),  # noqa: B008  # frozen, without state
    max_body_bytes: int = 64 * 2**20,
) -> FastAPI:
    """The server of an oracle, as an application for any ASGI server.

    Args:
        oracle: answers; called from several threads if `plan.concurrency` is above 1.
        name: of the model in URLs.
        plan: how requests are put together; its size is also the most images of one request.
        max_body_bytes: larger bodies are refused.
    """
    spec = oracle.spec
    plan = replace(plan, size=min(plan.size, spec.max_batch or plan.size))
    model = ServedModel(name, spec, plan.size)
    measures = Measures(batch_size=plan.size, images="Images", ready=always)
    batcher = Batcher(oracle, plan, measures)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with batcher.running():
            yield

    async def infer(request: Request) -> Response:
        """Answers to images: a score for each class, or the name of the likeliest one."""
        began = time.monotonic()
        reply = await answered(request)
        measures.request(reply.status_code, time.monotonic() - began)
        return reply

    async def answered(request: Request) -> Response:
        try:
            body = await read_body(request, most=max_body_bytes)
            question = read_request(body, request.headers.get(HEADER_LENGTH), model)
            answers = await batcher.infer(question.images)
        except Exception as error:  # left to the server, it would cut the connection after its reply
            return _refused(request, error)
        measures.answered(len(question.images))
        binary = question.wanted[model.output]
        content, headers = write_reply(answers, model, request_id=question.request_id, binary=binary)
        return Response(content, headers=headers)

    # The pages that show the API's description load scripts from elsewhere, so there are none.
    app = FastAPI(title="bbsmooth", version=version("bbsmooth"), lifespan=lifespan, docs_url=None, redoc_url=None)
    app.include_router(server_routes(model, measures))
    app.include_router(model_routes(model, infer, measures, described=inference(model)))
    for kind in (Refusal, HTTPException):
        app.add_exception_handler(kind, _refused)
    return app


def _refused(request: Request, error: Exception) -> Response:
    """Reply that says what went wrong, in the protocol's form."""
    return _explained(error).reply


def _explained(error: Exception) -> Refusal:
    """Status, one line, and seconds to wait."""
    match error:
        case Refusal():
            return error
        case HTTPException():
            return of_routing(error)
        case InputError():
            return Refusal(400, str(error))
        case ImageRefused() | QuestionRejected():
            return Refusal(422, str(error))
        case Unanswered():
            return Refusal(503, str(error), retry_after=None if error.retry_after is None else round(error.retry_after))
        case OracleUnavailable():
            return Refusal(503, str(error))
        case OracleError():
            return Refusal(500, str(error))
        case ClientDisconnect():
            return Refusal(CLOSED, "the client has left")
    _log.error("a request failed", exc_info=error)
    return Refusal(500, f"{type(error).__name__}: {error}")
