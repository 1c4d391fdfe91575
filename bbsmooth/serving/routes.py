"""The routes of the Open Inference Protocol, for whatever is served.

Protocol: https://github.com/kserve/open-inference-protocol (REST).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any, Protocol

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from bbsmooth.serving.refusal import Refusal


class ModelInfo(Protocol):
    """A model under its public name."""

    @property
    def name(self) -> str:
        """In URLs."""
        ...

    @property
    def version(self) -> str:
        """Of it: another one is another model."""
        ...

    def metadata(self) -> dict[str, Any]:
        """The reply to a question for metadata."""
        ...


def always() -> bool:
    """For what is ready, or alive, as long as it can say so."""
    return True


def server_routes(
    model: ModelInfo, *, ready: Callable[[], bool] = always, live: Callable[[], bool] = always
) -> APIRouter:
    """Routes about the server.

    Args:
        model: the only one.
        ready: whether it can be asked.
        live: whether it ever will be; if not, the process should be replaced.
    """
    routes = APIRouter(tags=["server"])

    @routes.get("/v2")
    async def server() -> dict[str, Any]:
        """Name, version and extensions of the server."""
        return {"name": "bbsmooth", "version": version("bbsmooth"), "extensions": ["binary_tensor_data"]}

    @routes.get("/v2/health/live")
    async def liveness() -> JSONResponse:
        """Say that the server runs."""
        return _health({}, "live", live())

    @routes.get("/v2/health/ready")
    async def readiness() -> JSONResponse:
        """Say whether its model can be asked."""
        return _health({}, "ready", ready())

    @routes.get("/v2/models")
    async def models() -> dict[str, list[str]]:
        """List the model that is served."""
        return {"models": [model.name]}

    return routes


def model_routes(
    model: ModelInfo,
    infer: Callable[[Request], Awaitable[Response]],
    *,
    ready: Callable[[], bool] = always,
    described: dict[str, Any] | None = None,
) -> APIRouter:
    """Routes about the model.

    Args:
        model: that is asked.
        infer: answers an inference request; raises nothing.
        ready: whether it can be asked.
        described: what the API's description says of inference, as `APIRouter.post` takes it.
    """

    async def known(request: Request) -> None:
        asked, number = request.path_params["name"], request.path_params.get("number", model.version)
        if asked != model.name:
            raise Refusal(404, f"there is no model {asked!r}; this server has {model.name!r}")
        if number != model.version:
            raise Refusal(404, f"model {asked!r} has no version {number!r}; it is {model.version!r}")

    routes = APIRouter(dependencies=[Depends(known)], tags=["model"])
    for base in ("/v2/models/{name}", "/v2/models/{name}/versions/{number}"):

        @routes.get(base)
        async def metadata() -> dict[str, Any]:
            """Shapes, classes and what the outputs are."""
            return model.metadata()

        @routes.get(f"{base}/ready")
        async def readiness() -> JSONResponse:
            """Say whether the model can be asked."""
            return _health({"name": model.name}, "ready", ready())

        routes.post(f"{base}/infer", **(described or {}))(infer)

    return routes


def _health(around: dict[str, Any], what: str, answer: bool) -> JSONResponse:
    return JSONResponse(around | {what: answer}, 200 if answer else 503)
