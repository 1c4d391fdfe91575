"""The smoothed classifier as an application for any ASGI server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

from bbsmooth.serving.refusal import Refusal
from bbsmooth.serving.routes import model_routes, server_routes
from bbsmooth.serving.smoothed.accounts import ClientAccount
from bbsmooth.serving.smoothed.admission import AdmissionControl
from bbsmooth.serving.smoothed.clients import Clients
from bbsmooth.serving.smoothed.description import inference
from bbsmooth.serving.smoothed.failures import refused
from bbsmooth.serving.smoothed.fair_batching import PURPOSE, FairBatcher
from bbsmooth.serving.smoothed.fresh import FreshCases
from bbsmooth.serving.smoothed.metrics import Metrics
from bbsmooth.serving.smoothed.model import SmoothedModel
from bbsmooth.serving.smoothed.pages import reference_page, trial_page
from bbsmooth.serving.smoothed.service import Service
from oracles import OracleChanged


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of what the service takes at once.

    Args:
        batch_size: draws in one call of the oracle.
        concurrency: calls under way at once.
        max_images: images in one request.
        max_waiting: images at work, those whose bodies are on their way included.
        max_body_bytes: of a request.
        body_seconds: that a body may take.

    Raises:
        ValueError: a number that makes no sense.
    """

    batch_size: int
    concurrency: int
    max_images: int = 16
    max_waiting: int = 64
    max_body_bytes: int = 16 * 2**20
    body_seconds: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if min(self.batch_size, self.concurrency, self.max_images, self.max_body_bytes) < 1:
            raise ValueError("a batch, the concurrency, a request and its body must be at least 1")
        if self.max_waiting < self.max_images:
            raise ValueError(
                f"at least as many images as one request may hold must be taken at once, got {self.max_waiting} for "
                f"requests of {self.max_images}"
            )


def create_smoothed_app(
    cases: FreshCases,
    *,
    name: str,
    clients: Clients,
    accounts: Mapping[str, ClientAccount],
    limits: Limits,
    recover: Callable[[], None] = lambda: None,
) -> FastAPI:
    """The server of a smoothed classifier.

    Args:
        cases: begins certifications; its source gives the votes, from several threads.
        name: of the model in URLs.
        clients: who may ask.
        accounts: what each may spend, by name.
        limits: what is taken at once.
        recover: lets the oracle be asked again after it could not be.
    """
    service = _service(cases, name=name, clients=clients, accounts=accounts, limits=limits, recover=recover)
    model, batcher = service.model, service.batcher

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with batcher.running():
            yield

    def ready() -> bool:
        return batcher.ended is None

    def live() -> bool:
        return not isinstance(batcher.ended, OracleChanged)  # which a new process is the cure for

    app = FastAPI(title="bbsmooth", version=version("bbsmooth"), lifespan=lifespan, docs_url=None, redoc_url=None)
    measures = service.metrics.measures
    app.include_router(server_routes(model, measures, ready=ready, live=live))
    app.include_router(model_routes(model, service.infer, measures, ready=ready, described=inference(model)))
    app.include_router(_own_routes(service))
    app.include_router(_pages(app, model))
    app.openapi = lambda: _description(app, model)  # type: ignore[method-assign]  # as FastAPI documents it
    for kind in (Refusal, HTTPException):
        app.add_exception_handler(kind, refused)
    return app


def _service(
    cases: FreshCases,
    *,
    name: str,
    clients: Clients,
    accounts: Mapping[str, ClientAccount],
    limits: Limits,
    recover: Callable[[], None],
) -> Service:
    """All that answers requests; see `create_smoothed_app`."""
    metrics = Metrics(
        batch_size=limits.batch_size,
        largest_radius=cases.plan.largest_radius,
        at_work=lambda: admission.held,
        ready=lambda: batcher.ended is None,
    )
    batcher = FairBatcher(
        lambda draws: cases.source.votes(draws, PURPOSE),
        batch_size=limits.batch_size,
        concurrency=limits.concurrency,
        observer=metrics.measures,
        recover=recover,
        interrupt=cases.source.interrupt,
    )
    admission = AdmissionControl(limits.max_waiting, len(clients.all), lambda: batcher.seconds_per_image)
    model = SmoothedModel(
        name=name,
        spec=cases.source.log.spec,
        plan=cases.plan,
        grid=cases.copies.grid,
        max_batch=min(limits.max_images, admission.max_images),
        most_queries=cases.most_queries,
        keyed=clients.keyed,
    )
    return Service(
        model=model,
        cases=cases,
        batcher=batcher,
        clients=clients,
        accounts=accounts,
        admission=admission,
        metrics=metrics,
        max_body_bytes=limits.max_body_bytes,
        body_seconds=limits.body_seconds,
    )


def _own_routes(service: Service) -> APIRouter:
    """Routes beyond the protocol."""
    routes = APIRouter(tags=["client"])
    routes.get("/v2/budget", responses={401: {"description": "No key, or one that is not known here."}})(service.budget)
    return routes


def _pages(app: FastAPI, model: SmoothedModel) -> APIRouter:
    """Pages for people."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    async def trial() -> HTMLResponse:
        return trial_page(model)

    @routes.get("/docs")
    async def reference() -> HTMLResponse:
        return reference_page(app.openapi())

    return routes


def _description(app: FastAPI, model: SmoothedModel) -> dict[str, Any]:
    if app.openapi_schema is None:
        found = get_openapi(
            title=f"{model.name}, smoothed",
            version=app.version,
            description=(
                "Certificates for images by randomized smoothing, over the Open Inference Protocol. "
                f"The model is called {model.name}; /v2/models/{model.name} says what its outputs mean."
            ),
            routes=app.routes,
        )
        if model.keyed:
            found.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        app.openapi_schema = found
    return app.openapi_schema
