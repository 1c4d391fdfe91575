"""The routes of the Open Inference Protocol over an oracle.

Protocol: https://github.com/kserve/open-inference-protocol (REST), with the binary tensor extension of Triton.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from bbsmooth.serving.batching import Batcher, BatchPlan
from bbsmooth.serving.bodies import read_body
from bbsmooth.serving.model import ServedModel
from bbsmooth.serving.refusal import Refusal
from bbsmooth.serving.replies import write_reply
from bbsmooth.serving.requests import HEADER_LENGTH, read_question
from oracles import ImageRefused, InputError, Oracle, OracleError, OracleUnavailable, Unanswered
from oracles.errors import QuestionRejected

_log = logging.getLogger(__name__)

_CLOSED = 499  # nobody is there to read it


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
    batcher = Batcher(oracle, plan)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with batcher.running():
            yield

    # The pages that show the API's description load scripts from elsewhere, so there are none.
    app = FastAPI(title="bbsmooth", version=version("bbsmooth"), lifespan=lifespan, docs_url=None, redoc_url=None)
    app.include_router(_server_routes(model))
    app.include_router(_model_routes(model, batcher, max_body_bytes))
    for kind in (Refusal, HTTPException):
        app.add_exception_handler(kind, _refused)
    return app


def _server_routes(model: ServedModel) -> APIRouter:
    routes = APIRouter()

    @routes.get("/v2")
    async def server() -> dict[str, Any]:
        """Name, version and extensions of the server."""
        return {"name": "bbsmooth", "version": version("bbsmooth"), "extensions": ["binary_tensor_data"]}

    @routes.get("/v2/health/live")
    async def live() -> dict[str, bool]:
        """Whether the server runs."""
        return {"live": True}

    @routes.get("/v2/health/ready")
    async def ready() -> dict[str, bool]:
        """Whether its model can be asked."""
        return {"ready": True}

    @routes.get("/v2/models")
    async def models() -> dict[str, list[str]]:
        """What is served."""
        return {"models": [model.name]}

    return routes


def _model_routes(model: ServedModel, batcher: Batcher, max_body_bytes: int) -> APIRouter:
    async def known(request: Request) -> None:
        asked, number = request.path_params["name"], request.path_params.get("number", model.version)
        if asked != model.name:
            raise Refusal(404, f"there is no model {asked!r}; this server has {model.name!r}")
        if number != model.version:
            raise Refusal(404, f"model {asked!r} has no version {number!r}; it is {model.version!r}")

    routes = APIRouter(dependencies=[Depends(known)])
    for base in ("/v2/models/{name}", "/v2/models/{name}/versions/{number}"):

        @routes.get(base)
        async def metadata() -> dict[str, Any]:
            """Shapes, classes and what the scores are."""
            return model.metadata()

        @routes.get(f"{base}/ready")
        async def ready() -> dict[str, Any]:
            """Whether the model can be asked."""
            return {"name": model.name, "ready": True}

        @routes.post(f"{base}/infer")
        async def infer(request: Request) -> Response:
            """Answers to images."""
            try:
                body = await read_body(request, most=max_body_bytes)
                question = read_question(body, request.headers.get(HEADER_LENGTH), model)
                answers = await batcher.ask(question.images)
            except Exception as error:  # left to the server, it would cut the connection after its reply
                return _refused(request, error)
            content, headers = write_reply(answers, model, request_id=question.request_id, binary=question.binary)
            return Response(content, headers=headers)

    return routes


def _refused(request: Request, error: Exception) -> Response:
    """What went wrong, in the protocol's form."""
    status, message, retry_after = _explained(error)
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    return JSONResponse({"error": message}, status, headers)


def _explained(error: Exception) -> tuple[int, str, int | None]:
    """Status, one line, and seconds to wait."""
    match error:
        case Refusal():
            return error.status, str(error), error.retry_after
        case HTTPException():
            return error.status_code, str(error.detail), None
        case InputError():
            return 400, str(error), None
        case ImageRefused() | QuestionRejected():
            return 422, str(error), None
        case Unanswered():
            return 503, str(error), None if error.retry_after is None else round(error.retry_after)
        case OracleUnavailable():
            return 503, str(error), None
        case OracleError():
            return 500, str(error), None
        case ClientDisconnect():
            return _CLOSED, "the client has left", None
    _log.error("a request failed", exc_info=error)
    return 500, f"{type(error).__name__}: {error}", None
