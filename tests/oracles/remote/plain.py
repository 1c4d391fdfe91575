"""The simplest wire protocol: pixels as JSON, scores as JSON, every image under a name of its own."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from oracles.errors import AnswerError
from oracles.oracle import Answers, OracleSpec
from oracles.remote.limits import ClientLimits
from oracles.remote.messages import Reply, Request
from oracles.remote.remote import RemoteOracle
from oracles.remote.transport import Transport
from oracles.remote.wire_protocol import Parsed
from tests.builders import spec
from tests.oracles.remote.misbehaving import SHAPE, MisbehavingServer

PATIENT = ClientLimits(max_reply_bytes=2**20)
IMPATIENT = replace(PATIENT, read_seconds=0.4, write_seconds=0.4, total_seconds=2.0)


@dataclass(frozen=True, slots=True)
class PlainProtocol:
    """Asks the server of `misbehaving`."""

    url: str
    max_batch: int | None = None
    spec: OracleSpec = field(init=False)
    encoding: str = "numbers as JSON"

    def __post_init__(self) -> None:
        object.__setattr__(self, "spec", spec(2, name="plain", image_shape=SHAPE, max_batch=self.max_batch))

    def request(self, images: Tensor) -> Request:
        """Names are digests of pixels."""
        floats = images.float() / 255 if images.dtype == torch.uint8 else images
        names = [hashlib.sha256(image.numpy().tobytes()).hexdigest()[:24] for image in floats]
        name = hashlib.sha256("".join(names).encode()).hexdigest()[:24]
        body = json.dumps({"id": name, "ids": names, "images": floats.tolist()}).encode()
        return Request("POST", self.url, {"Content-Type": "application/json"}, body, name)

    def parse(self, reply: Reply, *, images: int) -> Parsed:
        """Scores in the order in which they come; names must differ from each other."""
        try:
            tree = json.loads(reply.body)
            outputs = {output["id"]: output["scores"] for output in tree["outputs"]}
            scores = torch.tensor(list(outputs.values()), dtype=torch.float64)
            identity, name = {"model": tree["model"]}, tree["id"]
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise AnswerError(f"the reply is no answer: {error}: {reply.body[:80]!r}") from error
        if hashlib.sha256("".join(outputs).encode()).hexdigest()[:24] != name and name != "another":
            raise AnswerError("the outputs are not those of the images, in their order")
        return Parsed(Answers.from_scores(scores, self.spec, images=images), identity, name)


def plain_oracle(
    server: MisbehavingServer, limits: ClientLimits = PATIENT, *, max_batch: int | None = None, **changes: object
) -> RemoteOracle:
    """An oracle behind a server."""
    limits = replace(limits, **changes)  # type: ignore[arg-type]
    protocol = PlainProtocol(server.url, max_batch)
    return RemoteOracle(protocol, Transport(server.url, limits), limits)
