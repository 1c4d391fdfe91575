"""One request from its first byte to its reply: who asks, at what pace, on which account, and with what result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from fastapi import Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect
from torch import Tensor

from bbsmooth.certification import Outcome
from bbsmooth.serving.bodies import read_body
from bbsmooth.serving.refusal import Refusal, malformed
from bbsmooth.serving.replies import envelope, write_tensors
from bbsmooth.serving.requests import HEADER_LENGTH, InferenceRequest, read_request
from bbsmooth.serving.smoothed.accounts import ClientAccount
from bbsmooth.serving.smoothed.admission import AdmissionControl
from bbsmooth.serving.smoothed.clients import Client, Clients
from bbsmooth.serving.smoothed.failures import explained
from bbsmooth.serving.smoothed.fair_batching import FairBatcher, ImageRequest
from bbsmooth.serving.smoothed.fresh import FreshCases
from bbsmooth.serving.smoothed.jobs import Job
from bbsmooth.serving.smoothed.metrics import Metrics
from bbsmooth.serving.smoothed.model import SmoothedModel
from bbsmooth.serving.smoothed.replies import Result, tensors

_OFF_GRID = 0.1  # of a grey level: what half-precision floats and division by 255 leave


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Answers inference requests.

    Args:
        model: what is served.
        cases: begins certifications.
        batcher: brings them to their end.
        clients: who may ask.
        accounts: what each may spend, by name.
        admission: how many may ask at once, and how often.
        metrics: told what happens.
        max_body_bytes: larger bodies are refused.
        body_seconds: slower bodies are refused.
    """

    model: SmoothedModel
    cases: FreshCases
    batcher: FairBatcher
    clients: Clients
    accounts: Mapping[str, ClientAccount]
    admission: AdmissionControl
    metrics: Metrics
    max_body_bytes: int
    body_seconds: float
    _reading: asyncio.Lock = field(init=False, default_factory=asyncio.Lock)
    """One body at a time: JSON takes up to thirty times its size, and several at once would be read no sooner."""

    async def infer(self, request: Request) -> Response:
        """Certificates for images: a label and the radius within which it cannot change, or an abstention.

        Each image costs up to `max_queries_per_image` queries of the client's budget; what it does not take is given
        back. Every request is answered with noise of its own, also for the same image.
        """
        began = time.monotonic()
        try:
            reply = await self._reply(request)
        except Exception as error:  # left to the server, it would cut the connection after its reply
            reply = explained(error).reply
        self.metrics.measures.request(reply.status_code, time.monotonic() - began)
        return reply

    async def budget(self, request: Request) -> dict[str, str | int | None]:
        """The client's budget in queries: all, spent (with what requests under way have reserved), and left."""
        client = self.clients.known(request.headers.get("authorization"))
        account = self.accounts[client.name]
        return {"client": client.name, "budget": account.budget, "spent": account.spent, "left": account.left}

    async def _reply(self, request: Request) -> Response:
        _refuse_other_sites(request)
        client = self.clients.known(request.headers.get("authorization"))
        if self.batcher.ended is not None:
            raise self.batcher.ended
        self.admission.check_rate(client)
        with self.admission.admitted(client) as hold:
            question = await self._question(request)
            hold(len(question.images))
            results = await self._certify(request, question.images, client)
        self.metrics.answered(results)
        left = self.accounts[client.name].left
        parameters = {} if left is None else {"parameters": {"budget_left": left}}
        around = envelope(self.model.name, self.model.version, question.request_id) | parameters
        content, headers = write_tensors(tensors(results, self.model), question.wanted, around)
        return Response(content, headers=headers)

    async def _question(self, request: Request) -> InferenceRequest:
        """The question in the body, its images as uint8; nothing else of the body stays in memory."""
        body = await self._body(request)

        def read() -> InferenceRequest:
            question = read_request(body, request.headers.get(HEADER_LENGTH), self.model)
            return replace(question, images=on_grid(question.images))

        async with self._reading:
            return await asyncio.to_thread(read)

    async def _body(self, request: Request) -> bytes:
        try:
            async with asyncio.timeout(self.body_seconds):
                return await read_body(request, most=self.max_body_bytes)
        except TimeoutError:
            raise Refusal(408, f"the body should arrive within {self.body_seconds:g} seconds") from None

    async def _certify(self, request: Request, images: Tensor, client: Client) -> list[Result]:
        job = Job(client.name, self.accounts[client.name], images)
        try:
            await asyncio.to_thread(job.start, self.cases, self.batcher)
            outcomes = await _answered(request, job.requests)
        finally:  # also where the client has left: no further query is sent
            try:
                await asyncio.to_thread(job.finish, self.batcher)
            finally:  # at once, where the server is cut short
                job.finish(self.batcher)
        return [Result(outcome, image.sent) for outcome, image in zip(outcomes, job.requests, strict=True)]


def on_grid(images: Tensor) -> Tensor:
    """The images (B, C, H, W) as uint8.

    Raises:
        Refusal: floats that are not k / 255: the certificate would be about other images than those (400).
    """
    if images.dtype == torch.uint8:
        return images
    levels = images.double() * 255
    nearest = levels.round()
    if (
        float((levels - nearest).abs().max()) > _OFF_GRID
        or not 0 <= float(nearest.min()) <= float(nearest.max()) <= 255
    ):
        raise malformed(
            "a certificate is about an image of 8-bit pixels: send UINT8, or floats k / 255 with k from 0 to 255"
        )
    return nearest.to(torch.uint8)


def _refuse_other_sites(request: Request) -> None:
    """A page of another site could spend a visitor's budget without being able to read the answer.

    Over plain HTTP to another machine browsers do not say which site asks, but where its page comes from.
    """
    headers = request.headers
    origin = headers.get("origin")
    foreign = origin is not None and origin.partition("://")[2] != headers.get("host")
    if headers.get("sec-fetch-site", "cross-site" if foreign else "none") not in ("none", "same-origin"):
        raise Refusal(403, "pages of other sites may not ask this service")


async def _answered(request: Request, images: Sequence[ImageRequest]) -> list[Outcome]:
    """Outcomes, one for each image.

    Raises:
        ClientDisconnect: nobody waits for it any more.
    """
    answers = asyncio.create_task(_outcomes(images))
    gone = asyncio.create_task(_departure(request))
    try:
        await asyncio.wait({answers, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answers.done():
            raise ClientDisconnect
        return answers.result()
    finally:
        answers.cancel()
        gone.cancel()


async def _outcomes(images: Sequence[ImageRequest]) -> list[Outcome]:
    return [await asyncio.wrap_future(image.result) for image in images]


async def _departure(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
