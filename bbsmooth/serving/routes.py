"""The routes of the Open Inference Protocol, for whatever is served.

Protocol: https://github.com/kserve/open-inference-protocol (REST).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any, Protocol

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from bbsmooth.serving.description import REFUSALS, refusal
from bbsmooth.serving.measures import MEDIA_TYPE, Measures, configuration
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

    @property
    def max_batch(self) -> int:
        """Most images in one request."""
        ...

    def metadata(self) -> dict[str, Any]:
        """The reply to a question for metadata."""
        ...


EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")
"""Parts of the protocol beyond what every server has; of `model_repository` the index."""


def always() -> bool:
    """For what is ready, or alive, as long as it can say so."""
    return True


def server_routes(
    model: ModelInfo, measures: Measures, *, ready: Callable[[], bool] = always, live: Callable[[], bool] = always
) -> APIRouter:
    """Routes about the server.

    Args:
        model: the only one.
        measures: what was done.
        ready: whether it can be asked.
        live: whether it ever will be; if not, the process should be replaced.
    """
    routes = APIRouter(tags=["server"])
    never: dict[int | str, dict[str, Any]] = {503: {"description": "It is not."}}

    @routes.get("/v2")
    async def server() -> dict[str, Any]:
        """Name, version and extensions of the server."""
        return {"name": "bbsmooth", "version": version("bbsmooth"), "extensions": list(EXTENSIONS)}

    @routes.head("/v2/health/live", include_in_schema=False)
    @routes.get("/v2/health/live", responses=never)
    async def liveness() -> JSONResponse:
        """Say that the server runs."""
        return _health({}, "live", live())

    @routes.head("/v2/health/ready", include_in_schema=False)
    @routes.get("/v2/health/ready", responses=never)
    async def readiness() -> JSONResponse:
        """Say whether its model can be asked."""
        return _health({}, "ready", ready())

    @routes.get("/v2/models")
    async def models() -> dict[str, list[str]]:
        """List the model that is served."""
        return {"models": [model.name]}

    @routes.post("/v2/repository/index")
    async def index() -> list[dict[str, str]]:
        """List the model with its version and state, as Triton's clients ask for it."""
        state = {"state": "READY"} if ready() else {"state": "UNAVAILABLE", "reason": "not ready"}
        return [{"name": model.name, "version": model.version, **state}]

    @routes.get("/v2/models/stats")
    def statistics() -> dict[str, list[dict[str, Any]]]:
        """Counts and times of inference, in the words of Triton."""
        return {"model_stats": [measures.statistics(model.name, model.version)]}

    @routes.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(measures.text(), media_type=MEDIA_TYPE)

    return routes


def model_routes(
    model: ModelInfo,
    infer: Callable[[Request], Awaitable[Response]],
    measures: Measures,
    *,
    ready: Callable[[], bool] = always,
    described: dict[str, Any] | None = None,
) -> APIRouter:
    """Routes about the model.

    Args:
        model: that is asked.
        infer: answers an inference request; raises nothing.
        measures: what was done.
        ready: whether it can be asked.
        described: what the API's description says of inference, as `APIRouter.post` takes it.
    """

    async def known(name: str) -> None:
        if name != model.name:
            raise Refusal(404, f"there is no model {name!r}; this server has {model.name!r}")

    async def known_version(name: str, number: str) -> None:
        await known(name)
        if number != model.version:
            raise Refusal(404, f"model {name!r} has no version {number!r}; it is {model.version!r}")

    routes = APIRouter(tags=["model"])
    other: dict[int | str, dict[str, Any]] = {404: refusal(REFUSALS[404])}
    whole = APIRouter(prefix="/v2/models/{name}", dependencies=[Depends(known)], responses=other)
    version = APIRouter(
        prefix="/v2/models/{name}/versions/{number}", dependencies=[Depends(known_version)], responses=other
    )
    for part in (whole, version):

        @part.get("")
        async def metadata() -> dict[str, Any]:
            """Shapes, classes and what the outputs are."""
            return model.metadata()

        @part.head("/ready", include_in_schema=False)
        @part.get("/ready", responses={503: {"description": "It cannot."}})
        async def readiness() -> JSONResponse:
            """Say whether the model can be asked."""
            return _health({"name": model.name}, "ready", ready())

        @part.get("/config")
        async def config() -> dict[str, Any]:
            """Inputs, outputs and the largest batch, in the words of Triton."""
            return configuration(model.metadata(), max_batch=model.max_batch)

        @part.get("/stats")
        def statistics() -> dict[str, list[dict[str, Any]]]:
            """Counts and times of inference, in the words of Triton."""
            return {"model_stats": [measures.statistics(model.name, model.version)]}

        part.post("/infer", **(described or {}))(infer)
        routes.include_router(part)

    return routes


def _health(around: dict[str, Any], what: str, answer: bool) -> JSONResponse:
    return JSONResponse(around | {what: answer}, 200 if answer else 503)
